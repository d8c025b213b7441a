-- Numbers of the feed must never be given twice, also by a database that was restored from a dump or lost its last
-- transactions to a failover: nodes keep what they hold under a higher number. So each counter remembers in which history
-- of a database it counted, and goes on far beyond everything that may have been given in another one.
ALTER TABLE feed_head
    -- As feed_history() has it; NULL until the first change of this release.
    ADD COLUMN history text,
    -- When every resource of the shard got a new number last.
    ADD COLUMN renewed_at timestamptz;

-- The system identifier, which a restored dump does not bring along, and the timeline, which begins anew with each
-- promotion and each recovery to a point in time. NULL where a server does not tell.
CREATE FUNCTION feed_history() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT system_identifier FROM pg_control_system())::text
        || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- How far a counter jumps that finds itself in another history: more than are given between two backups.
CREATE FUNCTION feed_leap(known text, present text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN known <> present THEN 4294967296 ELSE 0 END $$;

-- Gives everything that there is in a shard a new number, beyond all that were given, in the order that it had: nodes
-- take it whatever they hold. At most once an hour in one history, since a node can ask for it; whether it did.
CREATE FUNCTION feed_renew(wanted smallint, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    before bigint;
BEGIN
    UPDATE feed_head h SET n = h.n + 4294967296, renewed_at = at, history = coalesce(feed_history(), h.history)
    WHERE h.shard = wanted
        AND (h.renewed_at IS NULL OR h.renewed_at <= at - interval '1 hour' OR h.history <> feed_history())
    RETURNING h.n INTO before;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    WITH present AS (SELECT organization_id, kind, id, row_number() OVER (ORDER BY n) AS place
                     FROM config_resources WHERE shard = wanted AND content IS NOT NULL)
    UPDATE config_resources c SET n = before + p.place FROM present p
    WHERE c.organization_id = p.organization_id AND c.kind = p.kind AND c.id = p.id;
    UPDATE feed_head SET n = before + (SELECT count(*) FROM config_resources WHERE shard = wanted AND content IS NOT NULL)
    WHERE shard = wanted;
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION feed_history, feed_leap, feed_renew FROM PUBLIC;
GRANT EXECUTE ON FUNCTION feed_history, feed_leap TO tidegate_app;
GRANT EXECUTE ON FUNCTION feed_renew TO tidegate_feed;
