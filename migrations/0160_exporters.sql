-- Where an organization wants the traces of its calls, and what is on its way there.

CREATE TABLE exporters (
    organization_id uuid NOT NULL REFERENCES organizations,
    exporter_id uuid NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    enabled boolean NOT NULL,
    -- Names of the headers that are sent; their values are in `secret`.
    header_names text[] NOT NULL,
    -- A JSON object of the headers, encrypted under the organization's data key of that version.
    secret bytea NOT NULL,
    secret_version integer NOT NULL,
    data_key_version integer NOT NULL,
    -- Calls that the collector took, and that were given up (queue full, or refused for good).
    sent bigint NOT NULL DEFAULT 0,
    dropped bigint NOT NULL DEFAULT 0,
    last_sent_at timestamptz,
    last_failed_at timestamptz,
    last_status integer,
    -- Why the last attempt failed, one word of a closed list.
    last_error text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (organization_id, exporter_id),
    CONSTRAINT exporters_name UNIQUE (organization_id, name)
);
SELECT protect_tenant('exporters', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, UPDATE');

-- Calls on their way to a collector; written in the transaction that stores the call's record.
CREATE TABLE trace_queue (
    organization_id uuid NOT NULL,
    exporter_id uuid NOT NULL,
    call_id uuid NOT NULL,
    attempts integer NOT NULL,
    -- When it is tried next; while it is being tried, when somebody else may take it over.
    next_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, exporter_id, call_id),
    FOREIGN KEY (organization_id, exporter_id) REFERENCES exporters ON DELETE CASCADE
);
CREATE INDEX trace_queue_due ON trace_queue (next_at);
SELECT protect_tenant('trace_queue', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE');

-- The W3C trace context that a call came with: trace id (16 bytes), span id (8), flags (1).
ALTER TABLE call_records ADD COLUMN trace_parent bytea;
