-- What a change writes beside its rows: the feed's document, the revision, the audit entry.

-- The newest version of every resource; content is null once it was deleted.
CREATE TABLE config_resources (
    organization_id uuid NOT NULL REFERENCES organizations,
    kind text NOT NULL,
    -- Textual id, as in a resource key.
    id text NOT NULL,
    -- The same id as bits, for kinds that have one: pages are in its order.
    uid uuid,
    shard smallint NOT NULL,
    n bigint NOT NULL,
    tightens boolean NOT NULL,
    -- Counts this resource's own versions (ETag).
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    content jsonb,
    content_hash bytea,
    PRIMARY KEY (organization_id, kind, id),
    CHECK ((content IS NULL) = (content_hash IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX config_resources_feed ON config_resources (shard, n);
CREATE UNIQUE INDEX config_resources_page ON config_resources (organization_id, kind, uid);
SELECT protect('config_resources', 'organization_id = app_organization()', 'SELECT, INSERT, UPDATE', 'SELECT');
-- Every organization reads the shared catalogue.
CREATE POLICY catalogue ON config_resources FOR SELECT TO tidegate_app
    USING (organization_id = '00000000-0000-0000-0000-000000000000' AND kind IN ('provider', 'model', 'offering')
        AND app_organization() IS NOT NULL);

-- One counter for each shard, locked last by a change: its order is the order of commits.
CREATE TABLE feed_head (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 64),
    n bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO feed_head SELECT shard, 0 FROM generate_series(0, 64) AS shard;
GRANT SELECT, UPDATE ON feed_head TO tidegate_app;
GRANT SELECT ON feed_head TO tidegate_feed;

-- Hash-chained per organization. before and after are json (not jsonb): the chain covers their text.
CREATE TABLE audit (
    organization_id uuid NOT NULL REFERENCES organizations,
    n bigint NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    before json,
    after json,
    previous_hash bytea NOT NULL CHECK (length(previous_hash) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (organization_id, n)
);
SELECT protect_tenant('audit', 'SELECT, INSERT');
SELECT make_immutable('audit');

-- Head of each chain: a cut tail shows as well.
CREATE TABLE audit_heads (
    organization_id uuid PRIMARY KEY REFERENCES organizations,
    n bigint NOT NULL,
    hash bytea NOT NULL
);
SELECT protect_tenant('audit_heads', 'SELECT, INSERT, UPDATE');

-- Committed together with the change that they answer for.
CREATE TABLE idempotency_keys (
    organization_id uuid NOT NULL REFERENCES organizations,
    key text NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    status smallint,
    body bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
SELECT protect_tenant('idempotency_keys', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, DELETE');
