-- The plan of a call in its short form (ids and enums): null where it says no more than the attempts.
ALTER TABLE call_records ADD COLUMN plan jsonb;
