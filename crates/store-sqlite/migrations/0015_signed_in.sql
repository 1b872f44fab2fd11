-- Links: whether a grant's level was reached by signing in at the app's identity provider.

ALTER TABLE grants ADD COLUMN signed_in INTEGER NOT NULL DEFAULT 0;

-- The token of the user who signed in for an auth session, sealed, until it is released.
ALTER TABLE sessions ADD COLUMN user_token BLOB;
