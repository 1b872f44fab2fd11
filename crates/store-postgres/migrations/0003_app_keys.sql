-- Every key that an app has sealed values under: the same table as after SQLite's 0003. The current one is the one in
-- apps.wrapped_key, which stays what readers take; the others are kept for reading until nothing is under them. A retired
-- key is wiped and its row remains, so that a writer that still holds it is refused. The id stands in the wrapped key, at
-- bytes 7 to 22.

CREATE TABLE app_keys (
    app_id     TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    key_id     BYTEA            NOT NULL,
    wrapped    BYTEA            NOT NULL,
    created_at BIGINT           NOT NULL,
    retired_at BIGINT,
    PRIMARY KEY (app_id, key_id)
);
INSERT INTO app_keys (app_id, key_id, wrapped, created_at)
    SELECT id, substring(wrapped_key FROM 7 FOR 16), wrapped_key, created_at FROM apps;
