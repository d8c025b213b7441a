-- Copies of the configuration on a volume, by which nodes start while the control plane is away, and the identities that
-- lie in them for nodes which cannot enrol then.
CREATE TABLE copies (
    pool text PRIMARY KEY REFERENCES pools,
    -- Of the newest one: it only grows. Whoever writes one holds the row.
    issued_at timestamptz NOT NULL
);
SELECT protect_platform('copies', '', 'SELECT, INSERT, UPDATE');

-- A reserve becomes a row of nodes when it first connects; until then it is nobody that anything waits for.
CREATE TABLE reserves (
    node_id uuid PRIMARY KEY,
    pool text NOT NULL REFERENCES pools,
    certificate_serial text NOT NULL,
    certificate_expires_at timestamptz NOT NULL,
    sealing_key bytea NOT NULL CHECK (length(sealing_key) = 32)
);
CREATE INDEX reserves_pool ON reserves (pool);
SELECT protect_platform('reserves', '', 'SELECT, INSERT, DELETE');
