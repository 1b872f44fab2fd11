-- Refreshing credentials: the state is in the grant's row, each attempt is a row of its own.

ALTER TABLE grants ADD COLUMN credential_issued_at INTEGER NOT NULL DEFAULT 0;
UPDATE grants SET credential_issued_at = updated_at;
ALTER TABLE grants ADD COLUMN refresh TEXT NOT NULL DEFAULT '{}';
ALTER TABLE grants ADD COLUMN refresh_at INTEGER;
ALTER TABLE grants ADD COLUMN ends_at INTEGER;
ALTER TABLE grants ADD COLUMN reconnect TEXT;
-- Grants from before are looked at once: then it is known when they are due.
UPDATE grants SET refresh_at = updated_at WHERE status = 'active' AND refresh_token IS NOT NULL;
CREATE INDEX grants_to_refresh ON grants (refresh_at, id) WHERE refresh_at IS NOT NULL AND status = 'active';
CREATE INDEX grants_to_reconnect ON grants (app_id, provider, reconnect) WHERE reconnect IS NOT NULL AND status = 'active';

CREATE TABLE refreshes (
    id         TEXT    NOT NULL PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    grant_id   TEXT    NOT NULL REFERENCES grants (id),
    generation INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    begun_at   INTEGER NOT NULL,
    ended_at   INTEGER,
    outcome    TEXT,
    code       TEXT,
    body       BLOB,
    UNIQUE (grant_id, generation, attempt)
) STRICT;
CREATE INDEX refreshes_journalled ON refreshes (begun_at, id) WHERE body IS NOT NULL;

-- A grant may have several requests: a refresh that was under way when it was revoked adds one.
CREATE TABLE revocation_requests (
    id               TEXT    NOT NULL PRIMARY KEY,
    grant_id         TEXT    NOT NULL REFERENCES grants (id),
    app_id           TEXT    NOT NULL REFERENCES apps (id),
    config_id        TEXT    NOT NULL,
    is_refresh_token INTEGER NOT NULL,
    token            BLOB    NOT NULL,
    attempts         INTEGER NOT NULL,
    next_at          INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT;
INSERT INTO revocation_requests SELECT grant_id, * FROM revocations;
DROP TABLE revocations;
ALTER TABLE revocation_requests RENAME TO revocations;
CREATE INDEX revocations_due ON revocations (next_at, id);
CREATE INDEX revocations_by_grant ON revocations (grant_id);
