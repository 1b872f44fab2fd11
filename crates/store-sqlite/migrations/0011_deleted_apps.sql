-- A deleted app keeps its row, because its audit refers to it; everything else of it is deleted. The row says when.

ALTER TABLE apps ADD COLUMN deleted_at INTEGER;
