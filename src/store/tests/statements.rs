//! Statements, their values, and their failures.

use std::time::Duration;

use super::*;

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
        assert_eq!((row.large, row.small, row.day.as_str()), (u64::MAX, i64::MIN, "2026-02-16"));
        assert_eq!(row.numbers, [0, u32::MAX]);
        assert!((row.fraction - 0.1).abs() < f64::EPSILON);
    }
}

#[test]
fn a_bound_value_of_the_wrong_type_is_refused() {
    let store = store("wrong_type");
    let store: &dyn Store = &*store;
    let error = store.select(&Statement::new("SELECT {n:UInt8}").bind("n", "secret-7")).unwrap_err();
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
                    store.insert(Table::PlacesOpen, &format!("t{round}"), &places(DAY, 0..rows)).unwrap();
                    assert_eq!(count(store, Table::PlacesOpen), rows * (round + 1));
                }
            });
        }
    });
}

#[test]
fn a_database_can_be_dropped() {
    let dropped = store("dropped_database");
    dropped.insert(Table::PlacesOpen, "a", &places(DAY, 0..10)).unwrap();
    dropped.engine().drop_database("dropped_database").unwrap();
    assert_eq!(count(&store("dropped_database"), Table::PlacesOpen), 0);
    assert!(matches!(dropped.engine().drop_database("a`b"), Err(StoreError::InvalidName { .. })));
}

#[test]
fn failures_have_their_own_errors() {
    let store = store("failures");
    let store: &dyn Store = &*store;
    let fails = |text: &'static str| store.select(&Statement::new(text)).unwrap_err();

    let error = fails("SELECT * FROM nowhere WHERE x = 'secret-1'");
    let StoreError::Rejected { code: 60, ref name, ref detail } = error else { panic!("{error:?}") };
    assert_eq!(name, "UNKNOWN_TABLE");
    assert!(detail.expose().contains("nowhere"));

    let error = fails("SELECT throwIf(1, 'secret (SECRET)')");
    assert!(matches!(&error, StoreError::Rejected { code: 395, .. }));
    assert!(!format!("{error} {error:?}").to_lowercase().contains("secret"), "{error:?}");

    let memory = "SELECT uniqExact(number) FROM numbers(100000000) SETTINGS max_memory_usage = 20000000";
    assert!(matches!(fails(memory), StoreError::Memory));

    let slow = Statement::new("SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1");
    let error = store.select(&slow.within(Duration::from_secs(1))).unwrap_err();
    assert!(matches!(error, StoreError::Timeout), "{error:?}");
    assert!(error.is_transient());
    // The limit does not stay with the session.
    store.select(&Statement::new("SELECT sleepEachRow(0.6) FROM numbers(2)")).unwrap();
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
    let logs =
        Statement::new("SELECT count() AS n FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log'");
    assert_eq!(store.rows::<Count>(&logs).unwrap(), [Count { n: 0 }]);
    let memory = Statement::new(
        "SELECT toUInt64(value) AS n FROM system.server_settings WHERE name = 'max_server_memory_usage'",
    );
    assert_eq!(store.rows::<Count>(&memory).unwrap(), [Count { n: 900_000_000 }]);
}

#[test]
fn a_backup_goes_into_its_folder_alone() {
    let store = store("backup");
    store.insert(Table::Ledger, "a", b"\x14\x50\x01a\x01b\x01\0\0\0\0\0\0\0").unwrap();
    let inside = store.engine().backups().join("one");
    let text = "BACKUP DATABASE backup TO File({path:String})";
    // BACKUP takes a literal; the path is the test's own.
    let backup =
        |path: &Path| store.select(&Statement::new(text.replace("{path:String}", &format!("'{}'", path.display()))));
    backup(&inside).unwrap();
    assert!(inside.exists());
    assert!(backup(&store.folder().join("outside")).is_err());
}
