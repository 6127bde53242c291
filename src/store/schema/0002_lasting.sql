-- What lasts: the account of what arrived, the sealed releases and how they were made, and the audit
-- log. No row here is about a device.

-- Rows of one key are added up by the engine as it merges, so questions always sum(n).
CREATE TABLE IF NOT EXISTS ledger (
    day     Date   CODEC(ZSTD(1)),
    app     String CODEC(ZSTD(1)),
    outcome String CODEC(ZSTD(1)),
    n       Int64  CODEC(ZSTD(1))
)
ENGINE = SummingMergeTree
ORDER BY (day, app, outcome)
SETTINGS
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 10000;

-- Sorted for the questions: one app, one release, one breakdown, a range of days.
CREATE TABLE IF NOT EXISTS releases (
    day       Date          CODEC(ZSTD(1)),
    app       String        CODEC(ZSTD(1)),
    release   String        CODEC(ZSTD(1)),
    breakdown String        CODEC(ZSTD(1)),
    dims      Array(String) CODEC(ZSTD(1)),
    value     Int64         CODEC(ZSTD(1)),
    margin    Float64       CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (app, release, breakdown, day, dims)
SETTINGS
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS seals (
    day        Date            CODEC(ZSTD(1)),
    app        String          CODEC(ZSTD(1)),
    release    String          CODEC(ZSTD(1)),
    dims       Array(String)   CODEC(ZSTD(1)),
    bound      UInt32          CODEC(ZSTD(1)),
    epsilon    Float64         CODEC(ZSTD(1)),
    scale      Float64         CODEC(ZSTD(1)),
    threshold  Int64           CODEC(ZSTD(1)),
    mechanism  String          CODEC(ZSTD(1)),
    domain     UInt64          CODEC(ZSTD(1)),
    published  UInt64          CODEC(ZSTD(1)),
    suppressed String          CODEC(ZSTD(1)),
    sealed_at  DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (day, app, release)
SETTINGS
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS audit (
    seq      UInt64               CODEC(ZSTD(1)),
    at       DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    kind     String               CODEC(ZSTD(1)),
    detail   String               CODEC(ZSTD(1)),
    previous String               CODEC(ZSTD(1)),
    hash     String               CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY seq
SETTINGS
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    non_replicated_deduplication_window = 10000;
