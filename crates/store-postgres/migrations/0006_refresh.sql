-- Refreshing credentials: the state is in the grant's row, each attempt is a row of its own. The same tables as after
-- SQLite's 0006. The defaults are for the rows that are there alone.

ALTER TABLE grants
    ADD COLUMN credential_issued_at BIGINT           NOT NULL DEFAULT 0,
    ADD COLUMN refresh              TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    ADD COLUMN refresh_at           BIGINT,
    ADD COLUMN ends_at              BIGINT,
    ADD COLUMN reconnect            TEXT COLLATE "C";
-- Grants from before are looked at once: then it is known when they are due.
UPDATE grants SET
    credential_issued_at = updated_at,
    refresh_at = CASE WHEN status = 'active' AND refresh_token IS NOT NULL THEN updated_at END;
ALTER TABLE grants
    ALTER COLUMN credential_issued_at DROP DEFAULT,
    ALTER COLUMN refresh DROP DEFAULT;
CREATE INDEX grants_to_refresh ON grants (refresh_at, id) WHERE refresh_at IS NOT NULL AND status = 'active';
CREATE INDEX grants_to_reconnect ON grants (app_id, provider, reconnect)
    WHERE reconnect IS NOT NULL AND status = 'active';

CREATE TABLE refreshes (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app_id     TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    grant_id   TEXT COLLATE "C" NOT NULL REFERENCES grants (id),
    generation BIGINT           NOT NULL,
    attempt    BIGINT           NOT NULL,
    begun_at   BIGINT           NOT NULL,
    ended_at   BIGINT,
    outcome    TEXT COLLATE "C",
    code       TEXT COLLATE "C",
    body       BYTEA,
    UNIQUE (grant_id, generation, attempt)
);
CREATE INDEX refreshes_journalled ON refreshes (begun_at, id) WHERE body IS NOT NULL;

-- A grant may have several requests: a refresh that was under way when it was revoked adds one.
ALTER TABLE revocations
    ADD COLUMN id TEXT COLLATE "C",
    DROP CONSTRAINT revocations_pkey;
UPDATE revocations SET id = grant_id;
ALTER TABLE revocations ADD PRIMARY KEY (id);
DROP INDEX revocations_due;
CREATE INDEX revocations_due ON revocations (next_at, id);
CREATE INDEX revocations_by_grant ON revocations (grant_id);
