-- A sign-in link opens what the person had when it was made. What comes later (a membership
-- elsewhere, a platform role, a password of the person's own) ends it: else whoever was handed the
-- link could take that over with it.
CREATE FUNCTION end_links() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM sign_in_links WHERE person_id = NEW.person_id AND used_at IS NULL;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION end_links FROM PUBLIC;
CREATE TRIGGER members_end_links AFTER INSERT ON members FOR EACH ROW EXECUTE FUNCTION end_links();
CREATE TRIGGER persons_end_links AFTER UPDATE OF platform_role, password_hash ON persons FOR EACH ROW
    WHEN (OLD.platform_role IS DISTINCT FROM NEW.platform_role OR OLD.password_hash IS DISTINCT FROM NEW.password_hash)
    EXECUTE FUNCTION end_links();
