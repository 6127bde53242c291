//! Rows go in once, and out with their day.

use super::*;

#[test]
fn the_same_token_is_stored_once() {
    let store = store("same_token");
    for token in ["segment-1", "segment-2", "segment-1", "segment-1"] {
        store.insert(Table::PlacesOpen, token, &places(DAY, 0..1000)).unwrap();
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
    store.insert(Table::PlacesOpen, "large", &places(DAY, 0..300_000)).unwrap();
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
    let error = store.insert(Table::PlacesOpen, "cut", &rows[..rows.len() - 3]).unwrap_err();
    assert!(matches!(error, StoreError::Rejected { .. }) && !error.is_transient(), "{error:?}");
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
        let error = store.insert(Table::PlacesOpen, token, &places(DAY, 0..1)).unwrap_err();
        assert!(matches!(error, StoreError::InvalidName { .. }), "{token}");
    }
}

#[test]
fn a_dropped_day_leaves_no_file() {
    let store = store("dropped_day");
    let day = DAY + 50;
    let partition = "20260407";
    store.insert(Table::PlacesOpen, "a", &places(day, 0..1000)).unwrap();
    store.insert(Table::PlacesOpen, "b", &places(day, 0..1000)).unwrap();
    store.insert(Table::PlacesOpen, "c", &places(day + 1, 0..5)).unwrap();
    // A merged part, and one that was set aside.
    store.execute(&Statement::new("OPTIMIZE TABLE places_open FINAL")).unwrap();
    store.execute(&Statement::new("ALTER TABLE places_open DETACH PARTITION '2026-04-07'")).unwrap();
    store.insert(Table::PlacesOpen, "d", &places(day, 0..1000)).unwrap();
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
        store.insert(Table::PlacesOpen, &format!("round-{round}"), &rows).unwrap();
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
