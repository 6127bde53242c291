//! The embedded store against the real engine.
//!
//! The engine runs on one data folder per process, so the tests share one and take a database each. What needs
//! a process of its own runs in a child: this test binary again, told what to do by an environment variable.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::migrate::{Migration, apply, known};
use super::*;

const DAY: u16 = 20_500;

/// The engine that the tests of this process share, and the folder it works on.
struct Shared {
    engine: Arc<Engine>,
    folder: TempDir,
}

static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// A store in a database of its own.
///
/// The engine opens with the first of these and closes with the last, so that nothing is left behind when the
/// process ends. A test may meet an engine that was opened again: that is part of what is tested.
struct TestStore {
    store: Option<EmbeddedStore>,
    shared: Option<Arc<Shared>>,
}

fn store(database: &str) -> TestStore {
    let shared = shared();
    let store = EmbeddedStore::new(Arc::clone(&shared.engine), database).unwrap();
    TestStore {
        store: Some(store),
        shared: Some(shared),
    }
}

fn shared() -> Arc<Shared> {
    let mut shared = SHARED.lock().unwrap();
    if let Some(open) = shared.upgrade() {
        return open;
    }
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(&Options::new(folder.path())).unwrap();
    let opened = Arc::new(Shared { engine, folder });
    *shared = Arc::downgrade(&opened);
    opened
}

impl TestStore {
    fn engine(&self) -> &Arc<Engine> {
        &self.shared.as_ref().unwrap().engine
    }

    fn folder(&self) -> &Path {
        self.shared.as_ref().unwrap().folder.path()
    }
}

impl Deref for TestStore {
    type Target = EmbeddedStore;

    fn deref(&self) -> &EmbeddedStore {
        self.store.as_ref().unwrap()
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        // Under the lock, so that nobody opens the next engine before this one is closed.
        let _guard = SHARED.lock();
        self.store.take();
        self.shared.take();
    }
}

#[derive(Debug, Deserialize, PartialEq)]
struct Count {
    n: u64,
}

fn count(store: &EmbeddedStore, table: Table) -> u64 {
    let store: &dyn Store = store;
    let statement = Statement::new(format!("SELECT count() AS n FROM {}", table.name()));
    store.rows::<Count>(&statement).unwrap().pop().unwrap().n
}

/// Rows of `places_open`, one for each number.
fn places(day: u16, numbers: std::ops::Range<u64>) -> Vec<u8> {
    let mut rows = Vec::new();
    for number in numbers {
        rows.extend(day.to_le_bytes());
        rows.extend(7_u32.to_le_bytes());
        rows.extend(number.to_le_bytes());
        rows.push(5);
        rows.extend(b"v9v6h");
        rows.extend(1_u32.to_le_bytes());
    }
    rows
}

fn files_of(folder: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains(name) {
            found.push(entry.path().display().to_string());
        }
        found.extend(files_of(&entry.path(), name));
    }
    found
}

#[test]
fn migrations_run_once() {
    let store = store("migrations_run_once");
    assert_eq!(migrate(&*store).unwrap(), [0; 0]);
    let again = EmbeddedStore::new(Arc::clone(store.engine()), "migrations_run_once").unwrap();
    assert_eq!(again.describe().unwrap().schema, known().last().unwrap().number);
    let numbers: Vec<u32> = known().iter().map(|migration| migration.number).collect();
    assert_eq!(numbers, Vec::from_iter(1..=u32::try_from(numbers.len()).unwrap()));
}

#[test]
fn a_migration_that_stopped_half_way_runs_again() {
    let store = store("half_way");
    store
        .execute(&Statement::new("TRUNCATE TABLE migrations"))
        .unwrap();
    store.execute(&Statement::new("DROP TABLE audit")).unwrap();
    assert_eq!(migrate(&*store).unwrap(), [1, 2]);
    assert_eq!(count(&store, Table::Audit), 0);
}

#[test]
fn a_newer_schema_stops_with_its_numbers() {
    let store = store("newer_schema");
    let error = apply(&*store, &known()[..1]).unwrap_err();
    assert!(
        matches!(error, StoreError::SchemaNewer { found: 2, known: 1 }),
        "{error:?}"
    );
}

