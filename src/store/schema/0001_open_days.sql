-- Working data of the days that are not sealed yet. One partition a day, so that deletion is a drop.
--
-- Sorted by device: the sealer bounds what one device contributes, and its rows lie side by side.
--
-- Every part is synced before an insert or a merge returns, so a part that was merged away can go at
-- once (old_parts_lifetime): nothing of a dropped day waits on disk. The window holds the tokens of the
-- last inserts, so that the same segment is stored once however often it is sent.

CREATE TABLE IF NOT EXISTS usage_open (
    day              Date          CODEC(ZSTD(1)),
    hour             UInt8         CODEC(ZSTD(1)),
    app              UInt32        CODEC(ZSTD(1)),
    event            UInt32        CODEC(ZSTD(1)),
    token            UInt64        CODEC(ZSTD(1)),
    platform         UInt8         CODEC(ZSTD(1)),
    os               UInt8         CODEC(ZSTD(1)),
    version          UInt32        CODEC(ZSTD(1)),
    class            UInt8         CODEC(ZSTD(1)),
    language         UInt8         CODEC(ZSTD(1)),
    flags            UInt16        CODEC(ZSTD(1)),
    install_week_age UInt8         CODEC(ZSTD(1)),
    props            Array(UInt32) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY (app, token, event, hour)
SETTINGS
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    old_parts_lifetime = 0,
    non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS places_open (
    day   Date   CODEC(ZSTD(1)),
    app   UInt32 CODEC(ZSTD(1)),
    token UInt64 CODEC(ZSTD(1)),
    cell  String CODEC(ZSTD(1)),
    n     UInt32 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY (app, token, cell)
SETTINGS
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    old_parts_lifetime = 0,
    non_replicated_deduplication_window = 1000;
