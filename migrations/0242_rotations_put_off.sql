-- Until when a rotation is put off, as long as nobody works on it: then, and only then, it is leased until the same time.
-- A control plane that has not tried it since it started need not wait for that. Releases from before all wait.
ALTER TABLE key_rotations ADD COLUMN put_off_until timestamptz;
