//! Reads the layers into one [`Config`], collecting every problem.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use tuman_privacy::suppression::TagBits;

use super::Config;
use crate::clock::Zone;
use crate::log::Filter;

/// The prefix of environment variables.
const PREFIX: &str = "TUMAN_";
/// Variables with the prefix that mean something else.
const NOT_KEYS: [&str; 2] = ["TUMAN_CONFIG", "TUMAN_ENGINE"];

/// Where the configuration comes from.
#[derive(Debug, Default)]
pub struct Layers {
    /// The TOML file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags, as `section.key` and value.
    pub flags: Vec<(String, String)>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, or the file.
    pub key: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} problem(s):", self.0.len())?;
        for Problem { key, what } in &self.0 {
            write!(f, "\n  {key}: {what}")?;
        }
        Ok(())
    }
}

/// Reads and checks the configuration.
///
/// # Errors
/// All problems at once.
pub fn load(layers: &Layers) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let mut table = layers.file.as_deref().map_or_else(Table::new, |file| read(file, &mut problems));
    for (name, value) in &layers.environment {
        if let Some(key) = environment_key(name) {
            set(&mut table, &key, value);
        }
    }
    for (key, value) in &layers.flags {
        set(&mut table, key, value);
    }
    remove_unknown(&mut table, &mut problems);
    let mut config = parse(table, &mut problems);
    let folder = layers.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    config.anchor(folder);
    check(&config, &mut problems);
    if !problems.is_empty() {
        problems.sort_by(|a, b| a.key.cmp(&b.key));
        return Err(Problems(problems));
    }
    Ok(config)
}

fn read(file: &Path, problems: &mut Vec<Problem>) -> Table {
    let key = file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem { key, what: format!("cannot be read ({error}); `tuman init` makes one") });
            return Table::new();
        }
    };
    text.parse().unwrap_or_else(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        problems.push(Problem { key, what: format!("line {line} is not TOML: {}", error.message()) });
        Table::new()
    })
}

/// `TUMAN_SPOOL_SEGMENT_AGE` is `spool.segment_age`.
fn environment_key(name: &str) -> Option<String> {
    if NOT_KEYS.contains(&name) {
        return None;
    }
    let (section, key) = name.strip_prefix(PREFIX)?.split_once('_')?;
    Some(format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase()))
}

/// Sets `section.key`; a value that reads as a TOML value is one, anything else is a string.
fn set(table: &mut Table, path: &str, value: &str) {
    let Some((section, key)) = path.split_once('.') else {
        return;
    };
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = section {
        section.insert(key.to_owned(), parsed.unwrap_or_else(|| Value::String(value.to_owned())));
    }
}

fn remove_unknown(table: &mut Table, problems: &mut Vec<Problem>) {
    let known = Table::try_from(Config::default()).expect("the defaults are TOML, checked by a test");
    table.retain(|section, value| {
        let Some(Value::Table(known_keys)) = known.get(section) else {
            let sections: Vec<&str> = known.keys().map(String::as_str).collect();
            problems.push(Problem {
                key: section.to_string(),
                what: format!("no such section; there are {}", sections.join(", ")),
            });
            return false;
        };
        let Value::Table(keys) = value else {
            problems.push(Problem { key: section.to_string(), what: format!("is a section: write [{section}]") });
            return false;
        };
        keys.retain(|key, _| {
            let is_known = known_keys.contains_key(key);
            if !is_known {
                let all: Vec<&str> = known_keys.keys().map(String::as_str).collect();
                problems.push(Problem {
                    key: format!("{section}.{key}"),
                    what: format!("no such key; [{section}] has {}", all.join(", ")),
                });
            }
            is_known
        });
        true
    });
}

/// Deserialises; a value that does not fit is reported, taken out, and the rest is tried again.
fn parse(mut table: Table, problems: &mut Vec<Problem>) -> Config {
    loop {
        let error = match serde_path_to_error::deserialize(table.clone()) {
            Ok(config) => return config,
            Err(error) => error,
        };
        let path = error.path().to_string();
        // The message may quote the value; what is told is the kind that is wanted.
        problems.push(Problem { key: path.clone(), what: error.inner().message().trim().to_owned() });
        let mut parts = path.split(['.', '[']);
        let (section, key) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let removed = match table.get_mut(section) {
            Some(Value::Table(keys)) => keys.remove(key).is_some(),
            _ => false,
        };
        if !removed && table.remove(section).is_none() {
            return Config::default();
        }
    }
}

