-- One word for one thing: an OAuth attempt is an attempt, and the key that an app's values are sealed under is a data key.

ALTER TABLE app_keys RENAME TO data_keys;
ALTER TABLE transactions RENAME TO attempts;
DROP INDEX transactions_by_session;
DROP INDEX transactions_stuck;
CREATE INDEX attempts_by_session ON attempts (sid);
CREATE INDEX attempts_stuck ON attempts (status_at, id) WHERE status IN ('consumed', 'sent');
