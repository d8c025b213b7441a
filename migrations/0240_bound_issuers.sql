-- Issuers whose tokens are one organization's callers where they say nothing else. What nodes hold of it is part of the
-- organization's own document; this keeps each issuer's place in the installation. Only the platform binds.
CREATE TABLE bound_issuers (
    organization_id uuid NOT NULL REFERENCES organizations,
    issuer text NOT NULL,
    -- Empty: every audience.
    audience text NOT NULL,
    PRIMARY KEY (organization_id, issuer, audience),
    CONSTRAINT bound_issuers_once UNIQUE (issuer, audience)
);
SELECT protect_tenant('bound_issuers', 'SELECT, INSERT, DELETE');
CREATE POLICY platform_binds ON bound_issuers AS RESTRICTIVE FOR INSERT TO tidegate_app WITH CHECK (app_platform());
CREATE POLICY platform_unbinds ON bound_issuers AS RESTRICTIVE FOR DELETE TO tidegate_app USING (app_platform());

-- Another organization that tokens of this issuer, for one of these audiences (none: any), are bound to already; null
-- for whoever is no platform role. Issuers are bound one after the other.
CREATE FUNCTION bound_issuer_holder(own_organization uuid, asked_issuer text, asked_audiences text[])
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT app_platform() THEN RETURN NULL; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(asked_issuer, 240));
    RETURN (SELECT organization_id FROM bound_issuers
            WHERE issuer = asked_issuer AND organization_id <> own_organization
                AND (cardinality(asked_audiences) = 0 OR audience = '' OR audience = ANY (asked_audiences))
            ORDER BY organization_id LIMIT 1);
END $$;
REVOKE ALL ON FUNCTION bound_issuer_holder(uuid, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bound_issuer_holder(uuid, text, text[]) TO tidegate_app;
