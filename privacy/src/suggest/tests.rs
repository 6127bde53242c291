use alloc::vec;
use std::format;

use super::*;

const TODAY: Day = Day(20_731);

fn suggestions() -> Suggestions {
    Suggestions::new(&mut [7; 32])
}

/// A device sends a name.
fn send(suggestions: &mut Suggestions, device: u64, name: &str) {
    let sighting = Sighting::of(Token::of_number(device), None, name);
    suggestions.take("kz.demo.app", TODAY, sighting.into_iter().collect());
}

fn names(suggestions: &Suggestions) -> Vec<&str> {
    suggestions.suggested().map(|known| &*known.name).collect()
}

#[test]
fn a_name_comes_out_with_the_fiftieth_device_and_not_before() {
    let mut suggestions = suggestions();
    for device in 1..50 {
        send(&mut suggestions, device, "wish_list");
    }
    assert!(names(&suggestions).is_empty());
    send(&mut suggestions, 50, "wish_list");
    assert_eq!(names(&suggestions), ["wish_list"]);
}

#[test]
fn a_device_that_is_forgotten_has_sent_nothing() {
    let mut suggestions = suggestions();
    for device in 1..50 {
        send(&mut suggestions, device, "wish_list");
    }
    send(&mut suggestions, 7, "of_one_alone");
    suggestions.forget(Day(TODAY.0 - 1), Token::of_number(8));
    for device in [7, 99] {
        suggestions.forget(TODAY, Token::of_number(device));
    }
    assert_eq!(suggestions.pending.iter().map(|name| name.marks.len()).collect::<Vec<_>>(), [48]);
    send(&mut suggestions, 50, "wish_list");
    assert!(names(&suggestions).is_empty(), "49 are left");
    send(&mut suggestions, 51, "wish_list");
    assert_eq!(names(&suggestions), ["wish_list"]);
}

#[test]
fn one_device_ten_thousand_times_is_one_device() {
    let mut suggestions = suggestions();
    for _ in 0..10_000 {
        send(&mut suggestions, 1, "wish_list");
    }
    assert!(names(&suggestions).is_empty());
    assert_eq!(suggestions.pending[0].marks.len(), 1);
}

#[test]
fn the_text_of_a_name_under_the_threshold_is_nowhere_in_memory() {
    let mut suggestions = suggestions();
    for device in 1..50 {
        send(&mut suggestions, device, "order_of_aigerim");
    }
    // All that is held: numbers that no name and no token is among.
    let plain = Token::of_number(49).get();
    for pending in &suggestions.pending {
        assert_eq!(pending.marks.len(), 49);
        assert!(!pending.marks.contains(&plain) && pending.fingerprint != plain);
    }
    assert!(suggestions.suggested.is_empty());
    assert!(!format!("{suggestions:?}").contains("aigerim"));
    // Under another key the same name and device have other numbers: without the key they say nothing.
    let mut other = Suggestions::new(&mut [8; 32]);
    send(&mut other, 1, "order_of_aigerim");
    assert_ne!(other.pending[0].fingerprint, suggestions.pending[0].fingerprint);
    assert_ne!(other.pending[0].marks[0], suggestions.pending[0].marks[0]);
}

#[test]
fn the_marks_of_one_device_under_two_names_cannot_be_joined() {
    let mut suggestions = suggestions();
    send(&mut suggestions, 1, "wish_list");
    send(&mut suggestions, 1, "wish_lists");
    assert_ne!(suggestions.pending[0].marks, suggestions.pending[1].marks);
}

#[test]
fn a_new_day_begins_with_nothing() {
    let mut suggestions = suggestions();
    for device in 1..50 {
        send(&mut suggestions, device, "wish_list");
    }
    let next = Sighting::of(Token::of_number(50), None, "wish_list").into_iter().collect();
    suggestions.take("kz.demo.app", Day(TODAY.0 + 1), next);
    assert!(names(&suggestions).is_empty());
    assert_eq!((suggestions.pending.len(), suggestions.pending[0].marks.len()), (1, 1));
}

#[test]
fn apps_events_and_properties_are_told_apart() {
    let mut suggestions = suggestions();
    for device in 1..50 {
        send(&mut suggestions, device, "theme");
    }
    let of = |event| vec![Sighting::of(Token::of_number(50), event, "theme").unwrap()];
    suggestions.take("kz.other.app", TODAY, of(None));
    suggestions.take("kz.demo.app", TODAY, of(Some("screen_view")));
    assert!(names(&suggestions).is_empty());
    assert_eq!(suggestions.pending.len(), 3);
}

#[test]
fn a_flood_of_names_stays_within_its_memory_and_displaces_no_name_of_several_devices() {
    let mut suggestions = suggestions();
    for device in 1..3 {
        send(&mut suggestions, device, "wish_list");
    }
    for flood in 0..20_000_u32 {
        send(&mut suggestions, 9, &format!("n{flood}"));
        assert!(suggestions.state_bytes() <= CEILING_BYTES);
    }
    assert_eq!(suggestions.pending.len(), MOST_PENDING);
    assert!(suggestions.pending.is_sorted_by_key(|pending| pending.fingerprint));
    for device in 3..=50 {
        send(&mut suggestions, device, "wish_list");
    }
    assert_eq!(names(&suggestions), ["wish_list"]);
}

#[test]
fn a_flood_from_fifty_devices_fills_both_lists_and_no_more() {
    let mut suggestions = suggestions();
    for name in 0..2_100_u32 {
        let name = format!("{name:0>59}x").replace('0', "o");
        for device in 0..50 {
            send(&mut suggestions, device, &name);
        }
        assert!(suggestions.state_bytes() <= CEILING_BYTES, "{}", suggestions.state_bytes());
    }
    assert!(suggestions.suggested.len() <= MOST_SUGGESTED);
    assert!(suggestions.suggested.len() > 100);
}

#[test]
fn only_the_shape_of_a_declared_name_is_sighted() {
    let long = "a".repeat(61);
    for wrong in
        ["", "Wish", "wish list", "wish-list", "айгерим", &long, "call_77011234567", "t_490154203237518", "a@b.kz"]
    {
        assert!(Sighting::of(Token::of_number(1), None, wrong).is_none(), "{wrong}");
    }
    let sighting = Sighting::of(Token::of_number(1), None, "wish_list").unwrap();
    assert_eq!(format!("{sighting:?}"), "Sighting(redacted)");
}
