use tuman_privacy::catalogue::Purposes;

use super::*;

/// The lines of what is wrong, and all of it to look at.
fn wrong(text: &str) -> (Vec<usize>, String) {
    let errors = Catalogue::parse(text).unwrap_err();
    (errors.iter().map(|(line, _)| *line).collect(), format!("{errors:#?}"))
}

#[test]
fn a_catalogue_is_read() {
    let catalogue = Catalogue::parse(
        r#"
        [app]
        id = "kz.demo.app"
        platforms = ["android"]
        versions = ["3.4.1"]
        [[policy]]
        version = "2026-01"
        purposes = ["usage"]
        [events.screen_view.props]
        screen = { enum = ["home", "map"] }
        cached = { boolean = true }
        [events.app_open]
        "#,
    )
    .unwrap();
    assert_eq!(catalogue.name, "kz.demo.app");
    assert_eq!(catalogue.declaration.events.len(), 2);
    assert_eq!(catalogue.declaration.policies[0].1, Purposes { usage: true, location: false });
}

#[test]
fn all_errors_come_at_once_with_their_lines() {
    let (lines, all) = wrong(
        "[app]\nid = \"k z\"\nplatforms = [\"symbian\"]\n[[policy]]\nversion = \"1\"\npurposes = [\"ads\"]\n[events.Big.props]\nx = { buckets = [3, 1] }\ny = 5\n",
    );
    assert_eq!(lines, [2, 3, 6, 7, 8, 9], "{all}");
}

#[test]
fn a_line_is_where_the_thing_itself_stands() {
    // Names that begin alike, stand in comments and in other places: no search in the text would find the right ones.
    let (lines, all) = wrong(
        r#"# events.open is declared below, and so is screen_view
[app]
id = "kz.a"
versions = [
    "1.0", # not "1.0.0"
    "1.0.0",
    "1.0",
]
[[policy]]
version = "1"
purposes = ["usage"]
[[policy]]
purposes = ["usage"]
version = "1"
[events.opened.props]
screen = { boolean = true }
[events.open.props]
screen_view = { boolean = true }
screen = { enum = [
    "home",
    "+7 701 123 45 67",
    "home",
] }
"quoted key" = { boolean = true }
[events]
"also bad" = {}
"#,
    );
    assert_eq!(lines, [7, 14, 21, 22, 24, 26], "{all}");
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    let (lines, all) = wrong(
        "[app]\nid = \"a\"\nplatfroms = []\n[[policy]]\nversion = \"1\"\npurposes = [\"usage\"]\n[events.open]\nprop = {}\n[events.view.props]\nx = { bukets = [1] }\n[evnets]\n",
    );
    for near in ["`platforms`", "`props`", "`buckets`", "`events`"] {
        assert!(all.contains(&format!("did you mean {near}?")), "{near}: {all}");
    }
    assert_eq!(lines, [3, 8, 10, 10, 11], "{all}");
}

#[test]
fn a_mistake_in_the_syntax_hides_nothing_of_the_rest() {
    let (lines, all) = wrong(
        "[app]\nid = \"a\"\nname = \nplatforms = [\"symbian\"]\n[[policy]]\nversion = \"1\"\npurposes = [\"usage\"]\n[events.Big]\n[events.small\n",
    );
    for line in [3, 4, 8, 9] {
        assert!(lines.contains(&line), "{line}: {all}");
    }
    assert!(lines.iter().all(|line| [3, 4, 8, 9, 10].contains(line)), "{all}");
}

#[test]
fn one_file_does_not_hide_the_errors_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let good = "[app]\nid = \"kz.a\"\n[[policy]]\nversion = \"1\"\npurposes = [\"usage\"]\n";
    std::fs::write(folder.path().join("1.toml"), "[app\n").unwrap();
    std::fs::write(folder.path().join("2.toml"), good.replace("usage", "ads")).unwrap();
    std::fs::write(folder.path().join("3.toml"), good).unwrap();
    std::fs::write(folder.path().join("4.toml"), good).unwrap();
    std::fs::write(folder.path().join("5.toml"), [0xff]).unwrap();
    let CatalogueErrors(errors) = Catalogues::read(folder.path()).unwrap_err();
    for (file, line) in [("1.toml", 1), ("2.toml", 5), ("4.toml", 1), ("5.toml", 1)] {
        let is_there =
            |error: &CatalogueError| error.file.file_name().is_some_and(|name| name == file) && error.line == line;
        assert!(errors.iter().any(is_there), "{file}: {errors:#?}");
    }
    assert!(errors.iter().all(|error| !error.file.ends_with("3.toml")), "{errors:#?}");
}

