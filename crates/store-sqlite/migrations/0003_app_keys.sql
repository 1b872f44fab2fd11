-- Every key that an app has sealed values under. The current one is the one in apps.wrapped_key, which stays what readers
-- take; the others are kept for reading until nothing is under them. A retired key is wiped (X'') and its row remains, so
-- that a writer that still holds it is refused. The id stands in the wrapped key, at bytes 7 to 22.

CREATE TABLE app_keys (
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    key_id     BLOB    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER,
    PRIMARY KEY (app_id, key_id)
) STRICT, WITHOUT ROWID;
INSERT INTO app_keys (app_id, key_id, wrapped, created_at)
    SELECT id, substr(wrapped_key, 7, 16), wrapped_key, created_at FROM apps;
