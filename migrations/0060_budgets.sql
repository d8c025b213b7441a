-- What the window of a budget had used before nodes knew the budget, where that counts. The
-- amount that nodes get is in the budget's document; this row says when it was counted.
CREATE TABLE budget_pasts (
    organization_id uuid NOT NULL,
    budget_id uuid NOT NULL,
    window_end bigint NOT NULL,
    since timestamptz NOT NULL,
    counted_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, budget_id),
    FOREIGN KEY (organization_id, budget_id) REFERENCES budgets ON DELETE CASCADE
);
SELECT protect_tenant('budget_pasts', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');
