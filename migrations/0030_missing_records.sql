-- Journal records that were acknowledged to a node once and are not here: the database was restored to
-- an earlier state. Their lane goes on behind them; they stay visible.
CREATE TABLE missing_records (
    node_id uuid NOT NULL REFERENCES nodes,
    boot bigint NOT NULL,
    lane integer NOT NULL,
    first_missing bigint NOT NULL,
    last_missing bigint NOT NULL,
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (node_id, boot, lane, first_missing, last_missing),
    CHECK (first_missing BETWEEN 1 AND last_missing)
);
SELECT protect_platform('missing_records', 'SELECT', 'SELECT, INSERT');
