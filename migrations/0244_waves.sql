-- A change of the shared catalogue reaches one node first, then a tenth, then all. Until it is released its new version lies
-- here, and config_resources goes on holding what was released last: so releases from before, which do not know of this
-- table, go on sending that, and what they write goes straight there.
CREATE TABLE config_staged (
    organization_id uuid NOT NULL REFERENCES organizations,
    kind text NOT NULL,
    id text NOT NULL,
    uid uuid,
    shard smallint NOT NULL,
    -- From the shard's counter; anew with each stage, so that whoever is told of it takes it.
    n bigint NOT NULL,
    -- Counts on from the released version's (ETag).
    version bigint NOT NULL,
    -- The released version that this one is to follow: where that is another one by now, somebody wrote past the wave.
    follows bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    content jsonb NOT NULL,
    content_hash bytea NOT NULL,
    requires text[],
    -- Whether the members of the wave get it; false until a stage begins with it.
    told boolean NOT NULL DEFAULT false,
    PRIMARY KEY (organization_id, kind, id)
);
SELECT protect('config_staged', 'organization_id = app_organization()', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');

-- What was written last, released or not. Row-level security is that of who reads: tenants see what is released.
CREATE VIEW config_written WITH (security_invoker = true) AS
    SELECT c.organization_id, c.kind, c.id, c.uid, c.created_at,
           greatest(c.version, coalesce(s.version, 0)) AS version,
           coalesce(s.updated_at, c.updated_at) AS updated_at,
           coalesce(s.content, c.content) AS content,
           CASE WHEN s.id IS NULL THEN c.requires ELSE s.requires END AS requires
    FROM config_resources c
    LEFT JOIN config_staged s ON s.organization_id = c.organization_id AND s.kind = c.kind AND s.id = c.id
        AND s.follows = c.version;
GRANT SELECT ON config_written TO tidegate_app;

-- The one wave that there can be.
CREATE TABLE waves (
    shard smallint PRIMARY KEY CHECK (shard = 64),
    stage text NOT NULL CHECK (stage IN ('none', 'one', 'tenth', 'halted')),
    -- Counts waves: another node is the first one each time.
    number bigint NOT NULL DEFAULT 0,
    -- Who has, or had when it was halted, what is staged.
    members uuid[] NOT NULL DEFAULT '{}',
    -- The shard's counter when the stage began: what is staged under a higher number came later.
    upto bigint NOT NULL DEFAULT 0,
    began_at timestamptz,
    -- Since when every member has applied it.
    applied_at timestamptz,
    -- Start, answers and failures of every live node when all members had applied it.
    figures jsonb NOT NULL DEFAULT '{}',
    -- Why it was halted.
    reason text NOT NULL DEFAULT ''
);
INSERT INTO waves (shard, stage) VALUES (64, 'none');
SELECT protect_platform('waves', 'SELECT, UPDATE', 'SELECT');

-- Calls that a node answered since it started, and how many of them with 5xx; null where its release does not tell.
ALTER TABLE nodes
    ADD COLUMN answers bigint,
    ADD COLUMN answers_failed bigint;

-- What nodes are told: what is released, and to the members of a wave what is staged.
CREATE VIEW config_told WITH (security_invoker = true) AS
    SELECT organization_id, kind, id, shard, n, tightens, content, content_hash, requires, NULL::uuid[] AS members
    FROM config_resources
    UNION ALL
    SELECT s.organization_id, s.kind, s.id, s.shard, s.n, false, s.content, s.content_hash, s.requires, w.members
    FROM config_staged s JOIN waves w ON w.shard = s.shard AND w.stage IN ('one', 'tenth') WHERE s.told;
GRANT SELECT ON config_told TO tidegate_feed;
