-- A list tells how many there are in all: the count reads this index alone, with a status or a provider asked for too.
DROP INDEX grants_by_app;
CREATE INDEX grants_by_app ON grants (app_id, created_at, id, status, provider);
-- `account` among an app's own grants, which may be all that it has.
CREATE INDEX grants_by_identifier ON grants (app_id, account_identifier, provider, created_at, id);
