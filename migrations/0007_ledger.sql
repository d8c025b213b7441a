-- Double entry: what organizations owe, derived from billing events. Nothing is ever changed.

CREATE TABLE ledger_batches (
    organization_id uuid NOT NULL REFERENCES organizations,
    batch_id bigint GENERATED ALWAYS AS IDENTITY,
    node_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, batch_id)
);
SELECT protect_tenant('ledger_batches', 'SELECT', 'SELECT, INSERT');
SELECT make_immutable('ledger_batches');

-- charges: owed for calls over system credentials. providers: the other side of charges.
-- byok: metered, paid by the organization itself. byok_providers: the other side of byok.
CREATE TABLE ledger_postings (
    organization_id uuid NOT NULL,
    batch_id bigint NOT NULL,
    account text NOT NULL CHECK (account IN ('charges', 'providers', 'byok', 'byok_providers')),
    -- The zero id for accounts that are not per provider.
    provider_id uuid NOT NULL,
    nano_usd numeric(38, 0) NOT NULL,
    PRIMARY KEY (organization_id, batch_id, account, provider_id),
    FOREIGN KEY (organization_id, batch_id) REFERENCES ledger_batches
);
CREATE INDEX ledger_postings_account ON ledger_postings (organization_id, account);
SELECT protect_tenant('ledger_postings', 'SELECT', 'SELECT, INSERT');
SELECT make_immutable('ledger_postings');

-- Debits equal credits in every batch, whoever writes it: checked at commit.
CREATE FUNCTION check_batch() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF (SELECT sum(nano_usd) FROM ledger_postings WHERE organization_id = NEW.organization_id AND batch_id = NEW.batch_id) <> 0 THEN
        RAISE EXCEPTION 'ledger batch % does not balance', NEW.batch_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON ledger_postings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_batch();
