-- Notices: what an organization asked to be told of, written in the transaction in which it
-- happened. A notice goes to every webhook that wants its kind; a delivery is that one way.

-- A due alert was only ever written by the intake; a change of the budget may make one due as well.
GRANT INSERT ON budget_alerts TO tidegate_app;

CREATE TABLE notices (
    organization_id uuid NOT NULL REFERENCES organizations,
    notice_id uuid NOT NULL,
    kind text NOT NULL,
    -- With the kind: what it is about. Once for ever.
    subject text NOT NULL,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (organization_id, notice_id),
    CONSTRAINT notices_once UNIQUE (organization_id, kind, subject)
);
SELECT protect_tenant('notices', 'SELECT, INSERT', 'SELECT, INSERT, DELETE');

CREATE TABLE webhooks (
    organization_id uuid NOT NULL REFERENCES organizations,
    webhook_id uuid NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    -- Empty: every kind.
    kinds text[] NOT NULL,
    enabled boolean NOT NULL,
    -- Encrypted under the organization's data key of that version.
    secret bytea NOT NULL,
    secret_version integer NOT NULL,
    data_key_version integer NOT NULL,
    -- The secret before the last rotation signs as well until then.
    old_secret bytea,
    old_data_key_version integer,
    old_secret_until timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (organization_id, webhook_id),
    CONSTRAINT webhooks_name UNIQUE (organization_id, name)
);
SELECT protect_tenant('webhooks', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, UPDATE');

CREATE TABLE webhook_deliveries (
    organization_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    notice_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL,
    -- When it is tried next; while it is being tried, when somebody else may take it over.
    next_at timestamptz NOT NULL,
    last_at timestamptz,
    -- HTTP status of the last answer; null when none came.
    last_status integer,
    -- Why the last attempt failed, one word of a closed list.
    last_error text,
    PRIMARY KEY (organization_id, webhook_id, notice_id),
    FOREIGN KEY (organization_id, webhook_id) REFERENCES webhooks ON DELETE CASCADE,
    FOREIGN KEY (organization_id, notice_id) REFERENCES notices ON DELETE CASCADE
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at) WHERE state = 'pending';
SELECT protect_tenant('webhook_deliveries', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');
