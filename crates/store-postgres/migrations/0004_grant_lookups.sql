-- `account` among an app's own grants, which may be all that it has. (SQLite's 0004 widens grants_by_app too, for counting.
-- Measured here with a million rows: wider means slower, and the planner has grants_by_account for active ones.)
CREATE INDEX grants_by_identifier ON grants (app_id, account_identifier, provider, created_at, id);
