-- Credits: prepaid balances and recurring allowances. What they cap is a budget that only this table's
-- owner, the platform, changes; what they are is in the ledger, entry by entry.

-- Batches say what they are; one that corrects names what it corrects.
ALTER TABLE ledger_batches ADD COLUMN kind text NOT NULL DEFAULT 'events'
    CHECK (kind IN ('events', 'correction', 'rerate', 'credit', 'draw'));
ALTER TABLE ledger_batches ADD COLUMN corrects bigint;
ALTER TABLE ledger_batches ADD CONSTRAINT ledger_batches_corrects
    FOREIGN KEY (organization_id, corrects) REFERENCES ledger_batches;

-- credit: what the organization has paid in advance and not used (negative: it is owed that).
-- payments: money that came in. allowances: what the platform gave away. charges_paid: the part of
-- charges that credit paid. markup: what credit paid beyond charges.
ALTER TABLE ledger_postings DROP CONSTRAINT ledger_postings_account_check;
ALTER TABLE ledger_postings ADD CONSTRAINT ledger_postings_account_check CHECK (account IN
    ('charges', 'providers', 'byok', 'byok_providers', 'credit', 'payments', 'allowances', 'charges_paid', 'markup'));
GRANT INSERT ON ledger_batches, ledger_postings TO tidegate_app;
CREATE POLICY platform_writes ON ledger_batches AS RESTRICTIVE FOR INSERT TO tidegate_app WITH CHECK (app_platform());
CREATE POLICY platform_writes ON ledger_postings AS RESTRICTIVE FOR INSERT TO tidegate_app WITH CHECK (app_platform());

CREATE TABLE credit_accounts (
    organization_id uuid NOT NULL REFERENCES organizations PRIMARY KEY,
    -- The budget that caps the organization at what it has; hard, for ever, the whole organization.
    budget_id uuid NOT NULL,
    -- The budget that counts each period of the allowance; soft. Its windows are the periods.
    period_budget_id uuid,
    -- Hundredths of a percent on top of each charge.
    markup_bps integer NOT NULL CHECK (markup_bps BETWEEN 0 AND 100000),
    -- Charges before these were paid at another markup.
    since_cost bigint NOT NULL,
    since_charged bigint NOT NULL,
    allowance bigint CHECK (allowance > 0),
    allowance_every text,
    ends_with_top_up boolean NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    CHECK ((allowance IS NULL) = (allowance_every IS NULL)),
    FOREIGN KEY (organization_id, budget_id) REFERENCES budgets,
    FOREIGN KEY (organization_id, period_budget_id) REFERENCES budgets
);
SELECT protect_tenant('credit_accounts', 'SELECT, INSERT, UPDATE', 'SELECT');

-- What credit has paid: charges (without markup), and all of it. Moves with the budget's spend.
CREATE TABLE credit_draws (
    organization_id uuid NOT NULL REFERENCES credit_accounts PRIMARY KEY,
    cost bigint NOT NULL,
    charged bigint NOT NULL
);
SELECT protect_tenant('credit_draws', 'SELECT, INSERT, UPDATE', 'SELECT, UPDATE');

-- What was put in or taken back, each with its batch in the ledger. Nothing is ever changed.
CREATE TABLE credit_entries (
    organization_id uuid NOT NULL REFERENCES credit_accounts,
    entry_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('top_up', 'adjustment', 'allowance', 'expiry')),
    amount bigint NOT NULL CHECK (amount <> 0),
    at timestamptz NOT NULL,
    -- The payer's own name for it (an invoice, a payment): booked once.
    reference text NOT NULL,
    note text NOT NULL,
    -- The entry that this one corrects.
    corrects uuid,
    actor text NOT NULL,
    batch_id bigint NOT NULL,
    PRIMARY KEY (organization_id, entry_id),
    CONSTRAINT credit_entries_reference UNIQUE (organization_id, kind, reference),
    CONSTRAINT credit_entries_entry FOREIGN KEY (organization_id, corrects) REFERENCES credit_entries,
    FOREIGN KEY (organization_id, batch_id) REFERENCES ledger_batches
);
SELECT protect_tenant('credit_entries', 'SELECT, INSERT', 'SELECT');
SELECT make_immutable('credit_entries');

-- Periods of the allowance: what was given, and how much of it had lapsed when it was looked at last.
CREATE TABLE credit_periods (
    organization_id uuid NOT NULL REFERENCES credit_accounts,
    period_start bigint NOT NULL,
    period_end bigint NOT NULL,
    amount bigint NOT NULL,
    -- Counts what was spent in it.
    budget_id uuid NOT NULL,
    lapsed bigint,
    PRIMARY KEY (organization_id, period_start),
    FOREIGN KEY (organization_id, budget_id) REFERENCES budgets
);
SELECT protect_tenant('credit_periods', 'SELECT, INSERT, UPDATE', 'SELECT');
CREATE POLICY platform_writes ON credit_accounts AS RESTRICTIVE FOR INSERT TO tidegate_app WITH CHECK (app_platform());
CREATE POLICY platform_writes ON credit_entries AS RESTRICTIVE FOR INSERT TO tidegate_app WITH CHECK (app_platform());
