//! Several collectors that share keys, over weeks.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;
use tuman_privacy::token::{DayKey, Ratchet, Tokeniser};

use super::*;
use crate::keys::shared::Replace;

/// A collector's folder and its keyring.
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

    fn founder(now: i64) -> Member {
        let member = Member::new();
        member.keyring.init_shared(now).unwrap();
        member
    }

    fn joined(to: &Member, now: i64) -> Member {
        let member = Member::new();
        let offer = to.keyring.offer(&member.keyring.request().unwrap(), now).unwrap();
        assert!(member.keyring.join(&offer, Replace::No, now).unwrap().shares_today);
        member
    }

    fn restarted(self, now: i64) -> Member {
        let keyring = keyring_of(self.folder.path(), KeyMode::Shared);
        keyring.keep_pace(now).unwrap();
        Member { folder: self.folder, keyring }
    }

    fn token(&self, now: i64) -> Token {
        token(&self.keyring, now).unwrap()
    }

    fn day_key(&self, day: Date) -> Option<[u8; 32]> {
        fs::read(self.file(&format!("{day}.key"))).ok().map(|bytes| bytes.try_into().unwrap())
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("keys").join(name)
    }

    /// The state as a thief of the key folder finds it.
    fn stolen(&self) -> [u8; 32] {
        fs::read(self.file("shared.state")).unwrap()[18..].try_into().unwrap()
    }

    /// Hands a mix to another member.
    fn mix(&self, day: Option<Date>, other: &Member, now: i64) -> Result<Date, KeyError> {
        let offer = self.keyring.mix_offer(day, &[other.keyring.request()?], now)?;
        other.keyring.mix_accept(&offer, now)
    }
}

fn days(n: i64) -> i64 {
    NOON + n * DAY_MS
}

