-- Days whose releases are deleted, since they are older than the retention. Their lines in `seals` stay.
CREATE TABLE IF NOT EXISTS deletions (
    day        Date            CODEC(ZSTD(1)),
    deleted_at DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY day
SETTINGS
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 10000;
