-- Step-by-step holds: the newest step of an attempt's hold (none: its first), to which `holds` belong.
ALTER TABLE open_attempts ADD COLUMN step integer;
