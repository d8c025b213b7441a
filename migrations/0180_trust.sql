-- Whose signed tokens may call as a key, and how the fetching of their issuers' keys stands.

CREATE TABLE trust_rules (
    organization_id uuid NOT NULL REFERENCES organizations,
    trust_rule_id uuid NOT NULL,
    name text NOT NULL,
    key_id uuid NOT NULL,
    issuer text NOT NULL,
    audience text NOT NULL,
    -- Claim name to the list of its values.
    claims jsonb NOT NULL,
    -- The issuer's keys come from its discovery document; otherwise they were pasted in.
    discovered boolean NOT NULL,
    -- When they are fetched next; while they are being fetched, when somebody else may take over.
    next_at timestamptz NOT NULL,
    fetched_at timestamptz,
    failed_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    -- Why the last attempt failed, one word of a closed list.
    last_error text,
    PRIMARY KEY (organization_id, trust_rule_id),
    CONSTRAINT trust_rules_name UNIQUE (organization_id, name),
    CONSTRAINT trust_rules_key FOREIGN KEY (organization_id, key_id) REFERENCES virtual_keys
);
CREATE INDEX trust_rules_due ON trust_rules (next_at) WHERE discovered;
CREATE INDEX trust_rules_tokens ON trust_rules (issuer, audience);
SELECT protect_tenant('trust_rules', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, UPDATE');

-- Whether a token could fit this rule and another one, of whatever organization. Says no more than that.
-- Rules for the same tokens are written one after the other.
CREATE FUNCTION trust_rule_overlaps(own_organization uuid, own_rule uuid, own_issuer text, own_audience text, own_claims jsonb)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(own_issuer || chr(10) || own_audience, 180));
    RETURN EXISTS (
        SELECT FROM trust_rules r WHERE r.issuer = own_issuer AND r.audience = own_audience
            AND (r.organization_id, r.trust_rule_id) <> (own_organization, own_rule)
            AND NOT EXISTS (
                SELECT FROM jsonb_each(r.claims) theirs JOIN jsonb_each(own_claims) ours USING (key)
                WHERE NOT (theirs.value ?| ARRAY(SELECT jsonb_array_elements_text(ours.value)))));
END $$;
REVOKE ALL ON FUNCTION trust_rule_overlaps(uuid, uuid, text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trust_rule_overlaps(uuid, uuid, text, text, jsonb) TO tidegate_app;