#[test]
fn a_migration_that_was_changed_afterwards_is_noticed() {
    let store = store("changed_schema");
    let changed = [
        Migration {
            text: "SELECT 1",
            ..known()[0]
        },
        known()[1],
    ];
    let error = apply(&*store, &changed).unwrap_err();
    assert!(
        matches!(error, StoreError::SchemaChanged { number: 1 }),
        "{error:?}"
    );
}

#[test]
fn the_live_columns_are_those_that_inserts_are_written_for() {
    #[derive(Deserialize)]
    struct Columns {
        structure: String,
    }
    let store = store("live_columns");
    let store: &dyn Store = &*store;
    for table in Table::ALL {
        let statement = Statement::new(
            "SELECT arrayStringConcat(groupArray(name || ' ' || type), ', ') AS structure FROM \
             (SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String} \
              ORDER BY position)",
        );
        let rows: Vec<Columns> = store.rows(&statement.bind("table", table.name())).unwrap();
        assert_eq!(rows[0].structure, table.structure(), "{}", table.name());
    }
}

#[test]
fn every_table_syncs_and_removes_old_open_rows_at_once() {
    #[derive(Deserialize)]
    struct Made {
        name: String,
        text: String,
    }
    let store = store("table_settings");
    let store: &dyn Store = &*store;
    let statement = Statement::new(
        "SELECT name, create_table_query AS text FROM system.tables WHERE database = currentDatabase()",
    );
    for table in store.rows::<Made>(&statement).unwrap() {
        let mut wanted = vec![
            "fsync_after_insert = 1",
            "fsync_part_directory = 1",
            "min_rows_to_fsync_after_merge = 1",
        ];
        if table.name.ends_with("_open") {
            wanted.push("old_parts_lifetime = 0");
        }
        if table.name != "migrations" {
            wanted.push("non_replicated_deduplication_window = 1000");
        }
        for setting in wanted {
            assert!(table.text.contains(setting), "{}: {setting}", table.name);
        }
    }
}

#[test]
fn the_same_token_is_stored_once() {
    let store = store("same_token");
    for token in ["segment-1", "segment-2", "segment-1", "segment-1"] {
        store
            .insert(Table::PlacesOpen, token, &places(DAY, 0..1000))
            .unwrap();
    }
    assert_eq!(count(&store, Table::PlacesOpen), 2000);
}

#[test]
fn rows_of_several_days_under_one_token_are_stored_once() {
    let store = store("several_days");
    let rows = [places(DAY, 0..10), places(DAY + 1, 0..10), places(DAY + 2, 0..10)].concat();
    store.insert(Table::PlacesOpen, "a", &rows).unwrap();
    store.insert(Table::PlacesOpen, "a", &rows).unwrap();
    assert_eq!(count(&store, Table::PlacesOpen), 30);
}

#[test]
fn a_large_insert_is_one_part() {
    let store = store("one_part");
    let store: &dyn Store = &*store;
    store
        .insert(Table::PlacesOpen, "large", &places(DAY, 0..300_000))
        .unwrap();
    let parts = Statement::new(
        "SELECT max(max_block_number) - min(min_block_number) + 1 AS n FROM system.parts \
         WHERE database = currentDatabase() AND table = 'places_open'",
    );
    assert_eq!(store.rows::<Count>(&parts).unwrap(), [Count { n: 1 }]);
}

#[test]
fn rows_that_end_too_early_are_refused_whole() {
    let store = store("cut_rows");
    let rows = places(DAY, 0..100);
    let error = store
        .insert(Table::PlacesOpen, "cut", &rows[..rows.len() - 3])
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Rejected { .. }) && !error.is_transient(),
        "{error:?}"
    );
    assert_eq!(count(&store, Table::PlacesOpen), 0);
    store.insert(Table::PlacesOpen, "cut", &rows).unwrap();
    assert_eq!(count(&store, Table::PlacesOpen), 100);
}

#[test]
fn no_rows_are_no_insert() {
    store("no_rows").insert(Table::PlacesOpen, "none", &[]).unwrap();
}

#[test]
fn a_token_that_could_leave_its_quotes_is_refused() {
    let store = store("odd_tokens");
    for token in ["", "a'b", "a b", "a\\", "é", &"a".repeat(201)] {
        let error = store
            .insert(Table::PlacesOpen, token, &places(DAY, 0..1))
            .unwrap_err();
        assert!(matches!(error, StoreError::InvalidName { .. }), "{token}");
    }
}