fn check(config: &Config, problems: &mut Vec<Problem>) {
    let mut wrong = |key: &str, what: &str| problems.push(Problem { key: key.into(), what: what.into() });
    for (key, address) in
        [("server.listen", &config.server.listen), ("server.listen_internal", &config.server.listen_internal)]
    {
        if address.parse::<std::net::SocketAddr>().is_err() {
            wrong(key, "expected an address with a port, such as \"127.0.0.1:8080\"");
        }
    }
    if Zone::named(&config.privacy.zone).is_none() {
        wrong("privacy.zone", "expected an IANA time zone, such as \"Asia/Almaty\"");
    }
    if config.privacy.grace.duration() > super::Interval::hours(72).duration() {
        wrong("privacy.grace", "a key may live for at most 72h after its day");
    }
    if config.seal.hour_wait.duration() > super::Interval::hours(6).duration() {
        wrong("seal.hour_wait", "an hour may wait for at most 6h after its end");
    }
    if let Err(error) = config.privacy.region.read(Vec::new()) {
        wrong("privacy.region", &error.to_string());
    }
    for place in &config.privacy.sensitive_places {
        if tuman_privacy::place::Cell::from_geohash(place).is_none() {
            wrong("privacy.sensitive_places", "expected geohashes of three to five characters");
            break;
        }
    }
    if TagBits::new(config.privacy.suppression_bits).is_none() {
        wrong("privacy.suppression_bits", "expected 12 to 24");
    }
    if config.limits.events == 0 || config.limits.events > 10_000 {
        wrong("limits.events", "expected 1 to 10000");
    }
    // While a buffer grows, its old form is there too.
    let one = config.limits.body.bytes().saturating_add(config.limits.decompressed.bytes().saturating_mul(2));
    if config.limits.bodies.bytes() < one {
        wrong("limits.bodies", "is smaller than limits.body and twice limits.decompressed: one report must fit");
    }
    for (rate, key, burst) in [
        (config.limits.address_rate, "limits.address_burst", config.limits.address_burst),
        (config.limits.failure_rate, "limits.failure_burst", config.limits.failure_burst),
        (config.limits.key_rate, "limits.key_burst", config.limits.key_burst),
    ] {
        if rate > 0 && burst == 0 {
            wrong(key, "expected at least 1; for no limit, set the rate to 0");
        }
    }
    if config.spool.segment > config.spool.limit {
        wrong("spool.segment", "is larger than spool.limit: make it smaller, or the limit larger");
    }
    if let Err(what) = Filter::parse(&config.log.filter) {
        wrong("log.filter", &what.to_string());
    }
    // An insert of one segment must be one block of the engine, or it is not atomic: at most a million rows of 31 bytes.
    if config.spool.segment > super::ByteSize::mib(32) {
        wrong("spool.segment", "expected at most \"32 MiB\"");
    }
    if config.store.memory < super::ByteSize::mib(200) {
        wrong("store.memory", "the engine needs at least \"200 MiB\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> Result<Config, Problems> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tuman.toml");
        std::fs::write(&file, text).unwrap();
        load(&Layers { file: Some(file), ..Layers::default() })
    }

    #[test]
    fn defaults_are_a_configuration() {
        assert_eq!(load(&Layers::default()).unwrap(), Config::default());
        assert!(Table::try_from(Config::default()).is_ok());
    }

    #[test]
    fn all_problems_come_at_once() {
        let problems = with_file(
            "[server]\nlisten = 5\nport = 80\n[privacy]\ngrace = \"99h\"\nzone = \"Mars/Olympus\"\n[spool]\nsegment = \"8 parsecs\"\n[log]\nfilter = \"info,actix_http=trace\"\n[nonsense]\n",
        )
        .unwrap_err();
        let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "log.filter",
                "nonsense",
                "privacy.grace",
                "privacy.zone",
                "server.listen",
                "server.port",
                "spool.segment"
            ]
        );
    }

    #[test]
    fn the_environment_stands_over_the_file_and_flags_over_both() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tuman.toml");
        std::fs::write(&file, "[server]\nworkers = 1\nlisten = \"127.0.0.1:1\"\n[spool]\nsegment_age = \"2s\"")
            .unwrap();
        let config = load(&Layers {
            file: Some(file),
            environment: vec![
                ("TUMAN_SERVER_WORKERS".into(), "2".into()),
                ("TUMAN_SERVER_LISTEN".into(), "127.0.0.1:2".into()),
                ("TUMAN_CONFIG".into(), "x".into()),
                ("HOME".into(), "/".into()),
            ],
            flags: vec![("server.listen".into(), "127.0.0.1:3".into())],
        })
        .unwrap();
        assert_eq!((config.server.workers, config.server.listen.as_str()), (2, "127.0.0.1:3"));
        assert_eq!(config.spool.segment_age, crate::config::Interval::seconds(2));
        assert_eq!(config.paths.data, folder.path().join("data"));
    }
}
