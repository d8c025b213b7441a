-- Credentials that a provider did not accept: the last time, and since when. One row for each, gone with it.
CREATE TABLE credential_failures (
    -- Whose credential it is; `system` for the operator's.
    organization_id uuid NOT NULL,
    credential_id uuid NOT NULL,
    -- What the provider answered the last time.
    status integer NOT NULL,
    -- Times of the nodes' clocks: the first refusal since it was accepted, the last one, and the first answer after that.
    failing_since timestamptz NOT NULL,
    failed_at timestamptz NOT NULL,
    recovered_at timestamptz,
    -- Refusals since `failing_since`.
    failures bigint NOT NULL,
    PRIMARY KEY (organization_id, credential_id),
    FOREIGN KEY (organization_id, credential_id) REFERENCES credentials ON DELETE CASCADE
);
SELECT protect_tenant('credential_failures', 'SELECT, DELETE', 'SELECT, INSERT, UPDATE');