#[test]
fn a_folder_that_is_missing_says_what_to_do() {
    let errors = Catalogues::read(Path::new("/nonexistent/catalogue")).unwrap_err();
    assert!(errors.to_string().contains("tuman init"));
}

/// A good catalogue, then some releases from line 21 on.
fn releases(text: &str) -> String {
    format!(
        r#"[app]
id = "kz.a"
platforms = ["android", "ios"]
versions = ["1.0"]
[[policy]]
version = "1"
purposes = ["usage"]
[events.open]
[events.view.props]
screen = {{ enum = ["home", "map"] }}
ms = {{ buckets = [100, 300] }}
[events.buy.props]
paid = {{ boolean = true }}







{text}"#
    )
}

#[test]
fn the_examples_in_the_documents_are_right() {
    let page = include_str!("../../docs/catalogue.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let catalogue = Catalogue::parse(example).unwrap();
    assert_eq!((catalogue.releases.len(), catalogue.daily_epsilon), (12 - 1 + 5, 2.5));
    // The sample of `tuman init`, with what is commented out in force.
    let sample = include_str!("../cli/init/catalogue.toml");
    let (plain, releases) = sample.split_once("# [budget]").unwrap();
    let whole = format!("{plain}[budget]{}", releases.replace("\n# ", "\n"));
    assert_eq!(Catalogue::parse(&whole).unwrap().releases.len(), 13);
}

#[test]
fn releases_are_read_with_their_usual_parameters() {
    let text = releases(
        r#"[budget]
daily_epsilon = 3
[[release]]
name = "screens"
dimensions = ["view.screen", "platform"]
epsilon = 0.4
[[release]]
name = "hours"
counts = "events"
dimensions = ["hour"]
epsilon = 0.2
bound = 2
[[release]]
name = "way"
funnel = ["open", "view", "buy"]
epsilon = 0.2
threshold = 60
[[release]]
name = "versions"
dimensions = ["version"]
epsilon = "off"
[[release]]
name = "cohorts"
publish = false
[[release]]
name = "event_totals"
bound = 10
epsilon = 0.1
"#,
    );
    let catalogue = Catalogue::parse(&text).unwrap();
    let release = |name: &str| catalogue.releases.iter().find(|known| known.name == name);
    assert_eq!(catalogue.releases.len(), 11 + 4);
    assert!(release("cohorts").is_none());
    let screens = release("screens").unwrap();
    assert_eq!((screens.bound, screens.epsilon, screens.threshold), (1, Some(0.4), 20));
    assert_eq!(release("hours").unwrap().threshold, 80);
    assert_eq!(release("versions").unwrap().epsilon, None);
    let totals = release("event_totals").unwrap();
    assert_eq!((totals.bound, totals.epsilon, totals.threshold), (10, Some(0.1), 1000));
    let amount = catalogue.amount();
    assert!((amount.epsilon - (2.0 + 0.8 - 0.05 - 0.1)).abs() < 1e-9 && amount.daily_epsilon == 3.0);
    // The finest breakdown of each: defaults without places, those of hours, 6 screens by platform, 24 hours, 3 steps,
    // 2 versions.
    assert_eq!(amount.cells, 3 * 2 + 4 + 13 + 1 + 3 + 3 + 24 * (1 + 3) + 6 + 24 + 3 + 2);
}

#[test]
fn a_release_of_hours_says_in_how_many_one_device_counts() {
    let text = releases(
        r#"[budget]
daily_epsilon = 3
[[release]]
name = "now"
counts = "events"
dimensions = ["view.screen"]
window = "hour"
windows = 3
bound = 2
epsilon = 0.3
[[release]]
name = "whole"
dimensions = []
window = "day"
epsilon = 0.1
[[release]]
name = "events_by_hour"
windows = 2
bound = 10
epsilon = 0.2
"#,
    );
    let catalogue = Catalogue::parse(&text).unwrap();
    let release = |name: &str| catalogue.releases.iter().find(|known| known.name == name).unwrap();
    let now = release("now");
    // Three hours of two events each: a scale of 20, and eight of them to the threshold.
    assert_eq!((now.windows, now.scale(), now.threshold), (Some(3), Some(2.0 * 3.0 / 0.3), 160));
    assert_eq!(now.dims(), ["hour", "view.screen"]);
    assert_eq!(release("whole").windows, None);
    let events = release("events_by_hour");
    assert_eq!((events.windows, events.bound, events.epsilon), (Some(2), 10, Some(0.2)));
    let wrong_ones = releases(
        r#"[budget]
daily_epsilon = 4
[[release]]
name = "a"
dimensions = ["platform"]
window = "week"
windows = 0
epsilon = 0.1
[[release]]
name = "b"
dimensions = ["hour"]
window = "hour"
epsilon = "off"
[[release]]
name = "c"
dimensions = ["cell_4"]
window = "hour"
windows = 2
epsilon = 0.1
[[release]]
name = "d"
dimensions = ["platform"]
windows = 2
epsilon = 0.1
[[release]]
name = "e"
dimensions = ["language", "class", "view.screen", "platform"]
window = "hour"
windows = 25
epsilon = 0.1
[[release]]
name = "f"
funnel = ["open", "view"]
window = "hour"
windows = 1
epsilon = 0.1
[[release]]
name = "active_devices"
windows = 2
[[release]]
name = "active_by_hour"
window = "day"
[[release]]
name = "g"
dimensions = ["platform"]
window = "day"
windows = 2
epsilon = 0.1
"#,
    );
    let (lines, all) = wrong(&wrong_ones);
    assert_eq!(lines, [26, 27, 32, 32, 33, 37, 43, 48, 49, 54, 59, 62, 66], "{all}");
}

#[test]
fn a_catalogue_that_spends_too_much_is_refused_with_the_sums() {
    let (lines, all) =
        wrong(&releases("[[release]]\nname = \"more\"\ndimensions = [\"platform\"]\nepsilon = 0.35\n"));
    assert_eq!(lines, [21], "{all}");
    assert!(all.contains("spend 2.35 of a daily epsilon of 2.00: active_devices 0.25 + "), "{all}");
    assert!(all.contains(" + more 0.35."), "{all}");
    let (lines, all) = wrong(&releases("[budget]\ndaily_epsilon = 1.5\n"));
    assert_eq!(lines, [22], "{all}");
    let (lines, all) = wrong(&releases("[budget]\n\ndaily_epsilon = 4.1\n"));
    assert_eq!(lines, [23], "{all}");
}

#[test]
fn all_that_is_wrong_with_releases_is_named_on_its_line() {
    let text = releases(
        r#"[budget]
daily_epsilon = 4
daily_epsilom = 1
[[release]]
name = "Big"
[[release]]
name = "a"
dimensions = ["platfrom", "view.screen"]
epsilon = 0.1
[[release]]
name = "a"
[[release]]
name = "b"
dimensions = ["view.screen", "buy.paid", "event", "view.colour", "hour"]
epsilon = 5
treshold = 10
[[release]]
name = "c"
dimensions = ["cell_4", "platform"]
epsilon = 0.1
[[release]]
name = "d"
funnel = ["open", "biuy", "open"]
epsilon = "none"
[[release]]
name = "e"
dimensions = ["platform"]
bound = 0
threshold = 9
epsilon = 0.001
[[release]]
name = "f"
dimensions = ["language", "class", "hour", "event"]
epsilon = 0.1
[[release]]
name = "g"
dimensions = ["language", "class", "hour"]
[[release]]
name = "places_4"
publish = false
[[release]]
name = "region"
dimensions = []
bound = 3
[[release]]
name = "h"
dimensions = ["version"]
epsilon = "off"
[[release]]
name = "i"
dimensions = ["version", "platform"]
epsilon = "off"
[[release]]
name = "first_use"
epsilon = "off"
"#,
    );
    let (lines, all) = wrong(&text);
    // 21 is the first line of the text. Of places_5, which is not named, the line is that of the budget.
    let expected = [22, 23, 25, 28, 31, 34, 35, 36, 39, 43, 44, 48, 49, 50, 53, 55, 63, 64, 70, 75];
    for line in expected {
        assert!(lines.contains(&line), "{line}: {all}");
    }
    for line in &lines {
        assert!(expected.contains(line), "{line}: {all}");
    }
}
