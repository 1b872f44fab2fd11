-- One word for one thing: an OAuth attempt is an attempt, and the key that an app's values are sealed under is a data key.

ALTER TABLE app_keys RENAME TO data_keys;
ALTER TABLE transactions RENAME TO attempts;
ALTER INDEX transactions_by_session RENAME TO attempts_by_session;
ALTER INDEX transactions_stuck RENAME TO attempts_stuck;
