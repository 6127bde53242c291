//! Starts, ends, kills and second processes.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::*;

#[cfg(target_os = "linux")]
#[test]
fn the_process_keeps_its_signal_handlers() {
    // In a process of its own: other tests catch signals too.
    let folder = tempfile::tempdir().unwrap();
    let told = play("signals", folder.path());
    let caught = told.lines().find_map(|line| line.split_once("SigCgt:")).unwrap().1;
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    let is_caught = |signal: i32| caught & (1 << (signal - 1)) != 0;
    // Rust's own, which tell of a stack overflow.
    assert!(is_caught(libc::SIGSEGV) && is_caught(libc::SIGBUS));
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGABRT, libc::SIGILL, libc::SIGTSTP] {
        assert!(!is_caught(signal), "signal {signal}");
    }
}

const ROLE: &str = "TUMAN_STORE_TEST_ROLE";
const FOLDER: &str = "TUMAN_STORE_TEST_FOLDER";

/// Runs this binary again on a data folder, to play a role.
fn child(role: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::tests::process::child_plays_its_role", "--nocapture", "--test-threads=1"]);
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
    let insert = |token: &str| store.insert(Table::PlacesOpen, token, &places(DAY, 0..1000)).unwrap();
    match role.as_str() {
        "insert" => insert("a"),
        "signals" => println!("{}", std::fs::read_to_string("/proc/self/status").unwrap()),
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
            std::os::unix::fs::PermissionsExt::mode(&folder.path().join(name).metadata().unwrap().permissions())
                & 0o77
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
    assert!(!child("be killed", folder.path()).output().unwrap().status.success());
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
    assert!(text.contains("refused: the data folder") && text.contains(&folder.display().to_string()), "{text}");
}

#[test]
fn a_second_engine_in_the_process_is_refused() {
    let store = store("second_engine");
    assert!(matches!(Engine::open(&Options::new(store.folder())), Err(StoreError::Locked { .. })));
    let other = tempfile::tempdir().unwrap();
    assert!(matches!(Engine::open(&Options::new(other.path())), Err(StoreError::NotStarted { .. })));
}

#[test]
fn rows_on_their_way_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("tmp")).unwrap();
    std::fs::write(folder.path().join("tmp/7.rows"), "left by a kill").unwrap();
    play("insert", folder.path());
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}
