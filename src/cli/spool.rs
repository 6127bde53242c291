//! `tuman spool`: what lies in the spool's folder. Sizes, counts, ages, checksums, versions; never contents.
//!
//! Reads the files themselves: works beside a running collector and where it is down, and changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{ConfigArgs, output};
use crate::record;
use crate::spool::inspect::{Facts, HeaderState, State, look};

#[derive(Debug, Subcommand)]
pub(super) enum SpoolCommand {
    /// List the segments, oldest first
    #[command(after_help = "Example:\n  tuman spool list --config /srv/tuman/tuman.toml")]
    List(SpoolArgs),
    /// Verify every record; exit code 3 where something is damaged, set aside or of another version
    #[command(
        after_help = "Example:\n  tuman spool check --json\nThe end of the newest segment may look torn: it is being written, or a crash cut it short."
    )]
    Check(SpoolArgs),
    /// Show one segment
    #[command(after_help = "Example:\n  tuman spool show 0000000000000401 --stats\nContents are never shown.")]
    Show {
        /// Its number, as `tuman spool list` shows it
        segment: String,
        /// Sizes, counts, versions: all there is to show
        #[arg(long, required = true)]
        stats: bool,
        #[command(flatten)]
        args: SpoolArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct SpoolArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A segment, with what the form of its records says.
#[derive(Serialize)]
struct Entry {
    #[serde(flatten)]
    facts: Facts,
    /// Seconds since the file was last written.
    age_s: i64,
    /// Records by the version of their form.
    record_versions: BTreeMap<u8, u64>,
    damaged: bool,
}

#[derive(Serialize)]
struct Checked {
    folder: PathBuf,
    identity: Option<String>,
    segments: u64,
    records: u64,
    bytes: u64,
    /// What is wrong, one line each.
    problems: Vec<String>,
}

pub(super) fn run(asked: &SpoolCommand) -> Result<ExitCode> {
    let (SpoolCommand::List(args) | SpoolCommand::Check(args) | SpoolCommand::Show { args, .. }) = asked;
    let folder = args.config.load(Vec::new())?.paths.data.join("spool");
    let now_ms = super::serve::now_ms();
    let mut entries = Vec::new();
    let found = look(&folder, |facts, segment| {
        let mut record_versions = BTreeMap::new();
        for version in segment.records().filter_map(record::version) {
            *record_versions.entry(version).or_default() += 1;
        }
        let age_s = (now_ms - facts.written_ms).max(0) / 1_000;
        entries.push(Entry { age_s, record_versions, damaged: facts.is_damaged(), facts: facts.clone() });
    });
    let found = found.with_context(|| format!("the spool folder {} cannot be read", folder.display()))?;
    match asked {
        SpoolCommand::List(_) if args.json => output::json(&entries),
        SpoolCommand::List(_) => list(&entries),
        SpoolCommand::Show { segment, .. } => {
            let Some(entry) = entries.iter().find(|entry| entry.facts.segment == *segment) else {
                bail!("there is no segment {segment} (any more): see `tuman spool list`");
            };
            if args.json { output::json(entry) } else { show(entry) }
        }
        SpoolCommand::Check(_) => {
            let mut problems: Vec<String> = entries.iter().flat_map(problems).collect();
            if found.has_identity_file && found.identity.is_none() {
                problems.push("the file `identity` is damaged: the next start draws another".into());
            }
            let checked = Checked {
                folder,
                identity: found.identity,
                segments: entries.len() as u64,
                records: entries.iter().map(|entry| entry.facts.records).sum(),
                bytes: entries.iter().map(|entry| entry.facts.bytes).sum(),
                problems,
            };
            check(&checked, args.json);
            return Ok(ExitCode::from(if checked.problems.is_empty() { 0 } else { 3 }));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(entries: &[Entry]) {
    let heads = ["segment", "state", "age", "bytes", "records", "corrupt", "torn", "header"];
    let mut rows: Vec<Vec<String>> = vec![heads.map(String::from).into()];
    for Entry { facts, age_s, .. } in entries {
        let numbers = [facts.bytes, facts.records, facts.corrupt, facts.torn_bytes].map(|n| n.to_string());
        let mut row = vec![facts.segment.clone(), state(facts.state).into(), format!("{age_s} s")];
        row.extend(numbers);
        row.push(header(facts));
        rows.push(row);
    }
    output::table(&rows);
    output::line(&format!("{} segments", entries.len()));
}

fn show(entry: &Entry) {
    let facts = &entry.facts;
    let versions: Vec<String> =
        entry.record_versions.iter().map(|(version, n)| format!("{n} of version {version}")).collect();
    let mean = facts.payload_bytes.checked_div(facts.records).unwrap_or(0);
    let rows = [
        ("segment", facts.segment.clone()),
        ("state", state(facts.state).into()),
        ("last written", format!("{} s ago", entry.age_s)),
        ("file", format!("{} bytes", facts.bytes)),
        ("header", header(facts)),
        ("records", format!("{} verify, {} do not", facts.records, facts.corrupt)),
        ("their form", if versions.is_empty() { "-".into() } else { versions.join(", ") }),
        ("their sizes", format!("{} to {} bytes, {mean} on average", facts.smallest, facts.largest)),
        ("after the last good record", format!("{} bytes", facts.torn_bytes)),
    ];
    output::table(&rows.map(|(name, value)| vec![name.to_owned(), value]));
}

fn check(checked: &Checked, json: bool) {
    if json {
        return output::json(checked);
    }
    for problem in &checked.problems {
        output::line(problem);
    }
    let what = if checked.problems.is_empty() { "all checksums hold" } else { "not all is well: see above" };
    output::line(&format!(
        "{} segments, {} records, {} bytes: {what}",
        checked.segments, checked.records, checked.bytes
    ));
}

fn problems(entry: &Entry) -> Vec<String> {
    let (facts, mut problems) = (&entry.facts, Vec::new());
    let id = &facts.segment;
    if facts.state == State::Aside {
        problems.push(format!("{id} is set aside: it is not loaded"));
    }
    if facts.corrupt > 0 {
        problems.push(format!("{id}: {} records do not verify: they are lost", facts.corrupt));
    }
    match facts.header {
        HeaderState::Intact => {}
        HeaderState::Foreign => problems.push(format!("{id} is of another version of this program")),
        HeaderState::Unreadable => problems.push(format!("{id} cannot be read")),
        // A crash may leave the newest file empty.
        HeaderState::Damaged if facts.bytes > 0 => problems.push(format!("{id}: the header is damaged")),
        HeaderState::Damaged => {}
    }
    if facts.torn_bytes > 0 && facts.state == State::Waiting {
        problems.push(format!("{id}: {} bytes after its last good record are none", facts.torn_bytes));
    }
    for (version, n) in entry.record_versions.iter().filter(|(version, _)| !record::is_known(**version)) {
        problems.push(format!("{id}: {n} records are of version {version}, which another version of tuman reads"));
    }
    problems
}

fn state(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Newest => "newest",
        State::Aside => "ASIDE",
    }
}

fn header(facts: &Facts) -> String {
    match (facts.header, facts.format) {
        (HeaderState::Intact, Some(version)) => format!("intact, format {version}"),
        (HeaderState::Foreign, Some(version)) => format!("FOREIGN, format {version}"),
        (HeaderState::Unreadable, _) => "UNREADABLE".into(),
        _ => "DAMAGED".into(),
    }
}
