-- A collector that fails is left alone for a while, whatever waits for it: it keeps nobody else waiting.
ALTER TABLE exporters
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN not_before timestamptz NOT NULL DEFAULT '-infinity';
