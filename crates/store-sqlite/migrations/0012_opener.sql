-- What the flows of a configuration have shown of its provider's pages: how many came back from a popup that never looked
-- closed, and whether one came back from a popup that did.

ALTER TABLE providers ADD COLUMN opener_kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE providers ADD COLUMN opener_severed INTEGER NOT NULL DEFAULT 0;
