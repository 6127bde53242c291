//! Migrations, and what they leave.

use super::super::migrate::{Migration, apply, known};
use super::*;

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
    store.execute(&Statement::new("TRUNCATE TABLE migrations")).unwrap();
    store.execute(&Statement::new("DROP TABLE audit")).unwrap();
    assert_eq!(migrate(&*store).unwrap(), [1, 2, 3, 4, 5]);
    assert_eq!(count(&store, Table::Audit), 0);
}

#[test]
fn a_newer_schema_stops_with_its_numbers() {
    let store = store("newer_schema");
    let error = apply(&*store, &known()[..1]).unwrap_err();
    assert!(matches!(error, StoreError::SchemaNewer { found: 5, known: 1 }), "{error:?}");
}

#[test]
fn a_migration_that_was_changed_afterwards_is_noticed() {
    let store = store("changed_schema");
    let changed = [Migration { text: "SELECT 1", ..known()[0] }, known()[1], known()[2], known()[3], known()[4]];
    let error = apply(&*store, &changed).unwrap_err();
    assert!(matches!(error, StoreError::SchemaChanged { number: 1 }), "{error:?}");
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
        if table.name == "erasing" {
            assert!(table.text.ends_with("ENGINE = Memory"), "no file holds a token of it: {}", table.text);
            continue;
        }
        let mut wanted =
            vec!["fsync_after_insert = 1", "fsync_part_directory = 1", "min_rows_to_fsync_after_merge = 1"];
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
