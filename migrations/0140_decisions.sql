-- What was demanded of data handling for each call, and the nodes' signatures over what was decided.

ALTER TABLE call_records ADD COLUMN zdr text NOT NULL DEFAULT 'none';

-- Certificates by which seals are verified; a node gets a new one every few days. Not secret.
CREATE TABLE node_certificates (
    fingerprint bytea PRIMARY KEY CHECK (length(fingerprint) = 32),
    node_id uuid NOT NULL REFERENCES nodes,
    certificate bytea NOT NULL,
    seen_at timestamptz NOT NULL
);
SELECT protect('node_certificates', 'true', 'SELECT', 'SELECT, INSERT');

-- The last seal of each process of a node.
CREATE TABLE decision_marks (
    node_id uuid NOT NULL REFERENCES nodes,
    boot bigint NOT NULL,
    seal bigint NOT NULL,
    PRIMARY KEY (node_id, boot)
);
SELECT protect_platform('decision_marks', 'SELECT', 'SELECT, INSERT, UPDATE');

-- One for each organization in each sealed batch: a chain for each process of a node.
CREATE TABLE decision_links (
    organization_id uuid NOT NULL REFERENCES organizations,
    node_id uuid NOT NULL REFERENCES nodes,
    boot bigint NOT NULL,
    number bigint NOT NULL,
    seal bigint NOT NULL,
    at timestamptz NOT NULL,
    previous bytea NOT NULL CHECK (length(previous) = 32),
    calls uuid[] NOT NULL,
    records bytea NOT NULL CHECK (length(records) = 32),
    -- Neighbours on the way to the signed root: a side (0 left, 1 right) and a hash, one after the other.
    path bytea NOT NULL,
    signature bytea NOT NULL,
    certificate bytea NOT NULL REFERENCES node_certificates,
    PRIMARY KEY (organization_id, node_id, boot, number)
);
CREATE INDEX decision_links_at ON decision_links (organization_id, at);
SELECT protect_tenant('decision_links', 'SELECT', 'SELECT, INSERT');
SELECT make_immutable('decision_links');
