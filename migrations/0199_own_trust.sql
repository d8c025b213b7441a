-- Callers name the organization whose trust rules are meant, so that rules of several organizations never meet:
-- a rule is in the way of its own organization's only, and nobody learns that another one has any.

-- contract: it looks at less than before; a control plane of the release before refuses less by it
CREATE OR REPLACE FUNCTION trust_rule_overlaps(own_organization uuid, own_rule uuid, own_issuer text, own_audience text, own_claims jsonb)
RETURNS boolean LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(own_organization::text || own_issuer || chr(10) || own_audience, 180));
    RETURN EXISTS (
        SELECT FROM trust_rules r WHERE r.organization_id = own_organization
            AND r.issuer = own_issuer AND r.audience = own_audience AND r.trust_rule_id <> own_rule
            AND NOT EXISTS (
                SELECT FROM jsonb_each(r.claims) theirs JOIN jsonb_each(own_claims) ours USING (key)
                WHERE NOT (theirs.value ?| ARRAY(SELECT jsonb_array_elements_text(ours.value)))));
END $$;