#[test]
fn a_dropped_day_leaves_no_file() {
    let store = store("dropped_day");
    let day = DAY + 50;
    let partition = "20260407";
    store
        .insert(Table::PlacesOpen, "a", &places(day, 0..1000))
        .unwrap();
    store
        .insert(Table::PlacesOpen, "b", &places(day, 0..1000))
        .unwrap();
    store
        .insert(Table::PlacesOpen, "c", &places(day + 1, 0..5))
        .unwrap();
    // A merged part, and one that was set aside.
    store
        .execute(&Statement::new("OPTIMIZE TABLE places_open FINAL"))
        .unwrap();
    store
        .execute(&Statement::new(
            "ALTER TABLE places_open DETACH PARTITION '2026-04-07'",
        ))
        .unwrap();
    store
        .insert(Table::PlacesOpen, "d", &places(day, 0..1000))
        .unwrap();
    let folders = files_of(&store.folder().join("engine"), partition);
    assert!(folders.len() >= 2, "{folders:?}");

    store.drop_day(day).unwrap();
    assert_eq!(files_of(&store.folder().join("engine"), partition), [""; 0]);
    assert_eq!(count(&store, Table::PlacesOpen), 5);
    store.drop_day(day).unwrap();
    store.drop_day(u16::MAX).unwrap();
}

#[test]
fn a_day_is_dropped_while_questions_read_it() {
    let store = store("dropped_under_questions");
    let rows = places(DAY + 60, 0..50_000);
    for round in 0..5 {
        store
            .insert(Table::PlacesOpen, &format!("round-{round}"), &rows)
            .unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                for _ in 0..5 {
                    let n = count_tokens(&store);
                    assert!(n == 0 || n == 50_000, "{n}");
                }
            });
            store.drop_day(DAY + 60).unwrap();
            reader.join().unwrap();
        });
        assert_eq!(count(&store, Table::PlacesOpen), 0);
    }
}

fn count_tokens(store: &EmbeddedStore) -> u64 {
    let store: &dyn Store = store;
    let statement = Statement::new("SELECT uniqExact(token) AS n FROM places_open");
    store.rows::<Count>(&statement).unwrap()[0].n
}

#[test]
fn bound_values_arrive_as_they_are() {
    #[derive(Deserialize)]
    struct Row {
        text: String,
        texts: Vec<String>,
        large: u64,
        small: i64,
        day: String,
        numbers: Vec<u32>,
        fraction: f64,
    }
    let nasty = [
        "",
        "a\tb\nc\rd",
        "it's \"quoted\" `so`",
        "back\\slash \\n \\\\ \\'",
        "қазақша 🌫 \u{0} \u{7}\u{8}\u{c}",
        "'; DROP TABLE audit; --",
        "{x:String} $$ ? %s NULL \\N",
        "[1,2]",
    ];
    let store = store("bound_values");
    let store: &dyn Store = &*store;
    for text in nasty {
        let statement = Statement::new(
            "SELECT {text:String} AS text, {texts:Array(String)} AS texts, {large:UInt64} AS large, \
             {small:Int64} AS small, {day:Date} AS day, {numbers:Array(UInt32)} AS numbers, \
             {fraction:Float64} AS fraction",
        )
        .bind("text", text)
        .bind("texts", &nasty[..])
        .bind("large", u64::MAX)
        .bind("small", i64::MIN)
        .bind("day", jiff::civil::date(2026, 2, 16))
        .bind("numbers", &[0_u32, u32::MAX][..])
        .bind("fraction", 0.1);
        let row: Row = store.rows(&statement).unwrap().pop().unwrap();
        assert_eq!(row.text, text);
        assert_eq!(row.texts, nasty);
        assert_eq!(
            (row.large, row.small, row.day.as_str()),
            (u64::MAX, i64::MIN, "2026-02-16")
        );
        assert_eq!(row.numbers, [0, u32::MAX]);
        assert!((row.fraction - 0.1).abs() < f64::EPSILON);
    }
}

#[test]
fn a_bound_value_of_the_wrong_type_is_refused() {
    let store = store("wrong_type");
    let store: &dyn Store = &*store;
    let error = store
        .select(&Statement::new("SELECT {n:UInt8}").bind("n", "secret-7"))
        .unwrap_err();
    assert!(matches!(error, StoreError::Rejected { .. }));
    assert!(!format!("{error} {error:?}").contains("secret-7"));
}

