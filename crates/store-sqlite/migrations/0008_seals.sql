-- A seal over each row that steers a secret: its digest, sealed. Rows from before have none: they are refused until an
-- operator seals them (alter provider seal, alter key seal).

ALTER TABLE providers ADD COLUMN seal BLOB;
ALTER TABLE api_keys ADD COLUMN seal BLOB;
