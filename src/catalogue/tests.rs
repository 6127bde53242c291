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
