-- Which node processes may have money of an organization's budgets in advance, and how much of each
-- window's limit at most: written before a node takes any. One row per process, until its epoch ends,
-- or the process has said that it gave everything back.
CREATE TABLE budget_grants (
    organization_id uuid NOT NULL REFERENCES organizations,
    pool text NOT NULL REFERENCES pools,
    node_id uuid NOT NULL REFERENCES nodes,
    boot bigint NOT NULL,
    epoch bigint NOT NULL,
    percent smallint NOT NULL CHECK (percent BETWEEN 1 AND 100),
    granted_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, pool, node_id, boot)
);
SELECT protect_tenant('budget_grants', 'SELECT, DELETE', 'SELECT, INSERT, UPDATE, DELETE');
CREATE INDEX budget_grants_node ON budget_grants (node_id, boot);
