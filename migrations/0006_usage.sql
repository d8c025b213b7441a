-- What nodes ship, and what is derived from it in the same transaction.

-- UTC day of a time-ordered id (48 bits of unix milliseconds first).
CREATE FUNCTION id_day(id uuid) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date '1970-01-01' + (('x' || left(translate(id::text, '-', ''), 12))::bit(48)::bigint / 86400000)::integer;

-- What happened to one attempt: intent, final, correction. Immutable, unique for ever.
CREATE TABLE billing_events (
    organization_id uuid NOT NULL,
    day date NOT NULL CHECK (day = id_day(call_id)),
    call_id uuid NOT NULL,
    attempt integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('intent', 'final', 'correction')),
    at timestamptz NOT NULL,
    node_id uuid NOT NULL,
    boot bigint NOT NULL,
    lane integer NOT NULL,
    sequence bigint NOT NULL,
    team_id uuid NOT NULL,
    key_id uuid NOT NULL,
    model_id uuid NOT NULL,
    provider_id uuid NOT NULL,
    offering_id uuid NOT NULL,
    credential_id uuid,
    credential_type text NOT NULL,
    price_id uuid,
    ceiling_pico bigint,
    epoch bigint NOT NULL,
    holds jsonb NOT NULL,
    deadline timestamptz NOT NULL,
    outcome text NOT NULL,
    method text NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cached_input_tokens bigint NOT NULL,
    cache_creation_input_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    requests bigint NOT NULL,
    -- Recomputed by the control plane, and as the node said.
    cost bigint NOT NULL,
    node_cost bigint NOT NULL,
    shard smallint NOT NULL,
    revision_n bigint NOT NULL,
    end_user bytea,
    tags bytea[] NOT NULL,
    PRIMARY KEY (organization_id, day, call_id, attempt, kind)
) PARTITION BY RANGE (day);
SELECT protect_tenant('billing_events', 'SELECT', 'SELECT, INSERT');
SELECT make_immutable('billing_events');

-- One per call, refusals included.
CREATE TABLE call_records (
    organization_id uuid NOT NULL,
    day date NOT NULL CHECK (day = id_day(call_id)),
    call_id uuid NOT NULL,
    at timestamptz NOT NULL,
    node_id uuid NOT NULL,
    team_id uuid NOT NULL,
    key_id uuid NOT NULL,
    surface text NOT NULL,
    stream boolean NOT NULL,
    model_id uuid,
    route_id uuid,
    status integer NOT NULL,
    outcome jsonb NOT NULL,
    attempts jsonb NOT NULL,
    usage jsonb NOT NULL,
    cost bigint NOT NULL,
    ttft_ms bigint,
    duration_ms bigint NOT NULL,
    overhead_us bigint NOT NULL,
    end_user bytea,
    session bytea,
    app bytea,
    tags bytea[] NOT NULL,
    shard smallint NOT NULL,
    revision_n bigint NOT NULL,
    PRIMARY KEY (organization_id, day, call_id)
) PARTITION BY RANGE (day);
SELECT protect_tenant('call_records', 'SELECT', 'SELECT, INSERT');

CREATE TABLE billing_events_default PARTITION OF billing_events DEFAULT;
CREATE TABLE call_records_default PARTITION OF call_records DEFAULT;
SELECT protect('billing_events_default', 'false', '', ''), protect('call_records_default', 'false', '', '');

-- Makes the partitions of `days` days from `first` on; returns how many are new. A day that
-- already has rows in the default partition stays there: nothing is ever lost at midnight.
CREATE FUNCTION ensure_partitions(first date, days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    part text;
    day date;
    used boolean;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tidegate.partitions'));
    FOREACH parent IN ARRAY ARRAY['billing_events', 'call_records'] LOOP
        FOR offset_days IN 0 .. least(days, 400) - 1 LOOP
            day := first + offset_days;
            part := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            CONTINUE WHEN to_regclass(part) IS NOT NULL;
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE day = $1)', parent || '_default') INTO used USING day;
            CONTINUE WHEN used;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part, day, day + 1);
            PERFORM protect(part::regclass, 'false', '', '');
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION ensure_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions TO tidegate_feed;

-- Attempts with an intent and nothing after it: what is held at this moment, and, once a node
-- stays away past the deadline (reaped), what counts as unresolved.
CREATE TABLE open_attempts (
    organization_id uuid NOT NULL,
    call_id uuid NOT NULL,
    attempt integer NOT NULL,
    node_id uuid NOT NULL,
    boot bigint NOT NULL,
    deadline timestamptz NOT NULL,
    holds jsonb NOT NULL,
    reaped boolean NOT NULL DEFAULT false,
    PRIMARY KEY (organization_id, call_id, attempt)
);
CREATE INDEX open_attempts_due ON open_attempts (deadline) WHERE NOT reaped;
CREATE INDEX open_attempts_node ON open_attempts (node_id) WHERE NOT reaped;
SELECT protect_tenant('open_attempts', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE');

-- Per budget and window, nano-USD; windows in microseconds since the unix epoch.
CREATE TABLE budget_spend (
    organization_id uuid NOT NULL,
    budget_id uuid NOT NULL,
    window_start bigint NOT NULL,
    window_end bigint NOT NULL,
    spent bigint NOT NULL,
    unresolved bigint NOT NULL,
    PRIMARY KEY (organization_id, budget_id, window_start)
) WITH (fillfactor = 50);
SELECT protect_tenant('budget_spend', 'SELECT', 'SELECT, INSERT, UPDATE');

-- Who may hold live counters of an organization's budgets in a pool.
CREATE TABLE budget_epochs (
    organization_id uuid NOT NULL REFERENCES organizations,
    pool text NOT NULL REFERENCES pools,
    epoch bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('opening', 'open', 'shipping')),
    permit text NOT NULL,
    permit_deadline timestamptz NOT NULL,
    store_run_id text NOT NULL,
    opened_at timestamptz,
    PRIMARY KEY (organization_id, pool)
);
SELECT protect_tenant('budget_epochs', 'SELECT, INSERT, UPDATE', 'SELECT');

-- Roll-up by hour of the call's id; the zero id stands for "none".
CREATE TABLE usage_hourly (
    organization_id uuid NOT NULL,
    hour timestamptz NOT NULL,
    team_id uuid NOT NULL,
    key_id uuid NOT NULL,
    model_id uuid NOT NULL,
    provider_id uuid NOT NULL,
    request_count bigint NOT NULL,
    refused_count bigint NOT NULL,
    error_count bigint NOT NULL,
    cost bigint NOT NULL,
    byok_cost bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cached_input_tokens bigint NOT NULL,
    cache_creation_input_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    duration_ms bigint NOT NULL,
    PRIMARY KEY (organization_id, hour, team_id, key_id, model_id, provider_id)
) WITH (fillfactor = 50);
SELECT protect_tenant('usage_hourly', 'SELECT', 'SELECT, INSERT, UPDATE');

-- Records that can never be stored (their organization does not exist): kept out, not forgotten.
CREATE TABLE refused_records (
    node_id uuid NOT NULL,
    boot bigint NOT NULL,
    lane integer NOT NULL,
    sequence bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (node_id, boot, lane, sequence)
);
SELECT protect_platform('refused_records', 'SELECT', 'SELECT, INSERT');
