//! The process ends between any two steps of what is done with keys; the next start finds everything in order.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::keys::shared::Replace;

/// More steps than anything takes.
const MANY: usize = 60;

struct Member {
    folder: TempDir,
    keyring: Keyring,
}

impl Member {
    fn new() -> Member {
        let folder = tempfile::tempdir().unwrap();
        let keyring = keyring_of(folder.path(), KeyMode::Shared);
        Member { folder, keyring }
    }

    /// The process ends after `steps` steps of `work`, and starts again. Says whether `work` was done by then.
    fn crash(
        mut self,
        steps: usize,
        now: i64,
        work: impl FnOnce(&Keyring) -> Result<(), KeyError>,
    ) -> (Member, bool) {
        self.keyring.folder.crash.after(steps);
        let done = work(&self.keyring).is_ok();
        self.keyring = keyring_of(self.folder.path(), KeyMode::Shared);
        self.keyring.keep_pace(now).unwrap();
        (self, done)
    }

    fn names(&self) -> Vec<String> {
        self.keyring.folder.names().unwrap()
    }

    fn token(&self, now: i64) -> Token {
        token(&self.keyring, now).unwrap()
    }
}

/// A group of two, and entropy that waits for tomorrow at both.
fn group() -> (Member, Member) {
    let (a, b) = (Member::new(), Member::new());
    a.keyring.init_shared(NOON).unwrap();
    let offer = a.keyring.offer(&b.keyring.request().unwrap(), NOON).unwrap();
    b.keyring.join(&offer, Replace::No, NOON).unwrap();
    let mix = a.keyring.mix_offer(None, &[b.keyring.request().unwrap()], NOON).unwrap();
    b.keyring.mix_accept(&mix, NOON).unwrap();
    (a, b)
}

/// Runs a scenario with the process ending after 0, 1, 2 ... steps, until it ends no more.
fn at_every_step(scenario: impl Fn(usize) -> bool) {
    let done = (0..MANY).find(|steps| scenario(*steps)).unwrap();
    assert!(done > 2, "there are steps to crash between: {done}");
}

#[test]
fn a_crash_while_a_day_begins_costs_no_key_and_no_member() {
    at_every_step(|steps| {
        let (a, b) = group();
        let tomorrow = NOON + DAY_MS;
        let expected = a.token(tomorrow);
        let (b, done) = b.crash(steps, tomorrow, |keyring| keyring.keep_pace(tomorrow));
        assert!(b.token(tomorrow) == expected, "after {steps} steps");
        assert_eq!(b.keyring.shown().unwrap(), a.keyring.shown().unwrap());
        assert_eq!(b.names(), ["2026-10-05.key", "2026-10-06.key", "shared.state"]);
        // One key of the day, under one name.
        assert_eq!(b.keyring.records().len(), 2);
        done
    });
}

#[test]
fn a_crash_while_days_are_passed_costs_nothing_either() {
    at_every_step(|steps| {
        let (a, b) = group();
        let later = NOON + 5 * DAY_MS;
        a.token(NOON + DAY_MS);
        let (b, done) = b.crash(steps, later, |keyring| keyring.open_days(later).map(drop));
        assert!(b.token(later) == a.token(later), "after {steps} steps");
        done
    });
}

#[test]
fn a_crash_while_a_key_is_destroyed_never_brings_it_back() {
    at_every_step(|steps| {
        let (_, b) = group();
        let (day, tomorrow) = (day_of(TODAY), NOON + DAY_MS);
        let key = fs::read(b.folder.path().join("keys/2026-10-05.key")).unwrap();
        let (b, done) = b.crash(steps, tomorrow, |keyring| keyring.destroy(day, tomorrow));
        let recorded = b.keyring.records()[0].destroyed_at.is_some();
        assert_eq!(b.keyring.days().contains(&day), !recorded, "after {steps} steps: the record and the key agree");
        assert!(b.keyring.leads_to().unwrap().unwrap() > day);
        b.keyring.destroy(day, tomorrow).unwrap();
        assert!(!b.keyring.has_file_of(day).unwrap() && !b.keyring.days().contains(&day));
        for name in b.names() {
            let file = fs::read(b.folder.path().join("keys").join(name)).unwrap();
            assert!(!file.windows(32).any(|window| window == key));
        }
        done
    });
}

#[test]
fn a_crash_while_entropy_is_taken_over_can_be_repeated() {
    at_every_step(|steps| {
        let (a, b) = group();
        let day = Some(date(2026, 10, 9));
        let mix = a.keyring.mix_offer(day, &[b.keyring.request().unwrap()], NOON).unwrap();
        let (b, done) = b.crash(steps, NOON, |keyring| keyring.mix_accept(&mix, NOON).map(drop));
        match b.keyring.mix_accept(&mix, NOON) {
            // It was all done but for the answer.
            Ok(_) | Err(KeyError::Handover(HandoverError::NoRequest)) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(b.keyring.shown().unwrap(), a.keyring.shown().unwrap());
        let later = NOON + 4 * DAY_MS;
        assert!(a.token(later) == b.token(later), "after {steps} steps");
        done
    });
}

#[test]
fn a_crash_while_entropy_is_made_can_be_repeated_and_makes_no_second() {
    at_every_step(|steps| {
        let (a, b) = group();
        let day = Some(date(2026, 10, 9));
        let to = [b.keyring.request().unwrap()];
        let (a, done) = a.crash(steps, NOON, |keyring| keyring.mix_offer(day, &to, NOON).map(drop));
        let mix = a.keyring.mix_offer(day, &to, NOON).unwrap();
        b.keyring.mix_accept(&mix, NOON).unwrap();
        assert_eq!(a.keyring.shown().unwrap().unwrap().mixes.len(), 2, "one for tomorrow, one for the 9th");
        assert_eq!(b.keyring.shown().unwrap(), a.keyring.shown().unwrap());
        done
    });
}

#[test]
fn a_crash_while_joining_can_be_repeated() {
    at_every_step(|steps| {
        let (a, _) = group();
        let c = Member::new();
        let offer = a.keyring.offer(&c.keyring.request().unwrap(), NOON).unwrap();
        let (c, done) = c.crash(steps, NOON, |keyring| keyring.join(&offer, Replace::No, NOON).map(drop));
        match c.keyring.join(&offer, Replace::No, NOON) {
            Ok(_) | Err(KeyError::HasState) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(c.keyring.shown().unwrap(), a.keyring.shown().unwrap());
        assert!(c.token(NOON) == a.token(NOON));
        assert!(c.token(NOON + DAY_MS) == a.token(NOON + DAY_MS), "after {steps} steps");
        done
    });
}

#[test]
fn a_crash_while_a_group_begins_leaves_a_state_or_none() {
    at_every_step(|steps| {
        let (a, done) = Member::new().crash(steps, NOON, |keyring| keyring.init_shared(NOON).map(drop));
        match a.keyring.init_shared(NOON) {
            Ok(_) | Err(KeyError::HasState) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(a.keyring.open_days(NOON).is_ok() && !a.keyring.lacks_state(NOON));
        assert_eq!(a.keyring.records().len(), 1);
        done
    });
}
