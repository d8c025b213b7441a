-- A charge that turned out otherwise after it was booked: what re-rating with prices that became known
-- later makes of it. The event stays; this names it.
CREATE TABLE charge_adjustments (
    organization_id uuid NOT NULL,
    day date NOT NULL,
    call_id uuid NOT NULL,
    attempt integer NOT NULL,
    -- Counts the adjustments of one attempt from 1.
    n integer NOT NULL,
    -- The event that it adjusts.
    kind text NOT NULL,
    -- Added to the charge, nano-USD.
    amount bigint NOT NULL CHECK (amount <> 0),
    -- The price by which it is charged now.
    price_id uuid,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    batch_id bigint NOT NULL,
    PRIMARY KEY (organization_id, day, call_id, attempt, n),
    FOREIGN KEY (organization_id, day, call_id, attempt, kind) REFERENCES billing_events,
    FOREIGN KEY (organization_id, batch_id) REFERENCES ledger_batches
);
SELECT protect_tenant('charge_adjustments', 'SELECT', 'SELECT, INSERT');
SELECT make_immutable('charge_adjustments');
