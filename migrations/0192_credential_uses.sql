-- When a credential was last used, to the minute. One row for each, gone with it.
CREATE TABLE credential_uses (
    -- Whose credential it is; `system` for the operator's.
    organization_id uuid NOT NULL,
    credential_id uuid NOT NULL,
    -- By the nodes' clocks: when the last attempt over it began that a provider answered, well or not.
    last_used_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, credential_id),
    FOREIGN KEY (organization_id, credential_id) REFERENCES credentials ON DELETE CASCADE
);
SELECT protect_tenant('credential_uses', 'SELECT', 'SELECT, INSERT, UPDATE');
