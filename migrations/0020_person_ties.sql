-- Whether an administrator of one organization may hand out a sign-in link for a person: never
-- when the link would also open another organization, or the platform.
CREATE FUNCTION person_is_only_here(target uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM persons p WHERE p.person_id = target AND p.platform_role IS NULL)
        AND NOT EXISTS (SELECT FROM members m
            WHERE m.person_id = target AND m.organization_id IS DISTINCT FROM app_organization())
$$;
REVOKE ALL ON FUNCTION person_is_only_here FROM PUBLIC;
GRANT EXECUTE ON FUNCTION person_is_only_here TO tidegate_app;