#[test]
fn two_databases_do_not_see_each_other() {
    let (one, other) = (store("database_one"), store("database_two"));
    std::thread::scope(|scope| {
        for (store, rows) in [(&one, 10_u64), (&other, 20)] {
            scope.spawn(move || {
                for round in 0..20 {
                    store
                        .insert(Table::PlacesOpen, &format!("t{round}"), &places(DAY, 0..rows))
                        .unwrap();
                    assert_eq!(count(store, Table::PlacesOpen), rows * (round + 1));
                }
            });
        }
    });
}

#[test]
fn a_database_can_be_dropped() {
    let dropped = store("dropped_database");
    dropped
        .insert(Table::PlacesOpen, "a", &places(DAY, 0..10))
        .unwrap();
    dropped.engine().drop_database("dropped_database").unwrap();
    assert_eq!(count(&store("dropped_database"), Table::PlacesOpen), 0);
    assert!(matches!(
        dropped.engine().drop_database("a`b"),
        Err(StoreError::InvalidName { .. })
    ));
}

#[test]
fn failures_have_their_own_errors() {
    let store = store("failures");
    let store: &dyn Store = &*store;
    let fails = |text: &'static str| store.select(&Statement::new(text)).unwrap_err();

    let error = fails("SELECT * FROM nowhere WHERE x = 'secret-1'");
    let StoreError::Rejected {
        code: 60,
        ref name,
        ref detail,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(name, "UNKNOWN_TABLE");
    assert!(detail.expose().contains("nowhere"));

    let error = fails("SELECT throwIf(1, 'secret (SECRET)')");
    assert!(matches!(&error, StoreError::Rejected { code: 395, .. }));
    assert!(
        !format!("{error} {error:?}").to_lowercase().contains("secret"),
        "{error:?}"
    );

    let memory = "SELECT uniqExact(number) FROM numbers(100000000) SETTINGS max_memory_usage = 20000000";
    assert!(matches!(fails(memory), StoreError::Memory));

    let slow = Statement::new("SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1");
    let error = store.select(&slow.within(Duration::from_secs(1))).unwrap_err();
    assert!(matches!(error, StoreError::Timeout), "{error:?}");
    assert!(error.is_transient());
    // The limit does not stay with the session.
    store
        .select(&Statement::new("SELECT sleepEachRow(0.6) FROM numbers(2)"))
        .unwrap();
}

#[test]
fn an_answer_of_another_shape_is_named_by_its_row() {
    let store = store("shapes");
    let store: &dyn Store = &*store;
    let statement = Statement::new("SELECT if(number = 1, 'secret-2', '1') AS n FROM numbers(2)");
    let error = store.rows::<Count>(&statement).unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { row: 1 }));
    assert!(!format!("{error:?}").contains("secret-2"));
}

#[test]
fn the_engine_keeps_no_log_and_its_limits() {
    let store = store("no_logs");
    let store: &dyn Store = &*store;
    let logs = Statement::new(
        "SELECT count() AS n FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log'",
    );
    assert_eq!(store.rows::<Count>(&logs).unwrap(), [Count { n: 0 }]);
    let memory = Statement::new(
        "SELECT toUInt64(value) AS n FROM system.server_settings WHERE name = 'max_server_memory_usage'",
    );
    assert_eq!(store.rows::<Count>(&memory).unwrap(), [Count { n: 900_000_000 }]);
}

#[test]
fn rows_on_their_way_leave_no_file() {
    let store = store("no_leftovers");
    store.insert(Table::PlacesOpen, "a", &places(DAY, 0..10)).unwrap();
    drop(store.insert(Table::PlacesOpen, "b", &[1, 2, 3]));
    let tmp = store.folder().join("tmp");
    let left: Vec<_> = std::fs::read_dir(tmp)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    // Other tests insert at the same time: none of this test's may be among them for long.
    assert!(left.len() < 20, "{left:?}");
}

