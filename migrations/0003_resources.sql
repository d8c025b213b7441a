-- Resources: what the database itself must enforce or find them by. The whole resource, as the
-- feed carries it, is its row in config_resources; both are written by the same change.

CREATE TABLE virtual_keys (
    organization_id uuid NOT NULL REFERENCES organizations,
    key_id uuid NOT NULL,
    team_id uuid NOT NULL,
    name text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'paused', 'revoked')),
    pepper_versions integer[] NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (organization_id, key_id),
    CONSTRAINT virtual_keys_team FOREIGN KEY (organization_id, team_id) REFERENCES teams
);
-- The public id is found without its organization: it must be unique in the fleet.
CREATE UNIQUE INDEX virtual_keys_id ON virtual_keys (key_id);
CREATE UNIQUE INDEX virtual_keys_name ON virtual_keys (organization_id, team_id, name) WHERE status <> 'revoked';
SELECT protect_tenant('virtual_keys', 'SELECT, INSERT, UPDATE', 'SELECT');

CREATE TABLE credentials (
    organization_id uuid NOT NULL REFERENCES organizations,
    credential_id uuid NOT NULL,
    name text NOT NULL,
    team_id uuid,
    provider text NOT NULL,
    secret_version integer NOT NULL,
    data_key_version integer NOT NULL,
    ciphertext bytea NOT NULL,
    hint text NOT NULL,
    PRIMARY KEY (organization_id, credential_id),
    CONSTRAINT credentials_name UNIQUE (organization_id, name),
    CONSTRAINT credentials_team FOREIGN KEY (organization_id, team_id) REFERENCES teams
);
SELECT protect_tenant('credentials', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE providers (
    organization_id uuid NOT NULL REFERENCES organizations,
    provider_id uuid NOT NULL,
    slug text NOT NULL,
    PRIMARY KEY (organization_id, provider_id),
    CONSTRAINT providers_slug UNIQUE (organization_id, slug)
);
SELECT protect_tenant('providers', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE models (
    organization_id uuid NOT NULL REFERENCES organizations,
    model_id uuid NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (organization_id, model_id),
    CONSTRAINT models_name UNIQUE (organization_id, name)
);
SELECT protect_tenant('models', 'SELECT, INSERT, UPDATE, DELETE');

-- Model and provider may be the system's or the organization's own: the compiler of the
-- configuration checks them, not a foreign key.
CREATE TABLE offerings (
    organization_id uuid NOT NULL REFERENCES organizations,
    offering_id uuid NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    PRIMARY KEY (organization_id, offering_id),
    CONSTRAINT offerings_place UNIQUE (organization_id, model, provider)
);
SELECT protect_tenant('offerings', 'SELECT, INSERT, UPDATE, DELETE');

-- Immutable and bitemporal: in force from valid_from, known since recorded_at. Kept when the
-- offering goes, because billing events name them for ever.
CREATE TABLE prices (
    organization_id uuid NOT NULL REFERENCES organizations,
    price_id uuid NOT NULL,
    offering_id uuid NOT NULL,
    content jsonb NOT NULL,
    valid_from timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, price_id)
);
CREATE UNIQUE INDEX prices_id ON prices (price_id);
CREATE INDEX prices_offering ON prices (organization_id, offering_id, valid_from);
SELECT protect_tenant('prices', 'SELECT, INSERT', 'SELECT');
SELECT make_immutable('prices');

CREATE TABLE routes (
    organization_id uuid NOT NULL REFERENCES organizations,
    route_id uuid NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (organization_id, route_id),
    CONSTRAINT routes_name UNIQUE (organization_id, name)
);
SELECT protect_tenant('routes', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE policies (
    organization_id uuid NOT NULL REFERENCES organizations,
    policy_id uuid NOT NULL,
    name text NOT NULL,
    team_id uuid,
    key_id uuid,
    PRIMARY KEY (organization_id, policy_id),
    CONSTRAINT policies_name UNIQUE (organization_id, name),
    CONSTRAINT policies_team FOREIGN KEY (organization_id, team_id) REFERENCES teams,
    CONSTRAINT policies_key FOREIGN KEY (organization_id, key_id) REFERENCES virtual_keys,
    CHECK (team_id IS NULL OR key_id IS NULL)
);
SELECT protect_tenant('policies', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE budgets (
    organization_id uuid NOT NULL REFERENCES organizations,
    budget_id uuid NOT NULL,
    name text NOT NULL,
    limit_nano_usd bigint NOT NULL CHECK (limit_nano_usd >= 0),
    -- minute … year, or fixed with both ends, or lifetime.
    window_every text NOT NULL CHECK (window_every IN ('minute', 'hour', 'day', 'week', 'month', 'quarter', 'year', 'fixed', 'lifetime')),
    window_start timestamptz,
    window_end timestamptz,
    -- A call matches when it matches every selector that is set; none set: the organization.
    team_id uuid,
    key_id uuid,
    end_user bytea CHECK (length(end_user) = 16),
    tag bytea CHECK (length(tag) = 16),
    model text,
    provider text,
    enforcement text NOT NULL CHECK (enforcement IN ('hard', 'soft')),
    mode text NOT NULL CHECK (mode IN ('strict', 'expected')),
    count_byok boolean NOT NULL,
    alert_at_percent smallint[] NOT NULL,
    PRIMARY KEY (organization_id, budget_id),
    CONSTRAINT budgets_name UNIQUE (organization_id, name),
    CONSTRAINT budgets_team FOREIGN KEY (organization_id, team_id) REFERENCES teams,
    CONSTRAINT budgets_key FOREIGN KEY (organization_id, key_id) REFERENCES virtual_keys,
    CHECK ((window_every = 'fixed') = (window_start IS NOT NULL AND window_end IS NOT NULL)),
    CHECK (window_start < window_end)
);
SELECT protect_tenant('budgets', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');

-- A raise adds to the limit for a while; it never lowers it.
CREATE TABLE budget_raises (
    organization_id uuid NOT NULL REFERENCES organizations,
    raise_id uuid NOT NULL,
    budget_id uuid NOT NULL,
    amount_nano_usd bigint NOT NULL CHECK (amount_nano_usd > 0),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    reason text NOT NULL,
    created_by text NOT NULL,
    PRIMARY KEY (organization_id, raise_id),
    CONSTRAINT budget_raises_budget FOREIGN KEY (organization_id, budget_id) REFERENCES budgets ON DELETE CASCADE,
    CHECK (valid_from < valid_until)
);
SELECT protect_tenant('budget_raises', 'SELECT, INSERT, DELETE');

-- An alert that was due, once per window and percentage.
CREATE TABLE budget_alerts (
    organization_id uuid NOT NULL REFERENCES organizations,
    budget_id uuid NOT NULL,
    window_start bigint NOT NULL,
    percent smallint NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, budget_id, window_start, percent),
    CONSTRAINT budget_alerts_budget FOREIGN KEY (organization_id, budget_id) REFERENCES budgets ON DELETE CASCADE
);
SELECT protect_tenant('budget_alerts', 'SELECT', 'SELECT, INSERT');

-- Readable forms of keyed hashes; not filled under zero data retention.
CREATE TABLE labels (
    organization_id uuid NOT NULL REFERENCES organizations,
    hash bytea NOT NULL CHECK (length(hash) = 16),
    kind text NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (organization_id, hash)
);
SELECT protect_tenant('labels', 'SELECT, INSERT, DELETE', 'SELECT, INSERT');
