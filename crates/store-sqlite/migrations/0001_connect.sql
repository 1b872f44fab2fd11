-- Everything that connecting an account needs.
--
-- Written so that PostgreSQL can hold the same tables: INTEGER stands for BIGINT and BLOB for BYTEA; times are
-- microseconds since the epoch; ids are text (UUIDs hyphenated in lower case); documents and lists are JSON text;
-- text is compared byte by byte; nothing relies on a rowid. Tables whose rows are small or are read in the order of
-- their key have no rowid at all.
--
-- `config_id` refers to no table on purpose: removing a provider must neither fail because of what was connected
-- with it, nor take that away. The audit, for the same reason, refers to its app alone.

CREATE TABLE apps (
    id          TEXT    NOT NULL PRIMARY KEY,
    settings    TEXT    NOT NULL,
    wrapped_key BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    hash       BLOB    NOT NULL UNIQUE,
    prefix     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_app ON api_keys (app_id, created_at);

CREATE TABLE providers (
    config_id     TEXT    NOT NULL PRIMARY KEY,
    app_id        TEXT    NOT NULL REFERENCES apps (id),
    provider      TEXT    NOT NULL,
    recipe        TEXT    NOT NULL,
    client_id     TEXT    NOT NULL,
    client_secret BLOB,
    generation    INTEGER NOT NULL,
    scopes        TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (app_id, provider)
) STRICT;

CREATE TABLE sessions (
    sid        TEXT    NOT NULL PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    token_hash BLOB    NOT NULL UNIQUE,
    state      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    data       TEXT    NOT NULL
) STRICT;
-- The reaper asks every few seconds for open sessions whose time is up: a handful among very many.
CREATE INDEX sessions_open ON sessions (expires_at, sid) WHERE state IN ('minted', 'claimed');
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE transactions (
    id           TEXT    NOT NULL PRIMARY KEY,
    sid          TEXT    NOT NULL REFERENCES sessions (sid) ON DELETE CASCADE,
    app_id       TEXT    NOT NULL REFERENCES apps (id),
    config_id    TEXT    NOT NULL,
    state_hash   BLOB    NOT NULL UNIQUE,
    verifier     BLOB    NOT NULL,
    nonce        TEXT    NOT NULL,
    redirect_uri TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    status       TEXT    NOT NULL,
    status_at    INTEGER NOT NULL,
    body         BLOB
) STRICT;
CREATE INDEX transactions_by_session ON transactions (sid);
CREATE INDEX transactions_stuck ON transactions (status_at, id) WHERE status IN ('consumed', 'sent');

CREATE TABLE grants (
    id                    TEXT    NOT NULL PRIMARY KEY,
    app_id                TEXT    NOT NULL REFERENCES apps (id),
    provider              TEXT    NOT NULL,
    config_id             TEXT    NOT NULL,
    subject               TEXT    NOT NULL,
    account_identifier    TEXT    NOT NULL,
    account_display_name  TEXT,
    scopes                TEXT    NOT NULL,
    missing_scopes        TEXT    NOT NULL,
    level                 TEXT    NOT NULL,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    generation            INTEGER NOT NULL,
    token_type            TEXT    NOT NULL,
    credential_expires_at INTEGER,
    access_token          BLOB    NOT NULL,
    refresh_token         BLOB,
    id_token              BLOB,
    UNIQUE (app_id, provider, subject)
) STRICT;
CREATE INDEX grants_by_app ON grants (app_id, created_at, id);

-- One row per app that has entries: the number of its newest. Raising it is a single statement that every engine
-- serialises by the row, so an app's numbers have no gaps and no doubles, and a hash chain has a place for its head.
CREATE TABLE audit_heads (
    app_id TEXT    NOT NULL PRIMARY KEY REFERENCES apps (id),
    seq    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    seq        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    grant_id   TEXT,
    sid        TEXT,
    key_id     TEXT,
    request_id TEXT,
    details    TEXT    NOT NULL,
    PRIMARY KEY (app_id, seq)
) STRICT, WITHOUT ROWID;

-- A nonce lives for minutes and is written by every signed call: no reference to check, forgotten by range. The second
-- is the signed one, so a replay carries it too; it leads the key, so that the calls of one moment share pages (random
-- nonces alone cost two fresh pages a call).
CREATE TABLE call_nonces (
    second INTEGER NOT NULL,
    key_id TEXT    NOT NULL,
    nonce  BLOB    NOT NULL,
    PRIMARY KEY (second, key_id, nonce)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_check (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    value BLOB    NOT NULL
) STRICT;

CREATE TABLE probes (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
