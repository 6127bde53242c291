//! What the noise costs, as docs/reading-the-numbers.md has it: computed from the releases, not copied.

use std::path::Path;

use tuman::catalogue::Catalogue;
use tuman::seal::release::Release;

const BEGIN: &str = "<!-- costs: written by TUMAN_GOLDEN=write cargo test --test it spec::reading -->\n";
const END: &str = "<!-- /costs -->";

/// What people ask for: release, breakdown, and what it is called.
const VALUES: [(&str, &str, &str); 9] = [
    ("active_devices", "", "all active devices"),
    ("active_devices", "platform", "a platform's"),
    ("active_devices", "platform,version", "a version's on a platform"),
    ("first_use", "first", "first use (`day`)"),
    ("cohorts", "day", "a cohort, a week of retention"),
    ("region", "", "the whole region"),
    ("places_5", "cell", "a place of 5 characters"),
    ("event_devices", "event", "devices of an event"),
    ("event_totals", "event", "how often an event was sent"),
];

#[test]
fn the_costs_of_noise_are_those_of_the_releases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reading-the-numbers.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("TUMAN_GOLDEN").is_some_and(|golden| golden == "write") {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    assert!(text == expected, "another table would be right: TUMAN_GOLDEN=write writes it\n{}", table());
}

fn table() -> String {
    let catalogue = Catalogue::parse(tuman::demo::CATALOGUE).unwrap();
    let mut table = String::from(
        "| A day's value | Margin | of 1,000 | of 100,000 | of 10,000,000 | Mean of 30 days, of 1,000 | Published from |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (name, breakdown, what) in VALUES {
        let release = catalogue.releases.iter().find(|release| release.name == name).unwrap();
        let margin = margin(&catalogue, release, breakdown);
        let of = |count: f64| percent(100.0 * margin / count);
        let threshold =
            if release.threshold == i64::MIN { "always".to_owned() } else { release.threshold.to_string() };
        table.push_str(&format!(
            "| {what} | {margin} | {} | {} | {} | {} | {threshold} |\n",
            of(1e3),
            of(1e5),
            of(1e7),
            percent(100.0 * margin / 30.0_f64.sqrt() / 1e3),
        ));
    }
    table
}

fn margin(catalogue: &Catalogue, release: &Release, breakdown: &str) -> f64 {
    let nowhere = tuman_privacy::place::Region::within([0.0; 4], vec![]);
    let breakdowns = release.breakdowns(&catalogue.public(&nowhere));
    release.margin(breakdowns.iter().find(|known| known.name == breakdown).unwrap().draws)
}

/// With two digits that count.
fn percent(share: f64) -> String {
    let digits = (1 - share.log10().floor() as i32).clamp(0, 6) as usize;
    format!("{share:.digits$} %")
}
