-- What a dead process had in advance comes back under the epoch that is open: the books know what each process spent
-- of it, the counters what they were told.

-- Whether what the attempt held lay on what its process had in advance. Null: not, or nobody told.
ALTER TABLE billing_events ADD COLUMN in_advance boolean;
-- Whether the process says so of its attempts. Null: it is of a release that does not.
ALTER TABLE budget_grants ADD COLUMN told_apart boolean;
-- Up to where the lane's records were stored by control planes that count what follows here. Not `sequence`: part
-- of them was stored by one of a release that does not.
ALTER TABLE node_lanes ADD COLUMN apart bigint;

-- What attempts of a process cost or left unresolved that lay on what it had in advance under an epoch.
CREATE TABLE advance_spend (
    organization_id uuid NOT NULL REFERENCES organizations,
    node_id uuid NOT NULL REFERENCES nodes,
    boot bigint NOT NULL,
    epoch bigint NOT NULL,
    budget_id uuid NOT NULL,
    window_start bigint NOT NULL,
    window_end bigint NOT NULL,
    spent bigint NOT NULL,
    unresolved bigint NOT NULL,
    PRIMARY KEY (organization_id, node_id, boot, epoch, budget_id, window_start)
);
SELECT protect_tenant('advance_spend', 'SELECT, DELETE', 'SELECT, INSERT, UPDATE, DELETE');
CREATE INDEX advance_spend_end ON advance_spend (window_end);
