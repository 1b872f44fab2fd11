-- Users, agents, delegations, revocation, and the audit's chain: the same tables as after SQLite's 0002.
--
-- A grant's uniqueness changes: it is one per principal now, and revoked grants stay. Grants that are there belong to
-- their app.

CREATE TABLE users (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app_id     TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    issuer     TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    label      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    updated_at BIGINT           NOT NULL,
    UNIQUE (app_id, issuer, subject)
);

CREATE TABLE agents (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app_id           TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    name             TEXT COLLATE "C" NOT NULL,
    status           TEXT COLLATE "C" NOT NULL,
    data             TEXT COLLATE "C" NOT NULL,
    version          BIGINT           NOT NULL,
    created_at       BIGINT           NOT NULL,
    updated_at       BIGINT           NOT NULL,
    idempotency_key  TEXT COLLATE "C",
    idempotency_hash BYTEA
);
CREATE UNIQUE INDEX agents_by_name ON agents (app_id, name) WHERE status <> 'revoked';
CREATE UNIQUE INDEX agents_by_idempotency_key ON agents (app_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX agents_by_app ON agents (app_id, created_at, id);

ALTER TABLE api_keys
    ADD COLUMN agent_id TEXT COLLATE "C" REFERENCES agents (id),
    ADD COLUMN deprecated_at BIGINT;
CREATE INDEX api_keys_by_agent ON api_keys (agent_id) WHERE agent_id IS NOT NULL;

-- `principal` is 'app' or a user's id: one text, so that it can stand in a unique index without NULL. The defaults are
-- for the rows that are there alone.
ALTER TABLE grants
    ADD COLUMN principal      TEXT COLLATE "C" NOT NULL DEFAULT 'app',
    ADD COLUMN label          TEXT COLLATE "C",
    ADD COLUMN last_used_at   BIGINT,
    ADD COLUMN status         TEXT COLLATE "C" NOT NULL DEFAULT 'active',
    ADD COLUMN revoked_at     BIGINT,
    ADD COLUMN revoked_reason TEXT COLLATE "C",
    ADD COLUMN revocation     TEXT COLLATE "C",
    DROP CONSTRAINT grants_app_id_provider_subject_key;
ALTER TABLE grants
    ALTER COLUMN principal DROP DEFAULT,
    ALTER COLUMN status DROP DEFAULT;
-- Led by the account: whether others here have it too is asked when one of them revokes.
CREATE UNIQUE INDEX grants_by_account ON grants (app_id, provider, subject, principal) WHERE status = 'active';
CREATE INDEX grants_by_principal ON grants (app_id, principal, created_at, id);

-- Led by the agent: an agent's list is what is asked for most.
CREATE TABLE delegations (
    agent_id   TEXT COLLATE "C" NOT NULL REFERENCES agents (id),
    grant_id   TEXT COLLATE "C" NOT NULL REFERENCES grants (id),
    scopes     TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    revoked_at BIGINT,
    PRIMARY KEY (agent_id, grant_id)
);
CREATE INDEX delegations_by_grant ON delegations (grant_id);

CREATE TABLE revocations (
    grant_id         TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES grants (id),
    app_id           TEXT COLLATE "C" NOT NULL REFERENCES apps (id),
    config_id        TEXT COLLATE "C" NOT NULL,
    is_refresh_token BOOLEAN          NOT NULL,
    token            BYTEA            NOT NULL,
    attempts         BIGINT           NOT NULL,
    next_at          BIGINT           NOT NULL,
    created_at       BIGINT           NOT NULL
);
CREATE INDEX revocations_due ON revocations (next_at, grant_id);

-- Entries that are there carry no chain value; the chain starts after them, from zeros.
ALTER TABLE audit
    ADD COLUMN user_id  TEXT COLLATE "C",
    ADD COLUMN agent_id TEXT COLLATE "C",
    ADD COLUMN hash     BYTEA;
ALTER TABLE audit_heads
    ADD COLUMN hash BYTEA NOT NULL
        DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000',
    ADD COLUMN chained_after BIGINT NOT NULL DEFAULT 0;
UPDATE audit_heads SET chained_after = seq;
