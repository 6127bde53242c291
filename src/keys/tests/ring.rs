//! Which days are open, on one collector with keys of its own.

use std::fs;

use super::*;

fn keyring(folder: &Path) -> Keyring {
    keyring_of(folder, KeyMode::Own)
}

fn open(keyring: &Keyring, now: i64) -> Vec<String> {
    keyring.open_days(now).unwrap().days.iter().map(|(day, _)| date_of(*day).to_string()).collect()
}

#[test]
fn a_day_is_open_until_its_grace_ends() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(folder.path());
    assert_eq!(open(&keyring, NOON), ["2026-10-05"]);
    assert_eq!(open(&keyring, NOON + 13 * HOUR_MS), ["2026-10-05", "2026-10-06"]);
    assert_eq!(open(&keyring, NOON + 18 * HOUR_MS - 1), ["2026-10-05", "2026-10-06"]);
    assert_eq!(open(&keyring, NOON + 18 * HOUR_MS), ["2026-10-06"]);
}

#[test]
fn a_restart_keeps_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let first = token(&keyring(folder.path()), NOON).unwrap();
    assert!(first == token(&keyring(folder.path()), NOON).unwrap());
    assert_eq!(keyring(folder.path()).records().len(), 1);
}

#[actix_web::test]
async fn a_destroyed_day_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let day = day_of(TODAY);
    {
        let keyring = keyring(folder.path());
        open(&keyring, NOON);
        keyring.close(day, NOON + 24 * HOUR_MS).await.unwrap();
        keyring.destroy(day, NOON + 24 * HOUR_MS).unwrap();
        assert!(matches!(keyring.open_days(NOON), Err(KeyError::Destroyed(_))));
    }
    let keyring = keyring(folder.path());
    assert!(matches!(keyring.open_days(NOON), Err(KeyError::Destroyed(_))));
    assert!(keyring.records()[0].destroyed_at.is_some());
    assert_eq!(fs::read_dir(folder.path().join("keys")).unwrap().count(), 0);
}

#[actix_web::test]
async fn a_seal_just_after_midnight_leaves_the_new_day_open() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(folder.path());
    open(&keyring, NOON);
    let midnight = NOON + 12 * HOUR_MS;
    keyring.destroy(day_of(TODAY), midnight).unwrap();
    assert_eq!(open(&keyring, midnight), ["2026-10-06"]);
}

#[actix_web::test]
async fn a_closed_day_takes_nothing_and_waits_for_its_users() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = keyring(folder.path());
    open(&keyring, NOON);
    let next_day = NOON + 13 * HOUR_MS;
    let used = keyring.open_days(next_day).unwrap();
    let day = used.days[0].0;
    // Another request publishes a set without the day; the first one still holds it.
    keyring.shut(day, next_day);
    assert!(keyring.is_in_use(day));
    drop(used);
    keyring.close(day, next_day).await.unwrap();
    assert_eq!(open(&keyring, next_day), ["2026-10-06"]);
    keyring.reopen(day, next_day);
    assert_eq!(open(&keyring, next_day), ["2026-10-05", "2026-10-06"]);
}

#[test]
fn a_folder_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o755)).unwrap();
    let zone = Zone::named("Asia/Almaty").unwrap();
    let opened = Keyring::open(&keys, &folder.path().join("r"), zone, 0, KeyMode::Own);
    assert!(matches!(opened, Err(KeyError::Folder(..))));
}

#[test]
fn what_an_interrupted_write_left_is_erased_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    open(&keyring(folder.path()), NOON);
    for left in ["2026-10-06.key.fresh", "shared.state.fresh", "2026-10-04.fresh"] {
        fs::write(folder.path().join("keys").join(left), [7; 32]).unwrap();
    }
    keyring(folder.path());
    let names: Vec<_> = fs::read_dir(folder.path().join("keys")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["2026-10-05.key"]);
}

#[test]
fn a_file_of_another_length_is_no_key_and_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    open(&keyring(folder.path()), NOON);
    fs::write(folder.path().join("keys/2026-10-05.key"), b"secret words").unwrap();
    let zone = Zone::named("Asia/Almaty").unwrap();
    let (keys, record) = (folder.path().join("keys"), folder.path().join("keys.jsonl"));
    let error = Keyring::open(&keys, &record, zone, 0, KeyMode::Own).unwrap_err();
    assert!(matches!(error, KeyError::Damaged(_)) && !error.to_string().contains("secret words"));
}

#[test]
fn a_key_whose_record_a_crash_cut_off_is_recorded_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = token(&keyring(folder.path()), NOON).unwrap();
    fs::write(folder.path().join("keys.jsonl"), "\n{\"day\":\"2026-1").unwrap();
    let keyring = keyring(folder.path());
    assert!(keyring.records().is_empty());
    keyring.keep_pace(NOON).unwrap();
    assert_eq!(keyring.records().len(), 1);
    assert!(first == token(&keyring, NOON).unwrap());
}