#[test]
fn two_collectors_give_one_device_one_token_for_weeks() {
    let a = Member::founder(NOON);
    let b = Member::joined(&a, NOON + HOUR_MS);
    let mut seen = Vec::new();
    for n in 0..21 {
        assert!(a.token(days(n)) == b.token(days(n)), "day {n}");
        seen.push(a.token(days(n)));
        if n > 0 {
            let over = day_of(date_of(a.keyring.zone.day(days(n - 1))));
            a.keyring.destroy(over, days(n)).unwrap();
            b.keyring.destroy(over, days(n)).unwrap();
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 21);
    // A third one, which was off meanwhile, comes to the same state by itself.
    assert_eq!(a.keyring.shown().unwrap(), b.keyring.shown().unwrap());
}

#[test]
fn a_collector_that_was_off_for_days_catches_up_and_forgets_the_days_between() {
    let a = Member::founder(NOON);
    let b = Member::joined(&a, NOON);
    for n in 1..9 {
        a.token(days(n));
    }
    let b = b.restarted(days(9));
    assert!(a.token(days(9)) == b.token(days(9)));
    assert_eq!(b.keyring.days(), [day_of(TODAY), day_of(date(2026, 10, 14))]);
    assert!(matches!(token(&b.keyring, days(5)), Err(KeyError::Passed(_))), "a day between has no key");
}

#[test]
fn an_idle_collector_keeps_pace_without_a_report() {
    let a = Member::founder(NOON);
    let before = a.stolen();
    a.keyring.keep_pace(days(1)).unwrap();
    assert_ne!(a.stolen(), before);
    assert_eq!(a.keyring.leads_to().unwrap(), Some(day_of(date(2026, 10, 7))));
    assert!(a.day_key(date(2026, 10, 6)).is_some(), "the key was made as the state passed the day");
}

#[test]
fn the_keys_are_those_of_the_published_derivation() {
    let a = Member::founder(NOON);
    let b = Member::joined(&a, NOON);
    // From the state of tomorrow on, as someone else would compute it from the vectors' description.
    let mut ratchet = Ratchet::take(&mut a.stolen());
    for n in 1..4 {
        let expected = Tokeniser::new(&ratchet.day_key()).token("a", Purpose::Usage, &id());
        assert!(b.token(days(n)) == expected, "day {n}");
        ratchet.advance();
    }
}

#[test]
fn a_stolen_state_reveals_no_day_that_has_begun() {
    let a = Member::founder(NOON);
    let mut begun = Vec::new();
    for n in 0..15 {
        a.token(days(n));
        begun.push(a.day_key(date_of(a.keyring.zone.day(days(n)))).unwrap());
        // The thief computes every key that the state leads to, for two months.
        let mut ratchet = Ratchet::take(&mut a.stolen());
        for _ in 0..60 {
            assert!(!begun.contains(ratchet.day_key().expose()));
            ratchet.advance();
        }
    }
}

#[test]
fn fresh_entropy_locks_a_thief_out_and_keeps_the_group_together() {
    let a = Member::founder(NOON);
    let b = Member::joined(&a, NOON);
    let mut stolen = Ratchet::take(&mut a.stolen());
    assert_eq!(a.mix(Some(date(2026, 10, 7)), &b, NOON).unwrap(), date(2026, 10, 7));
    // Tomorrow the thief still follows; on the day of the mix, and ever after, no more.
    let of = |ratchet: &Ratchet| Tokeniser::new(&ratchet.day_key()).token("a", Purpose::Usage, &id());
    assert!(a.token(days(1)) == b.token(days(1)) && a.token(days(1)) == of(&stolen));
    for n in 2..6 {
        stolen.advance();
        assert!(a.token(days(n)) == b.token(days(n)) && a.token(days(n)) != of(&stolen), "day {n}");
    }
    assert!(fs::read_dir(a.file("")).unwrap().all(|e| !e.unwrap().file_name().to_string_lossy().contains("entropy")));
}

#[test]
fn two_mixes_of_one_day_give_the_same_whatever_came_first() {
    let a = Member::founder(NOON);
    let b = Member::joined(&a, NOON);
    let (to_a, to_b) = (a.keyring.request().unwrap(), b.keyring.request().unwrap());
    let from_a = a.keyring.mix_offer(None, &[to_b], NOON).unwrap();
    let from_b = b.keyring.mix_offer(None, &[to_a], NOON).unwrap();
    b.keyring.mix_accept(&from_a, NOON).unwrap();
    assert_ne!(a.keyring.shown().unwrap(), b.keyring.shown().unwrap(), "people can see that one is missing");
    a.keyring.mix_accept(&from_b, NOON).unwrap();
    assert_eq!(a.keyring.shown().unwrap(), b.keyring.shown().unwrap());
    assert_eq!(a.keyring.shown().unwrap().unwrap().mixes.len(), 2);
    assert!(a.token(days(1)) == b.token(days(1)));
}

#[test]
fn a_member_that_joins_gets_the_entropy_that_waits() {
    let a = Member::founder(NOON);
    let b = Member::joined(&a, NOON);
    a.mix(Some(date(2026, 10, 8)), &b, NOON).unwrap();
    let c = Member::joined(&b, days(1));
    for n in 1..6 {
        assert!(a.token(days(n)) == c.token(days(n)), "day {n}");
    }
}

#[test]
fn mixes_that_come_too_late_or_from_elsewhere_are_refused() {
    let (a, b) = (Member::founder(NOON), Member::new());
    let offered = |day, now| a.keyring.mix_offer(Some(day), &[b.keyring.request().unwrap()], now);
    for day in [TODAY, date(2026, 10, 4), date(2026, 11, 5), date(1960, 1, 1), date(2200, 1, 1)] {
        assert!(matches!(offered(day, NOON), Err(KeyError::NotAComingDay(_))), "{day}");
    }
    let mix = offered(date(2026, 10, 6), NOON).unwrap();
    assert!(matches!(b.keyring.mix_accept(&mix, NOON), Err(KeyError::NoState)));
    b.keyring.init_shared(NOON).unwrap();
    let error = b.keyring.mix_accept(&mix, NOON).unwrap_err();
    assert!(matches!(error, KeyError::Handover(HandoverError::WrongGroup)));

    let c = Member::joined(&a, NOON);
    let mix = a.keyring.mix_offer(None, &[c.keyring.request().unwrap()], NOON).unwrap();
    assert!(matches!(c.keyring.mix_accept(&mix, days(1)), Err(KeyError::NotAComingDay(_))), "its day has begun");
}

#[test]
fn a_hand_over_is_for_its_receiver_its_day_and_its_purpose() {
    let (a, b, c) = (Member::founder(NOON), Member::new(), Member::new());
    let offer = a.keyring.offer(&b.keyring.request().unwrap(), NOON).unwrap();
    let refusal = |member: &Member, text: &str, now| match member.keyring.join(text, Replace::No, now) {
        Err(KeyError::Handover(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(&c, &offer, NOON), HandoverError::NoRequest);
    c.keyring.request().unwrap();
    assert_eq!(refusal(&c, &offer, NOON), HandoverError::NotForUs);
    assert_eq!(refusal(&b, &offer, days(1)), HandoverError::WrongDay);
    assert_eq!(refusal(&b, &offer, days(-1)), HandoverError::WrongDay);
    assert_eq!(refusal(&b, "age1 something", NOON), HandoverError::NotAFile);
    assert_eq!(refusal(&b, &offer[..offer.len() / 2], NOON), HandoverError::NotAFile);
    let mix = a.keyring.mix_offer(None, &[b.keyring.request().unwrap()], NOON).unwrap();
    assert_eq!(refusal(&b, &mix, NOON), HandoverError::WrongKind);
    assert!(matches!(a.keyring.offer("age1short", NOON), Err(KeyError::Handover(HandoverError::NotARecipient))));
    assert!(matches!(a.keyring.mix_offer(None, &[], NOON), Err(KeyError::Handover(HandoverError::NoRecipient))));

    b.keyring.join(&offer, Replace::No, NOON).unwrap();
    assert!(matches!(b.keyring.join(&offer, Replace::No, NOON), Err(KeyError::HasState)));
    assert_eq!(refusal_with_replace(&b, &offer), HandoverError::NoRequest, "a request opens one hand-over");
}

fn refusal_with_replace(member: &Member, text: &str) -> HandoverError {
    match member.keyring.join(text, Replace::Yes, NOON) {
        Err(KeyError::Handover(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_collector_of_another_zone_cannot_join() {
    let a = Member::founder(NOON);
    let folder = tempfile::tempdir().unwrap();
    let zone = Zone::named("Asia/Tashkent").unwrap();
    let (keys, record) = (folder.path().join("keys"), folder.path().join("keys.jsonl"));
    let b = Keyring::open(&keys, &record, zone, 0, KeyMode::Shared).unwrap();
    let offer = a.keyring.offer(&b.request().unwrap(), NOON).unwrap();
    let refused = b.join(&offer, Replace::No, NOON);
    assert!(matches!(refused, Err(KeyError::Handover(HandoverError::WrongZone))));
}

#[test]
fn keys_of_a_day_that_has_begun_stay_and_become_the_groups() {
    let folder = tempfile::tempdir().unwrap();
    let own = token(&keyring_of(folder.path(), KeyMode::Own), NOON).unwrap();
    let keyring = keyring_of(folder.path(), KeyMode::Shared);
    keyring.init_shared(NOON).unwrap();
    let a = Member { folder, keyring };
    let b = Member::joined(&a, NOON);
    assert!(a.token(NOON) == own && b.token(NOON) == own);
    // Who has a key of its own for today keeps it, and shares from tomorrow on.
    let folder = tempfile::tempdir().unwrap();
    let own = token(&keyring_of(folder.path(), KeyMode::Own), NOON).unwrap();
    let c = Member { keyring: keyring_of(folder.path(), KeyMode::Shared), folder };
    let offer = a.keyring.offer(&c.keyring.request().unwrap(), NOON).unwrap();
    assert!(!c.keyring.join(&offer, Replace::No, NOON).unwrap().shares_today);
    assert!(c.token(NOON) == own && c.token(days(1)) == a.token(days(1)));
}

#[test]
fn a_joiner_learns_nothing_of_yesterday() {
    let a = Member::founder(NOON);
    let b = Member::joined(&a, days(1));
    assert_eq!(a.keyring.open_days(NOON + 13 * HOUR_MS).unwrap().days.len(), 2);
    assert_eq!(b.keyring.open_days(NOON + 13 * HOUR_MS).unwrap().days.len(), 1);
    assert!(b.day_key(TODAY).is_none());
}

#[test]
fn a_clock_set_back_brings_no_day_back() {
    let a = Member::founder(NOON);
    a.token(days(3));
    let state = a.stolen();
    for n in [2, 1, -1] {
        assert!(matches!(token(&a.keyring, days(n)), Err(KeyError::Passed(_))), "day {n}");
        a.keyring.keep_pace(days(n)).unwrap();
    }
    assert_eq!(a.stolen(), state);
    assert!(token(&a.keyring, days(3)).is_ok());
    // A destroyed day stays destroyed, also where another member hands its key over.
    let b = Member::joined(&a, days(3));
    b.keyring.destroy(day_of(date(2026, 10, 8)), days(4)).unwrap();
    let offer = a.keyring.offer(&b.keyring.request().unwrap(), days(3)).unwrap();
    let joined = b.keyring.join(&offer, Replace::Yes, days(3)).unwrap();
    assert!(!joined.shares_today);
    assert!(matches!(token(&b.keyring, days(3)), Err(KeyError::Destroyed(_))));
    // And a state that would lead to a destroyed day is not taken.
    let c = Member::joined(&a, days(3));
    c.keyring.destroy(day_of(date(2026, 10, 9)), days(5)).unwrap();
    let offer = a.keyring.offer(&c.keyring.request().unwrap(), days(3)).unwrap();
    assert!(matches!(c.keyring.join(&offer, Replace::Yes, days(3)), Err(KeyError::LeadsToSealed(_))));
}

#[test]
fn a_day_is_destroyed_after_the_state_has_passed_it() {
    let a = Member::founder(NOON);
    // Sealed at its midnight, before anything else has seen the new day.
    a.keyring.destroy(day_of(TODAY), NOON + 12 * HOUR_MS).unwrap();
    assert_eq!(a.keyring.leads_to().unwrap(), Some(day_of(date(2026, 10, 7))));
    assert_eq!(a.keyring.days(), [day_of(date(2026, 10, 6))]);
}

#[test]
fn in_own_mode_a_state_that_was_left_goes_on_and_is_not_used() {
    let a = Member::founder(NOON);
    let before = a.stolen();
    let own = keyring_of(a.folder.path(), KeyMode::Own);
    assert!(token(&own, days(2)).is_ok());
    assert_ne!(a.stolen(), before);
    let mut ratchet = Ratchet::take(&mut before.clone());
    ratchet.advance();
    assert_ne!(a.day_key(date(2026, 10, 7)).as_ref(), Some(ratchet.day_key().expose()));
    for refused in [own.request().map(drop), own.init_shared(NOON).map(drop), own.offer("age1", NOON).map(drop)] {
        assert!(matches!(refused, Err(KeyError::NotShared | KeyError::Handover(_))));
    }
}

#[test]
fn without_a_state_there_is_no_key_and_it_is_said() {
    let a = Member::new();
    assert!(matches!(token(&a.keyring, NOON), Err(KeyError::NoState)));
    assert!(a.keyring.lacks_state(NOON));
    a.keyring.init_shared(NOON).unwrap();
    assert!(!a.keyring.lacks_state(NOON) && token(&a.keyring, NOON).is_ok());
    assert!(matches!(a.keyring.init_shared(NOON), Err(KeyError::HasState)));
}

#[test]
fn damaged_files_are_refused_and_not_shown() {
    let a = Member::founder(NOON);
    let state = fs::read(a.file("shared.state")).unwrap();
    for damaged in [&state[..49], &[b"otherone".as_slice(), &state[8..]].concat()] {
        fs::write(a.file("shared.state"), damaged).unwrap();
        assert!(matches!(a.keyring.keep_pace(days(1)), Err(KeyError::Damaged(_))));
    }
    fs::write(a.file("shared.state"), &state).unwrap();
    fs::write(a.file("mix-2026-10-06-0011223344556677.entropy"), [5; 32]).unwrap();
    assert!(matches!(a.keyring.keep_pace(days(1)), Err(KeyError::Damaged(_))), "its name is not its own");
}

#[test]
fn what_is_recorded_holds_no_secret() {
    let a = Member::founder(NOON);
    let b = Member::joined(&a, NOON);
    a.mix(None, &b, NOON).unwrap();
    let mut secrets = vec![a.stolen().to_vec(), a.day_key(TODAY).unwrap().to_vec()];
    for entry in fs::read_dir(a.file("")).unwrap() {
        secrets.push(fs::read(entry.unwrap().path()).unwrap());
    }
    let record = fs::read_to_string(a.folder.path().join("keys.jsonl")).unwrap();
    for secret in secrets {
        assert!(!record.contains(&hex::encode(&secret)));
    }
    let shown = format!("{:?} {:?}", a.keyring, a.keyring.open_days(NOON).unwrap());
    assert!(!shown.contains(&format!("{:?}", a.stolen())));
    for act in ["keys_shared", "keys_offered", "keys_mix_offered"] {
        assert_eq!(record.matches(act).count(), 1, "{record}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_calendar_of_reports_restarts_and_mixes_keeps_two_collectors_together(
        steps in proptest::collection::vec((0_u8..5, 0_i64..40), 1..14),
    ) {
        let (mut a, mut b) = (Member::founder(NOON), None::<Member>);
        let mut now = NOON;
        let mut before = Vec::new();
        for (act, hours) in steps {
            now += hours * HOUR_MS;
            let other = match b.take() {
                None => Member::joined(&a, now),
                Some(other) => other,
            };
            b = Some(match act {
                0 => other.restarted(now),
                1 => { a = a.restarted(now); other }
                2 => { a.mix(None, &other, now).unwrap(); other }
                3 => { other.mix(Some(date_of(a.keyring.zone.day(now + 3 * DAY_MS))), &a, now).unwrap(); other }
                _ => other,
            });
            let other = b.as_ref().unwrap();
            prop_assert!(a.token(now) == other.token(now));
            let today = a.keyring.zone.day(now);
            let key = a.day_key(date_of(today)).unwrap();
            if before.last() != Some(&key) {
                prop_assert!(!before.contains(&key));
                before.push(key);
            }
            let first = Ratchet::take(&mut a.stolen());
            let stolen = DayKey::take(&mut first.day_key().expose().clone());
            prop_assert!(!before.contains(stolen.expose()));
        }
    }

    #[test]
    fn no_text_is_taken_for_a_hand_over(text in ".{0,200}") {
        let member = Member::new();
        member.keyring.request().unwrap();
        let refused = member.keyring.join(&text, Replace::No, NOON);
        prop_assert!(matches!(refused, Err(KeyError::Handover(HandoverError::NotAFile))));
    }
}
