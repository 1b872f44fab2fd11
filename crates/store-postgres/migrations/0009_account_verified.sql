-- Whether the provider vouches for a grant's account_identifier. Nobody knows of the grants from before.

ALTER TABLE grants ADD COLUMN account_verified BOOLEAN NOT NULL DEFAULT FALSE;
-- `account` means the account's id first. grants_by_account has active grants only.
CREATE INDEX grants_by_subject ON grants (app_id, subject, provider, created_at, id);
