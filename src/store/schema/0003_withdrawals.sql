-- Withdrawals of consent: their cases, and the devices whose rows are being erased.

-- What was done about a case, a line for each step. No row here is about a device: no identifier, tag, token, and no count of rows.
CREATE TABLE IF NOT EXISTS withdrawals (
    case     String               CODEC(ZSTD(1)),
    step     String               CODEC(ZSTD(1)),
    at       DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    received Date                 CODEC(ZSTD(1)),
    due      Date                 CODEC(ZSTD(1)),
    app      String               CODEC(ZSTD(1)),
    list     String               CODEC(ZSTD(1)),
    days     Array(Date)          CODEC(ZSTD(1)),
    usage    Bool                 CODEC(ZSTD(1)),
    places   Bool                 CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (case, at)
SETTINGS
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 10000;

-- Whose rows an erasure deletes. In memory alone: the engine writes the text of a deletion to its disk, and this is how that
-- text names no token. Filled for the time of an erasure, and empty after a crash, so that a deletion that the engine takes up
-- again at a start deletes nothing.
CREATE TABLE IF NOT EXISTS erasing (
    day   Date,
    app   UInt32,
    token UInt64
)
ENGINE = Memory;
