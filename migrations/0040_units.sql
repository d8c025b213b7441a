-- Billable units beyond input and output tokens. What came before has none of them.
ALTER TABLE billing_events
    ADD COLUMN cache_creation_1h_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN audio_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN image_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN audio_output_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN image_output_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN images bigint NOT NULL DEFAULT 0,
    ADD COLUMN audio_seconds bigint NOT NULL DEFAULT 0,
    ADD COLUMN characters bigint NOT NULL DEFAULT 0,
    ADD COLUMN searches bigint NOT NULL DEFAULT 0,
    ADD COLUMN video_seconds bigint NOT NULL DEFAULT 0;
ALTER TABLE usage_hourly
    ADD COLUMN cache_creation_1h_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN audio_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN image_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN audio_output_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN image_output_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN images bigint NOT NULL DEFAULT 0,
    ADD COLUMN audio_seconds bigint NOT NULL DEFAULT 0,
    ADD COLUMN characters bigint NOT NULL DEFAULT 0,
    ADD COLUMN searches bigint NOT NULL DEFAULT 0,
    ADD COLUMN video_seconds bigint NOT NULL DEFAULT 0;
