-- When a node's present process was first heard of. Null: before this was noted, so long ago enough.
ALTER TABLE nodes ADD COLUMN booted_at timestamptz;
