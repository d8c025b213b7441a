-- The only look-ups across organizations that the app login has. Each answers one exact question.

CREATE FUNCTION person_by_email(wanted text)
RETURNS TABLE (person_id uuid, password_hash text, disabled boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.person_id, p.password_hash, p.disabled_at IS NOT NULL FROM persons p WHERE p.email = lower(wanted)
$$;

-- The person with this address, made when there is none.
CREATE FUNCTION person_ensure(new_id uuid, wanted text, called text, at timestamptz) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO persons (person_id, email, name, created_at) VALUES (new_id, lower(wanted), called, at)
    ON CONFLICT (email) DO UPDATE SET email = excluded.email
    RETURNING person_id
$$;

CREATE FUNCTION person_set_password(target uuid, hash text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH ended AS (UPDATE sessions SET ended_at = now() WHERE person_id = target AND ended_at IS NULL)
    UPDATE persons SET password_hash = hash WHERE person_id = target RETURNING true
$$;

CREATE FUNCTION person_set_platform_role(target uuid, role text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE persons SET platform_role = role WHERE person_id = target AND app_platform() RETURNING true
$$;

CREATE FUNCTION platform_admin_exists() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM persons WHERE platform_role = 'platform_admin' AND disabled_at IS NULL)
$$;

CREATE FUNCTION session_start(new_id uuid, whose uuid, at timestamptz, until timestamptz) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO sessions (session_id, person_id, created_at, expires_at)
    SELECT new_id, person_id, at, until FROM persons WHERE person_id = whose AND disabled_at IS NULL
    RETURNING true
$$;

CREATE FUNCTION session_end(which uuid, at timestamptz) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE sessions SET ended_at = at WHERE session_id = which AND ended_at IS NULL RETURNING true
$$;

-- One row for each membership of the session's person; one with nulls when there is none.
CREATE FUNCTION session_find(which uuid, at timestamptz)
RETURNS TABLE (person_id uuid, email text, platform_role text, organization_id uuid, member_id uuid, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.person_id, p.email, p.platform_role, m.organization_id, m.member_id, m.role
    FROM sessions s JOIN persons p USING (person_id) LEFT JOIN members m USING (person_id)
    WHERE s.session_id = which AND s.ended_at IS NULL AND s.expires_at > at AND p.disabled_at IS NULL
    ORDER BY m.organization_id
$$;

CREATE FUNCTION service_token_find(which uuid, at timestamptz)
RETURNS TABLE (organization_id uuid, token_hash bytea, role text, platform_role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.organization_id, t.token_hash, t.role, t.platform_role FROM service_tokens t
    WHERE t.token_id = which AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > at)
$$;

CREATE FUNCTION link_create(hash bytea, whose uuid, until timestamptz) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO sign_in_links (token_hash, person_id, expires_at) VALUES (hash, whose, until) RETURNING true
$$;

-- The link's person, once.
CREATE FUNCTION link_redeem(hash bytea, at timestamptz) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE sign_in_links SET used_at = at WHERE token_hash = hash AND used_at IS NULL AND expires_at > at
    RETURNING person_id
$$;

CREATE FUNCTION sign_in_sweep(before timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH links AS (DELETE FROM sign_in_links WHERE expires_at < before RETURNING 1),
         gone AS (DELETE FROM sessions WHERE expires_at < before OR ended_at < before RETURNING 1)
    SELECT (SELECT count(*) FROM links) + (SELECT count(*) FROM gone)
$$;

REVOKE ALL ON FUNCTION person_by_email, person_ensure, person_set_password, person_set_platform_role,
    platform_admin_exists, session_start, session_end, session_find, service_token_find, link_create, link_redeem,
    sign_in_sweep, protect, protect_tenant, protect_platform, make_immutable, check_batch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION person_by_email, person_ensure, person_set_password, person_set_platform_role,
    platform_admin_exists, session_start, session_end, session_find, service_token_find, link_create, link_redeem
    TO tidegate_app;
GRANT EXECUTE ON FUNCTION sign_in_sweep TO tidegate_feed;
