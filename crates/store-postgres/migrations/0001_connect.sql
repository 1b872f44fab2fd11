-- Everything that connecting an account needs: the same tables as in SQLite's 0001, in PostgreSQL's words.
--
-- Times are microseconds since the epoch; ids are text (UUIDs hyphenated in lower case); documents and lists are JSON
-- text and not jsonb, which would not keep their bytes. Text is compared byte by byte, whatever language the database
-- sorts in. Ids are random, so that no range of them is written by everybody at once.
--
-- `config_id` refers to no table on purpose: removing a provider must neither fail because of what was connected
-- with it, nor take that away. The audit, for the same reason, refers to its app alone.

CREATE TABLE apps (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    settings    TEXT COLLATE "C" NOT NULL,
    wrapped_key BYTEA            NOT NULL,
    created_at  BIGINT           NOT NULL
);

CREATE TABLE api_keys (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app_id     TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    hash       BYTEA            NOT NULL UNIQUE,
    prefix     TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX api_keys_by_app ON api_keys (app_id, created_at);

CREATE TABLE providers (
    config_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app_id        TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    provider      TEXT COLLATE "C" NOT NULL,
    recipe        TEXT COLLATE "C" NOT NULL,
    client_id     TEXT COLLATE "C" NOT NULL,
    client_secret BYTEA,
    generation    BIGINT           NOT NULL,
    scopes        TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT           NOT NULL,
    updated_at    BIGINT           NOT NULL,
    UNIQUE (app_id, provider)
);

CREATE TABLE sessions (
    sid        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app_id     TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    token_hash BYTEA            NOT NULL UNIQUE,
    state      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    expires_at BIGINT           NOT NULL,
    version    BIGINT           NOT NULL,
    data       TEXT COLLATE "C" NOT NULL
);
-- The reaper asks every few seconds for open sessions whose time is up: a handful among very many.
CREATE INDEX sessions_open ON sessions (expires_at, sid) WHERE state IN ('minted', 'claimed');
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE transactions (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sid          TEXT COLLATE "C" NOT NULL REFERENCES sessions (sid) ON DELETE CASCADE,
    app_id       TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    config_id    TEXT COLLATE "C" NOT NULL,
    state_hash   BYTEA            NOT NULL UNIQUE,
    verifier     BYTEA            NOT NULL,
    nonce        TEXT COLLATE "C" NOT NULL,
    redirect_uri TEXT COLLATE "C" NOT NULL,
    scopes       TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT           NOT NULL,
    expires_at   BIGINT           NOT NULL,
    status       TEXT COLLATE "C" NOT NULL,
    status_at    BIGINT           NOT NULL,
    body         BYTEA
);
CREATE INDEX transactions_by_session ON transactions (sid);
CREATE INDEX transactions_stuck ON transactions (status_at, id) WHERE status IN ('consumed', 'sent');

CREATE TABLE grants (
    id                    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app_id                TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    provider              TEXT COLLATE "C" NOT NULL,
    config_id             TEXT COLLATE "C" NOT NULL,
    subject               TEXT COLLATE "C" NOT NULL,
    account_identifier    TEXT COLLATE "C" NOT NULL,
    account_display_name  TEXT COLLATE "C",
    scopes                TEXT COLLATE "C" NOT NULL,
    missing_scopes        TEXT COLLATE "C" NOT NULL,
    level                 TEXT COLLATE "C" NOT NULL,
    created_at            BIGINT           NOT NULL,
    updated_at            BIGINT           NOT NULL,
    generation            BIGINT           NOT NULL,
    token_type            TEXT COLLATE "C" NOT NULL,
    credential_expires_at BIGINT,
    access_token          BYTEA            NOT NULL,
    refresh_token         BYTEA,
    id_token              BYTEA,
    UNIQUE (app_id, provider, subject)
);
CREATE INDEX grants_by_app ON grants (app_id, created_at, id);

-- One row per app that has entries: the number of its newest. Raising it is a single statement that every engine
-- serialises by the row, so an app's numbers have no gaps and no doubles, and a hash chain has a place for its head.
CREATE TABLE audit_heads (
    app_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES apps (id),
    seq    BIGINT           NOT NULL
);

CREATE TABLE audit (
    app_id     TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    seq        BIGINT           NOT NULL,
    at         BIGINT           NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    grant_id   TEXT COLLATE "C",
    sid        TEXT COLLATE "C",
    key_id     TEXT COLLATE "C",
    request_id TEXT COLLATE "C",
    details    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (app_id, seq)
);

-- A nonce lives for minutes and is written by every signed call: no reference to check, forgotten by range. The key
-- leads, so that the calls of one moment share pages per key and no range is everybody's; forgetting has its own index.
CREATE TABLE call_nonces (
    key_id TEXT COLLATE "C" NOT NULL,
    second BIGINT           NOT NULL,
    nonce  BYTEA            NOT NULL,
    PRIMARY KEY (key_id, second, nonce)
);
CREATE INDEX call_nonces_by_second ON call_nonces (second);

CREATE TABLE key_check (
    id    BIGINT           NOT NULL PRIMARY KEY CHECK (id = 1),
    value BYTEA            NOT NULL
);

CREATE TABLE probes (
    id BIGINT           NOT NULL PRIMARY KEY CHECK (id = 1),
    at BIGINT           NOT NULL
);
