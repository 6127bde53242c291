-- Releases of an hour: which local hour of the day they are of, 24 for those of the whole day.

ALTER TABLE releases ADD COLUMN IF NOT EXISTS window UInt8 DEFAULT 24 CODEC(ZSTD(1));

-- In how many hours of a day one device counts; 0 for releases of the whole day.
ALTER TABLE seals
    ADD COLUMN IF NOT EXISTS window  UInt8 DEFAULT 24 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS windows UInt8 DEFAULT 0  CODEC(ZSTD(1));
