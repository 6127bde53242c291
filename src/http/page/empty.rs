//! What the page says of an app before there are numbers: when the next day is sealed, and how to send a first report.

use jiff::civil::DateTime;
use maud::{Markup, html};

use super::language::Language;
use crate::catalogue::Catalogue;

/// When the next day is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextSeal {
    /// At this local time.
    At {
        /// The moment.
        at: DateTime,
        /// True where it is today.
        today: bool,
    },
    /// When an operator does it.
    ByHand,
}

/// The sentence on the next seal.
pub(super) fn next_seal(next: NextSeal, zone: &str, language: Language) -> String {
    let texts = language.texts();
    match next {
        NextSeal::ByHand => texts.by_hand.to_owned(),
        NextSeal::At { at, today } => {
            let time = format!("{:02}:{:02}", at.hour(), at.minute());
            if today { (texts.next_today)(&time, zone) } else { (texts.next_tomorrow)(&time, zone) }
        }
    }
}

/// The section in place of numbers.
pub(super) fn nothing_sealed(catalogue: &Catalogue, origin: &str, next: &str, language: Language) -> Markup {
    let texts = language.texts();
    html! {
        section class="card" {
            p class="lead" { (texts.nothing_sealed) }
            p { (next) }
            h2 { (texts.first_report) }
            p { (texts.first_report_note) }
            pre tabindex="0" { code { (first_report(catalogue, origin)) } }
        }
    }
}

/// A command that sends a report of the first declared event, now.
fn first_report(catalogue: &Catalogue, origin: &str) -> String {
    let declaration = &catalogue.declaration;
    let (policy, purposes) =
        declaration.policies.last().map(|(policy, purposes)| (policy.as_str(), *purposes)).unwrap_or_default();
    let event = declaration.events.first().map_or("", |event| event.name.as_str());
    let version = declaration.versions.last().map_or("", String::as_str);
    let platform = catalogue.platforms.first().map_or("android", String::as_str);
    let (usage, location) = (purposes.usage, purposes.location);
    format!(
        r#"now=$(date -u +%FT%TZ)
uuid() {{ cat /proc/sys/kernel/random/uuid; }}
curl -i {origin}/v1/collect \
  -H "Authorization: Bearer $APP_KEY" \
  -H "Content-Type: application/json" -d @- <<END
{{ "report_id": "$(uuid)", "sent_at": "$now",
  "consent": {{ "usage": {usage}, "location": {location}, "policy": "{policy}" }},
  "device": {{ "ids": [ {{ "kind": "install_id", "value": "$(uuid)" }} ], "platform": "{platform}" }},
  "app": {{ "version": "{version}" }},
  "activity": {{ "first_today": true }},
  "events": [ {{ "name": "{event}", "at": "$now" }} ] }}
END"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_report_is_one_that_the_boundary_can_take() {
        let catalogue = Catalogue::parse(crate::demo::CATALOGUE).unwrap();
        let command = first_report(&catalogue, "http://127.0.0.1:8080");
        let body = command.split("<<END\n").nth(1).unwrap().strip_suffix("END").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["consent"]["policy"], "2026-01");
        let event = body["events"][0]["name"].as_str().unwrap();
        assert!(catalogue.declaration.events.iter().any(|declared| declared.name == event));
    }

    #[test]
    fn the_next_seal_is_said_in_local_time() {
        let at = jiff::civil::date(2026, 11, 24).at(6, 0, 0, 0);
        let tomorrow = NextSeal::At { at, today: false };
        let said = next_seal(tomorrow, "Asia/Almaty", Language::English);
        assert_eq!(said, "The next day is sealed tomorrow at 06:00 (Asia/Almaty).");
        assert!(next_seal(NextSeal::ByHand, "", Language::Russian).contains("tuman seal"));
    }
}
