-- Pools, their keys, the nodes in them. All key material is wrapped by the key-encryption key.

CREATE TABLE pools (
    pool text PRIMARY KEY CHECK (pool ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO pools (pool) VALUES ('default');
SELECT protect_platform('pools', 'SELECT, INSERT', 'SELECT');

CREATE TABLE pool_keys (
    pool text NOT NULL REFERENCES pools,
    version integer NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (pool, version)
);
SELECT protect_platform('pool_keys', 'SELECT, INSERT, DELETE', 'SELECT');

CREATE TABLE data_keys (
    organization_id uuid NOT NULL REFERENCES organizations,
    version integer NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, version)
);
SELECT protect_tenant('data_keys', 'SELECT, INSERT, DELETE');

CREATE TABLE peppers (
    version integer PRIMARY KEY,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz
);
SELECT protect_platform('peppers', 'SELECT, INSERT, UPDATE', 'SELECT');

-- Key and certificate of the authority that signs nodes and the control plane's own server.
CREATE TABLE certificate_authorities (
    version integer PRIMARY KEY,
    certificate bytea NOT NULL,
    wrapped_key bytea NOT NULL,
    created_at timestamptz NOT NULL
);
SELECT protect_platform('certificate_authorities', 'SELECT, INSERT', 'SELECT');

CREATE TABLE join_tokens (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    pool text NOT NULL REFERENCES pools,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_by uuid
);
SELECT protect_platform('join_tokens', 'SELECT, INSERT', 'SELECT, UPDATE, DELETE');

CREATE TABLE nodes (
    node_id uuid PRIMARY KEY,
    pool text NOT NULL REFERENCES pools,
    name text NOT NULL,
    state text NOT NULL CHECK (state IN ('enrolled', 'drained', 'revoked')),
    enrolled_at timestamptz NOT NULL,
    certificate_serial text NOT NULL,
    certificate_expires_at timestamptz NOT NULL,
    sealing_key bytea NOT NULL CHECK (length(sealing_key) = 32),
    -- What the node says of itself; null until it first speaks.
    boot bigint,
    software_version text NOT NULL DEFAULT '',
    gateway_address text NOT NULL DEFAULT '',
    last_seen timestamptz,
    applied bigint[] NOT NULL DEFAULT '{}',
    shipped bigint[] NOT NULL DEFAULT '{}',
    rejections jsonb NOT NULL DEFAULT '[]',
    journal_pending_records bigint NOT NULL DEFAULT 0,
    journal_pending_bytes bigint NOT NULL DEFAULT 0,
    journal_horizon_seconds bigint NOT NULL DEFAULT 0,
    in_flight_calls integer NOT NULL DEFAULT 0,
    draining boolean NOT NULL DEFAULT false,
    limiter_mode text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);
SELECT protect_platform('nodes', 'SELECT, UPDATE', 'SELECT, INSERT, UPDATE');

-- Every record of the lane up to this sequence is stored.
CREATE TABLE node_lanes (
    node_id uuid NOT NULL REFERENCES nodes,
    boot bigint NOT NULL,
    lane integer NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (node_id, boot, lane)
);
SELECT protect_platform('node_lanes', 'SELECT', 'SELECT, INSERT, UPDATE');
