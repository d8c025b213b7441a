-- Two group roles that own nothing: the logins of the control plane are members of them.
-- app:  management API, one organization at a time (row-level security).
-- feed: reads the feed across organizations, writes what nodes ship.
DO $$
BEGIN
    CREATE ROLE tidegate_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    CREATE ROLE tidegate_feed NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

GRANT USAGE ON SCHEMA public TO tidegate_app, tidegate_feed;
GRANT SELECT ON _sqlx_migrations TO tidegate_app, tidegate_feed;

-- The organization to which this transaction is bound; null (no rows) when it is bound to none.
CREATE FUNCTION app_organization() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.organization_id', true), '')::uuid;

-- Whether this transaction may see and write what stands above organizations.
CREATE FUNCTION app_platform() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(current_setting('app.platform', true) = 'on', false);

-- Row-level security of a table, forced on its owner too. Rows of tenants belong to the bound
-- organization; the owner (migrations, security-definer functions) has an explicit policy.
CREATE FUNCTION protect(target regclass, visible text, app text, feed text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY owner ON %s TO CURRENT_USER USING (true) WITH CHECK (true)', target);
    IF app <> '' THEN
        EXECUTE format('CREATE POLICY app ON %s TO tidegate_app USING (%s) WITH CHECK (%s)', target, visible, visible);
        EXECUTE format('GRANT %s ON %s TO tidegate_app', app, target);
    END IF;
    IF feed <> '' THEN
        EXECUTE format('CREATE POLICY feed ON %s TO tidegate_feed USING (true) WITH CHECK (true)', target);
        EXECUTE format('GRANT %s ON %s TO tidegate_feed', feed, target);
    END IF;
END $$;

CREATE FUNCTION protect_tenant(target regclass, app text, feed text DEFAULT '') RETURNS void LANGUAGE sql
BEGIN ATOMIC
    SELECT protect(target, 'organization_id = app_organization()', app, feed);
END;

-- Rows above organizations, written and seen by platform roles only.
CREATE FUNCTION protect_platform(target regclass, app text, feed text DEFAULT '') RETURNS void LANGUAGE sql
BEGIN ATOMIC
    SELECT protect(target, 'app_platform()', app, feed);
END;

-- For tables whose rows never change once written.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is immutable: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION make_immutable(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION refuse_change()', target);
    EXECUTE format('CREATE TRIGGER immutable_table BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', target);
END $$;
