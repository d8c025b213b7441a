-- Answers from the response cache: nothing was sent for them. Null where an attempt was sent.

-- What is charged of what the usage costs, in percent.
ALTER TABLE billing_events ADD COLUMN cached_percent smallint;
-- The call whose answer was given again.
ALTER TABLE call_records ADD COLUMN cached_from uuid;
-- Null counts as 0: a control plane of the release before does not know the column.
ALTER TABLE usage_hourly ADD COLUMN cache_hit_count bigint;

-- cache: the other side of charges for answers from the cache, which no provider bills.
-- contract: it comes back wider in the next statement
ALTER TABLE ledger_postings DROP CONSTRAINT ledger_postings_account_check;
-- contract: it allows what it allowed before, and one account more
ALTER TABLE ledger_postings ADD CONSTRAINT ledger_postings_account_check CHECK (account IN
    ('charges', 'providers', 'byok', 'byok_providers', 'credit', 'payments', 'allowances', 'charges_paid', 'markup',
     'cache'));
