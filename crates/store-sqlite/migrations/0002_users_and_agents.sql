-- Users, agents, delegations, revocation, and the audit's chain.
--
-- The same rules as in 0001. A grant's uniqueness changes (it is one per principal now, and revoked grants stay), which
-- SQLite cannot do in place: the table is made again. Grants that are there belong to their app.

CREATE TABLE users (
    id         TEXT    NOT NULL PRIMARY KEY,
    app_id     TEXT    NOT NULL REFERENCES apps (id),
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    label      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app_id, issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
    id               TEXT    NOT NULL PRIMARY KEY,
    app_id           TEXT    NOT NULL REFERENCES apps (id),
    name             TEXT    NOT NULL,
    status           TEXT    NOT NULL,
    data             TEXT    NOT NULL,
    version          INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    idempotency_key  TEXT,
    idempotency_hash BLOB
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX agents_by_name ON agents (app_id, name) WHERE status <> 'revoked';
CREATE UNIQUE INDEX agents_by_idempotency_key ON agents (app_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX agents_by_app ON agents (app_id, created_at, id);

ALTER TABLE api_keys ADD COLUMN agent_id TEXT REFERENCES agents (id);
ALTER TABLE api_keys ADD COLUMN deprecated_at INTEGER;
CREATE INDEX api_keys_by_agent ON api_keys (agent_id) WHERE agent_id IS NOT NULL;

-- `principal` is 'app' or a user's id: one text, so that it can stand in a unique index without NULL.
CREATE TABLE new_grants (
    id                    TEXT    NOT NULL PRIMARY KEY,
    app_id                TEXT    NOT NULL REFERENCES apps (id),
    principal             TEXT    NOT NULL,
    provider              TEXT    NOT NULL,
    config_id             TEXT    NOT NULL,
    subject               TEXT    NOT NULL,
    account_identifier    TEXT    NOT NULL,
    account_display_name  TEXT,
    label                 TEXT,
    scopes                TEXT    NOT NULL,
    missing_scopes        TEXT    NOT NULL,
    level                 TEXT    NOT NULL,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    last_used_at          INTEGER,
    status                TEXT    NOT NULL,
    revoked_at            INTEGER,
    revoked_reason        TEXT,
    revocation            TEXT,
    generation            INTEGER NOT NULL,
    token_type            TEXT    NOT NULL,
    credential_expires_at INTEGER,
    access_token          BLOB    NOT NULL,
    refresh_token         BLOB,
    id_token              BLOB
) STRICT;
INSERT INTO new_grants (id, app_id, principal, provider, config_id, subject, account_identifier, account_display_name,
                        scopes, missing_scopes, level, created_at, updated_at, status, generation, token_type,
                        credential_expires_at, access_token, refresh_token, id_token)
    SELECT id, app_id, 'app', provider, config_id, subject, account_identifier, account_display_name,
           scopes, missing_scopes, level, created_at, updated_at, 'active', generation, token_type,
           credential_expires_at, access_token, refresh_token, id_token
    FROM grants;
DROP TABLE grants;
ALTER TABLE new_grants RENAME TO grants;
-- Led by the account: whether others here have it too is asked when one of them revokes.
CREATE UNIQUE INDEX grants_by_account ON grants (app_id, provider, subject, principal) WHERE status = 'active';
CREATE INDEX grants_by_app ON grants (app_id, created_at, id);
CREATE INDEX grants_by_principal ON grants (app_id, principal, created_at, id);

-- Led by the agent: an agent's list is what is asked for most.
CREATE TABLE delegations (
    agent_id   TEXT    NOT NULL REFERENCES agents (id),
    grant_id   TEXT    NOT NULL REFERENCES grants (id),
    scopes     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (agent_id, grant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX delegations_by_grant ON delegations (grant_id);

CREATE TABLE revocations (
    grant_id         TEXT    NOT NULL PRIMARY KEY REFERENCES grants (id),
    app_id           TEXT    NOT NULL REFERENCES apps (id),
    config_id        TEXT    NOT NULL,
    is_refresh_token INTEGER NOT NULL,
    token            BLOB    NOT NULL,
    attempts         INTEGER NOT NULL,
    next_at          INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_due ON revocations (next_at, grant_id);

-- Entries that are there carry no chain value; the chain starts after them, from zeros.
ALTER TABLE audit ADD COLUMN user_id TEXT;
ALTER TABLE audit ADD COLUMN agent_id TEXT;
ALTER TABLE audit ADD COLUMN hash BLOB;
ALTER TABLE audit_heads ADD COLUMN hash BLOB NOT NULL
    DEFAULT X'0000000000000000000000000000000000000000000000000000000000000000';
ALTER TABLE audit_heads ADD COLUMN chained_after INTEGER NOT NULL DEFAULT 0;
UPDATE audit_heads SET chained_after = seq;
