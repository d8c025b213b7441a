-- Root keys, wrapped by whoever keeps them (a local key, Vault, a KMS); they wrap everything else. Without
-- rows a local key wraps everything itself.
CREATE TABLE root_keys (
    version integer PRIMARY KEY,
    wrapper text NOT NULL,
    wrapped bytea NOT NULL,
    -- pending: every control plane comes to know it; active: it wraps; retiring: it only opens.
    state text NOT NULL CHECK (state IN ('pending', 'active', 'retiring')),
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX root_keys_active ON root_keys ((true)) WHERE state = 'active';
SELECT protect_platform('root_keys', 'SELECT, INSERT, UPDATE, DELETE');

-- Secrets of the installation itself, wrapped by the root key.
CREATE TABLE installation_secrets (
    name text PRIMARY KEY,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL
);
SELECT protect_platform('installation_secrets', 'SELECT, INSERT, UPDATE');

-- What is or was rotated, and how far it is. Whoever holds the lease works on it.
CREATE TABLE key_rotations (
    rotation_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('kek', 'data_key', 'pool_key', 'pepper')),
    -- The pool of a pool key; all pools when null.
    pool text REFERENCES pools,
    state text NOT NULL CHECK (state IN ('running', 'done')),
    started_by text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    -- Keys and secrets done, of as many.
    done bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL DEFAULT 0,
    -- Why it does not go on, if it does not.
    problem text,
    leased_until timestamptz NOT NULL
);
CREATE UNIQUE INDEX key_rotations_running ON key_rotations (kind, coalesce(pool, '')) WHERE state = 'running';
SELECT protect_platform('key_rotations', 'SELECT, INSERT, UPDATE');

GRANT UPDATE ON pool_keys, data_keys, certificate_authorities TO tidegate_app;

-- Retires peppers other than the newest one that no key uses which may still sign in.
CREATE FUNCTION retire_peppers(at timestamptz) RETURNS SETOF integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    UPDATE peppers p SET retired_at = at
    WHERE p.retired_at IS NULL AND p.version < (SELECT max(version) FROM peppers)
        AND NOT EXISTS (SELECT FROM virtual_keys k WHERE p.version = ANY (k.pepper_versions)
            AND k.status <> 'revoked' AND (k.expires_at IS NULL OR k.expires_at > at))
    RETURNING p.version;
END;
REVOKE ALL ON FUNCTION retire_peppers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retire_peppers TO tidegate_feed;
