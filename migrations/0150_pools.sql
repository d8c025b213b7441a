-- Which pools serve an organization. Without rows: the pool `default` alone.
CREATE TABLE organization_pools (
    organization_id uuid NOT NULL REFERENCES organizations,
    pool text NOT NULL REFERENCES pools,
    -- 0: its home, where hard budgets are counted. Null: no longer served there, its nodes drop what they hold.
    rank integer,
    PRIMARY KEY (organization_id, pool)
);
SELECT protect_tenant('organization_pools', 'SELECT, INSERT, UPDATE', 'SELECT');

-- Whether the pool's nodes get what this organization has. The system's own resources go to every pool.
CREATE FUNCTION served_in(asked uuid, in_pool text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN asked = '00000000-0000-0000-0000-000000000000' THEN true
    WHEN EXISTS (SELECT FROM organization_pools p WHERE p.organization_id = asked)
        THEN EXISTS (SELECT FROM organization_pools p WHERE p.organization_id = asked AND p.pool = in_pool AND p.rank IS NOT NULL)
    ELSE in_pool = 'default'
END;

-- The same, or it was so once: records of calls that were served there are still accepted.
CREATE FUNCTION ever_served_in(asked uuid, in_pool text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN EXISTS (SELECT FROM organization_pools p WHERE p.organization_id = asked)
        THEN EXISTS (SELECT FROM organization_pools p WHERE p.organization_id = asked AND p.pool = in_pool)
    ELSE in_pool = 'default'
END;

-- A node that enrolled by the token of a Kubernetes service account: its pod, which has one identity.
ALTER TABLE nodes ADD COLUMN pod_uid text;
CREATE UNIQUE INDEX nodes_pod ON nodes (pod_uid) WHERE state = 'enrolled';
