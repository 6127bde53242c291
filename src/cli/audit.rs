//! `tuman audit`: reads the audit log, and verifies it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::commands::command;
use super::{ConfigArgs, output};
use crate::audit::{Anchor, Contents, Entry, Found, Kind, verify, verify_copy, verify_kept};
use crate::clock::timestamp;
use crate::control::{Reply, Request};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Follow the chain of the log to its anchor; exit code 3 where something is wrong with it
    #[command(
        after_help = "Examples:\n  tuman audit verify\n  tuman audit verify --last 3f0c...\n  tuman audit verify --anchor /mnt/officer/audit.anchor\nKeep the last hash elsewhere: it shows what someone did who can write to the whole data folder."
    )]
    Verify(VerifyArgs),
    /// List what was done with days, keys, configuration, catalogues and releases
    #[command(
        after_help = "Examples:\n  tuman audit list --kind exported\n  tuman audit list --since 2026-11-01 --json"
    )]
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A hash that this command printed before: it must be that of an entry
    #[arg(long, value_name = "HASH", value_parser = hash)]
    last: Option<String>,
    /// A copy of the file audit.anchor that was kept elsewhere: its last entry must be there
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only from this day on, in UTC, as YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    since: Option<Date>,
    /// Only entries of this kind; can be repeated
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::word)))]
    kind: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(asked: &AuditCommand) -> Result<ExitCode> {
    match asked {
        AuditCommand::Verify(args) => {
            let copy = args.anchor.as_deref().map(copy).transpose()?;
            let log = contents(&args.config)?;
            Ok(show_verified(args, copy.as_ref(), &log))
        }
        AuditCommand::List(args) => {
            list(args, &contents(&args.config)?.entries);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn contents(config: &ConfigArgs) -> Result<Contents> {
    match command(config, &Request::Audit)? {
        Reply::Audit(contents) => Ok(contents),
        _ => bail!("the collector answered something else"),
    }
}

fn copy(file: &Path) -> Result<Anchor> {
    match Anchor::read(file).with_context(|| format!("{} cannot be read", file.display()))? {
        Found::Anchor(anchor) => Ok(anchor),
        Found::Missing => bail!("{} is not there", file.display()),
        Found::Damaged => bail!("{} is no anchor of an audit log", file.display()),
    }
}

fn show_verified(args: &VerifyArgs, copy: Option<&Anchor>, log: &Contents) -> ExitCode {
    let verified = verify(log).and_then(|verified| {
        args.last.as_deref().map_or(Ok(()), |hash| verify_kept(log, hash))?;
        copy.map_or(Ok(()), |copy| verify_copy(log, copy))?;
        Ok(verified)
    });
    match &verified {
        _ if args.json => output::json(&match &verified {
            Ok(whole) => serde_json::json!({ "whole": true, "entries": whole.entries, "last": whole.last }),
            Err(broken) => serde_json::json!({ "whole": false, "problem": broken.to_string() }),
        }),
        Ok(whole) => {
            output::line(&format!("{} entries, the chain is whole. Last hash: {}", whole.entries, whole.last))
        }
        Err(broken) => output::line(&format!("The log is broken: {broken}.")),
    }
    ExitCode::from(if verified.is_ok() { 0 } else { 3 })
}

fn list(args: &ListArgs, entries: &[Entry]) {
    let since_ms = args.since.map_or(i64::MIN, |day| {
        day.to_zoned(TimeZone::UTC).map_or(i64::MAX, |midnight| midnight.timestamp().as_millisecond())
    });
    let is_asked =
        |entry: &&Entry| entry.at_ms >= since_ms && (args.kind.is_empty() || args.kind.contains(&entry.kind));
    let entries: Vec<&Entry> = entries.iter().filter(is_asked).collect();
    if args.json {
        return output::json(&entries);
    }
    let mut rows: Vec<Vec<String>> = vec![["number", "at", "kind", "detail"].map(String::from).into()];
    for entry in entries {
        let at = format!("{:.0}", timestamp(entry.at_ms));
        rows.push(vec![entry.seq.to_string(), at, entry.kind.clone(), readable(&entry.detail)]);
    }
    output::table(&rows);
}

/// A detail for people: `day=2026-11-22 key=5f0c...`. Hashes are cut: they are there in full with `--json`.
fn readable(detail: &str) -> String {
    let mut words = Vec::new();
    // What was tampered with may be no JSON.
    match serde_json::from_str(detail) {
        Ok(detail) => flatten("", &detail, &mut words),
        Err(_) => words.push(detail.to_owned()),
    }
    words.join(" ")
}

fn flatten(name: &str, value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                flatten(&name, value, words);
            }
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(plain).collect();
            words.push(format!("{name}={}", values.join(",")));
        }
        Value::Null => {}
        value => words.push(format!("{name}={}", plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value.as_str() {
        Some(hash) if is_hash(hash) => hash[..12].to_owned(),
        // A name with a space would look like two.
        Some(text) if text.contains(char::is_whitespace) => format!("{text:?}"),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

fn hash(text: &str) -> Result<String, String> {
    if is_hash(text) { Ok(text.to_owned()) } else { Err("expected the 64 hex digits of a hash".into()) }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_read_as_words() {
        let digest = "ab".repeat(32);
        let detail = format!(
            r#"{{"app":"kz.a","catalogues":{{"kz.a":{{"digest":"{digest}","policies":["1","2"]}}}},"none":null,"to_whom":{{"token":"the ministry"}}}}"#
        );
        assert_eq!(
            readable(&detail),
            r#"app=kz.a catalogues.kz.a.digest=abababababab catalogues.kz.a.policies=1,2 to_whom.token="the ministry""#
        );
        assert_eq!(readable("{changed"), "{changed");
    }
}
