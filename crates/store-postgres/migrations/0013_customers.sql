-- Hosts per customer: which placeholders of the provider's URLs an attempt was started with, and a grant's calls go to.
-- And what came beside the code and beside the token.

ALTER TABLE attempts ADD COLUMN filled TEXT NOT NULL DEFAULT '{}';
ALTER TABLE attempts ADD COLUMN brought TEXT NOT NULL DEFAULT '{}';
ALTER TABLE grants ADD COLUMN filled TEXT NOT NULL DEFAULT '{}';
ALTER TABLE grants ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