#[test]
fn a_backup_goes_into_its_folder_alone() {
    let store = store("backup");
    store
        .insert(Table::Ledger, "a", b"\x14\x50\x01a\x01b\x01\0\0\0\0\0\0\0")
        .unwrap();
    let inside = store.engine().backups().join("one");
    let text = "BACKUP DATABASE backup TO File({path:String})";
    // BACKUP takes a literal; the path is the test's own.
    let backup = |path: &Path| {
        store.select(&Statement::new(
            text.replace("{path:String}", &format!("'{}'", path.display())),
        ))
    };
    backup(&inside).unwrap();
    assert!(inside.exists());
    assert!(backup(&store.folder().join("outside")).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_keeps_its_signal_handlers() {
    let _open = store("signals");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .unwrap();
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    let is_caught = |signal: i32| caught & (1 << (signal - 1)) != 0;
    // Rust's own, which tell of a stack overflow.
    assert!(is_caught(libc::SIGSEGV) && is_caught(libc::SIGBUS));
    for signal in [
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGABRT,
        libc::SIGILL,
        libc::SIGTSTP,
    ] {
        assert!(!is_caught(signal), "signal {signal}");
    }
}

// What follows needs a process of its own.

const ROLE: &str = "TUMAN_STORE_TEST_ROLE";
const FOLDER: &str = "TUMAN_STORE_TEST_FOLDER";

/// Runs this binary again on a data folder, to play a role.
fn child(role: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "store::tests::child_plays_its_role",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env(ROLE, role).env(FOLDER, folder).stdin(Stdio::null());
    command
}

fn play(role: &str, folder: &Path) -> String {
    let output = child(role, folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{role}: {:?}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn child_plays_its_role() {
    let (Ok(role), Some(folder)) = (std::env::var(ROLE), std::env::var_os(FOLDER)) else {
        return;
    };
    let engine = match Engine::open(&Options::new(&folder)) {
        Ok(engine) => engine,
        Err(error) => return println!("refused: {error}"),
    };
    let store = EmbeddedStore::new(Arc::clone(&engine), "tuman").unwrap();
    let insert = |token: &str| {
        store
            .insert(Table::PlacesOpen, token, &places(DAY, 0..1000))
            .unwrap()
    };
    match role.as_str() {
        "insert" => insert("a"),
        "leave open" => {
            insert("a");
            std::mem::forget(store);
            std::mem::forget(engine);
            return;
        }
        "be killed" => {
            insert("a");
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
        }
        other => assert_eq!(other, "count"),
    }
    println!("rows: {}", count(&store, Table::PlacesOpen));
}

#[test]
fn a_token_is_known_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    assert!(play("insert", folder.path()).contains("rows: 1000"));
    assert!(play("insert", folder.path()).contains("rows: 1000"));
    let modes: BTreeSet<u32> = ["engine", "tmp", "engine/tmp", "backups"]
        .iter()
        .map(|name| {
            std::os::unix::fs::PermissionsExt::mode(
                &folder.path().join(name).metadata().unwrap().permissions(),
            ) & 0o77
        })
        .collect();
    assert_eq!(modes, BTreeSet::from([0]));
}

#[test]
fn a_process_that_ends_with_the_store_open_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    play("leave open", folder.path());
    assert!(play("count", folder.path()).contains("rows: 1000"));
}

#[test]
fn what_was_inserted_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        !child("be killed", folder.path())
            .output()
            .unwrap()
            .status
            .success()
    );
    assert!(play("insert", folder.path()).contains("rows: 1000"));
}

#[test]
fn a_token_whose_rows_a_kill_took_is_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    play("insert", folder.path());
    // What a kill leaves between the engine's note of the token and the part's name.
    let part = files_of(&folder.path().join("engine/store"), "20260216_1_1_0");
    assert_eq!(part.len(), 1, "{part:?}");
    std::fs::remove_dir_all(&part[0]).unwrap();
    assert!(play("count", folder.path()).contains("rows: 0"));
    assert!(play("insert", folder.path()).contains("rows: 1000"));
}

#[test]
fn a_second_process_is_refused_by_the_lock() {
    let store = store("locked");
    let folder = store.folder();
    let text = play("count", folder);
    assert!(
        text.contains("refused: the data folder") && text.contains(&folder.display().to_string()),
        "{text}"
    );
}

#[test]
fn a_second_engine_in_the_process_is_refused() {
    let store = store("second_engine");
    assert!(matches!(
        Engine::open(&Options::new(store.folder())),
        Err(StoreError::Locked { .. })
    ));
    let other = tempfile::tempdir().unwrap();
    assert!(matches!(
        Engine::open(&Options::new(other.path())),
        Err(StoreError::NotStarted { .. })
    ));
}
