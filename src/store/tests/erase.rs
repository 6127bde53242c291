//! Rows of single devices go, from every file.

use super::*;

fn device(day: u16, token: u64) -> Device {
    Device { day, app: 7, token }
}

/// Every file of the engine that holds a token as the machine writes it, or as text. Parts of this size are stored
/// uncompressed in effect: ZSTD keeps what it cannot shorten, and a token is random.
fn files_with(folder: &Path, token: u64) -> Vec<String> {
    let needles = [token.to_le_bytes().to_vec(), token.to_string().into_bytes()];
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, token));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        if needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle)) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// A number that is in no file by chance.
const TOKEN: u64 = 0x9d3f_5a71_c2e8_46b1;

#[test]
fn an_erased_device_is_in_no_file() {
    let store = store("erased_device");
    let day = DAY + 70;
    let engine = store.folder().join("engine");
    store.insert(Table::PlacesOpen, "a", &places(day, TOKEN..TOKEN + 1)).unwrap();
    store.insert(Table::PlacesOpen, "b", &places(day, 0..1000)).unwrap();
    store.insert(Table::PlacesOpen, "c", &[places(day, TOKEN..TOKEN + 1), places(day, 5..9)].concat()).unwrap();
    store.insert(Table::PlacesOpen, "d", &places(day + 1, TOKEN..TOKEN + 1)).unwrap();
    assert!(!files_with(&engine, TOKEN).is_empty(), "the control: before, it is there");

    let devices = [device(day, TOKEN), device(day + 1, TOKEN), device(day + 1, 77)];
    let found = store.find(Table::PlacesOpen, &devices).unwrap();
    assert_eq!(found, [Found { day, app: 7, rows: 2 }, Found { day: day + 1, app: 7, rows: 1 }]);
    assert_eq!(store.find(Table::UsageOpen, &devices).unwrap(), []);
    store.erase(Table::PlacesOpen, &devices).unwrap();
    assert_eq!(store.find(Table::PlacesOpen, &devices).unwrap(), []);
    assert_eq!(files_with(&engine, TOKEN), [""; 0]);
    assert_eq!(count(&store, Table::PlacesOpen), 1004);
    store.erase(Table::PlacesOpen, &devices).unwrap();
    store.drop_day(day).unwrap();
    assert_eq!(count(&store, Table::PlacesOpen), 0);
}

#[test]
fn only_the_rows_of_that_day_and_app_are_erased() {
    let store = store("erased_exactly");
    let day = DAY + 80;
    store.insert(Table::PlacesOpen, "a", &[places(day, 1..3), places(day + 1, 1..3)].concat()).unwrap();
    store.erase(Table::PlacesOpen, &[device(day, 1), Device { app: 8, ..device(day + 1, 1) }]).unwrap();
    assert_eq!(count(&store, Table::PlacesOpen), 3);
    store.erase(Table::PlacesOpen, &[]).unwrap();
    assert_eq!(count(&store, Table::PlacesOpen), 3);
}

#[test]
fn a_part_that_was_set_aside_goes_with_the_erasure() {
    let store = store("erased_aside");
    let day = DAY + 90;
    store.insert(Table::PlacesOpen, "a", &places(day, TOKEN + 1..TOKEN + 2)).unwrap();
    store.execute(&Statement::new("ALTER TABLE places_open DETACH PARTITION '2026-05-17'")).unwrap();
    assert!(!files_with(&store.folder().join("engine"), TOKEN + 1).is_empty());
    store.erase(Table::PlacesOpen, &[device(day, TOKEN + 1)]).unwrap();
    assert_eq!(files_with(&store.folder().join("engine"), TOKEN + 1), [""; 0]);
}

#[test]
fn an_erasure_is_done_while_rows_come_in_and_questions_are_asked() {
    let store = store("erased_under_load");
    let day = DAY + 100;
    store.insert(Table::PlacesOpen, "first", &places(day, 0..50_000)).unwrap();
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| {
            for round in 0..10_u64 {
                let rows = places(day, 100_000 + round * 1_000..101_000 + round * 1_000);
                store.insert(Table::PlacesOpen, &format!("round-{round}"), &rows).unwrap();
                count(&store, Table::PlacesOpen);
            }
        });
        for token in 0..3 {
            store.erase(Table::PlacesOpen, &[device(day, token)]).unwrap();
        }
        loading.join().unwrap();
    });
    assert_eq!(count(&store, Table::PlacesOpen), 50_000 - 3 + 10_000);
    assert_eq!(store.find(Table::PlacesOpen, &[device(day, 0), device(day, 1), device(day, 2)]).unwrap(), []);
    store.insert(Table::PlacesOpen, "round-1", &places(day, 101_000..102_000)).unwrap();
    assert_eq!(count(&store, Table::PlacesOpen), 50_000 - 3 + 10_000, "a segment that comes again is still known");
}
