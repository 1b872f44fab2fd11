-- Connections that wait for the app's word: whose account it is, sealed. The tokens stay in `body`.

ALTER TABLE attempts ADD COLUMN staged BLOB;
CREATE INDEX attempts_staged ON attempts (status_at, id) WHERE status = 'staged';
