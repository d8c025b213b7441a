-- A rotation that is done but for some organizations remembers them, and how often it found them so. Releases from before
-- look at all of them again.
ALTER TABLE key_rotations
    ADD COLUMN tried integer NOT NULL DEFAULT 0,
    ADD COLUMN left_organizations uuid[] NOT NULL DEFAULT '{}';
