//! `tuman keys`: day keys, the state that collectors share, and the proof that a key is gone.

use std::io::{self, Read};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use zeroize::Zeroizing;

use super::commands::command;
use super::{ConfigArgs, output};
use crate::config::KeyMode;
use crate::control::{Reply, Request};
use crate::keys::command::{Answer, Asked, Listing, RawIdentifier};
use crate::keys::handover::LONGEST;
use crate::keys::prove::{Proof, Verdict};
use crate::keys::shared::Replace;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: Option<KeysCommand>,
    #[command(flatten)]
    plain: PlainArgs,
}

#[derive(Debug, Args)]
struct PlainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List the days: open and destroyed
    #[command(after_help = "Example:\n  tuman keys list --json")]
    List(PlainArgs),
    /// Make the common state of a new group of collectors
    #[command(
        after_help = "Example, on the first collector, with mode = \"shared\" in [keys]:\n  tuman keys init --shared"
    )]
    Init {
        /// For several collectors that serve one app
        #[arg(long, required = true)]
        shared: bool,
        #[command(flatten)]
        plain: PlainArgs,
    },
    /// Make a collector a member of a group: request on the new one, offer on a member, accept on the new one
    #[command(
        after_help = "Example:\n  new$    tuman keys join request\n  age1...\n  member$ tuman keys join offer --to age1... > offer\n  new$    tuman keys join accept < offer\nAn offer holds for the day on which it is made. Pass both on by hand: who makes an offer is not checked."
    )]
    Join {
        #[command(subcommand)]
        command: JoinCommand,
    },
    /// Mix fresh entropy into the shared state of a coming day, so that whoever stole the state loses that day
    #[command(
        after_help = "Example:\n  other$  tuman keys mix request\n  age1...\n  member$ tuman keys mix offer --day 2026-11-25 --to age1... > mix\n  other$  tuman keys mix accept < mix\nEvery collector of the group must have it before the day begins; compare `check` in `tuman keys`."
    )]
    Mix {
        #[command(subcommand)]
        command: MixCommand,
    },
    /// Show step by step whether a day's token of an identifier can still be computed
    #[command(
        after_help = "Examples:\n  echo imei=490154203237518 | tuman keys prove --day 2026-11-22 --id -\n  tuman keys prove --day 2026-11-22 --id imei=490154203237518 --json\nOther users of the machine can see arguments: `--id -` reads the identifier from the standard input.\nExit code 3 where the day's key is not shown to be destroyed."
    )]
    Prove(ProveArgs),
}

#[derive(Debug, Subcommand)]
enum JoinCommand {
    /// Print this collector's recipient, for the member that makes the offer
    #[command(after_help = "Example:\n  tuman keys join request")]
    Request(PlainArgs),
    /// Print the state and today's key, encrypted to the new collector
    #[command(after_help = "Example:\n  tuman keys join offer --to age1... > offer")]
    Offer {
        /// What `tuman keys join request` printed on the new collector
        #[arg(long, value_name = "RECIPIENT")]
        to: String,
        #[command(flatten)]
        plain: PlainArgs,
    },
    /// Read an offer from the standard input and become a member
    #[command(after_help = "Example:\n  tuman keys join accept < offer")]
    Accept {
        /// Give up the state that is there
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        plain: PlainArgs,
    },
}

#[derive(Debug, Subcommand)]
enum MixCommand {
    /// Print this collector's recipient, for the member that makes the entropy
    #[command(after_help = "Example:\n  tuman keys mix request")]
    Request(PlainArgs),
    /// Make fresh entropy for a day, or take what waits for it already, and print it encrypted to the other members
    #[command(after_help = "Example:\n  tuman keys mix offer --day 2026-11-25 --to age1... --to age1... > mix")]
    Offer {
        /// The day, as YYYY-MM-DD; tomorrow where it is left out
        #[arg(long, value_name = "DAY")]
        day: Option<Date>,
        /// What `tuman keys mix request` printed on each other member; can be repeated
        #[arg(long, value_name = "RECIPIENT", required = true)]
        to: Vec<String>,
        #[command(flatten)]
        plain: PlainArgs,
    },
    /// Read fresh entropy from the standard input
    #[command(after_help = "Example:\n  tuman keys mix accept < mix")]
    Accept(PlainArgs),
}

#[derive(Args)]
struct ProveArgs {
    /// The local day, as YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    day: Date,
    /// The identifier, as imei=490154203237518, or - to read it from the standard input
    #[arg(long, value_name = "KIND=VALUE")]
    id: String,
    #[command(flatten)]
    plain: PlainArgs,
}

impl std::fmt::Debug for ProveArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProveArgs").field("day", &self.day).finish_non_exhaustive()
    }
}

pub(super) fn run(args: &KeysArgs) -> Result<ExitCode> {
    let (plain, asked) = match &args.command {
        None => (&args.plain, Asked::List),
        Some(KeysCommand::List(plain)) => (plain, Asked::List),
        Some(KeysCommand::Init { plain, .. }) => (plain, Asked::Init),
        Some(KeysCommand::Join { command: JoinCommand::Request(plain) })
        | Some(KeysCommand::Mix { command: MixCommand::Request(plain) }) => (plain, Asked::Request),
        Some(KeysCommand::Join { command: JoinCommand::Offer { to, plain } }) => {
            (plain, Asked::JoinOffer { to: to.clone() })
        }
        Some(KeysCommand::Join { command: JoinCommand::Accept { replace, plain } }) => {
            let replace = if *replace { Replace::Yes } else { Replace::No };
            (plain, Asked::JoinAccept { file: handover()?, replace })
        }
        Some(KeysCommand::Mix { command: MixCommand::Offer { day, to, plain } }) => {
            (plain, Asked::MixOffer { day: *day, to: to.clone() })
        }
        Some(KeysCommand::Mix { command: MixCommand::Accept(plain) }) => {
            (plain, Asked::MixAccept { file: handover()? })
        }
        Some(KeysCommand::Prove(prove)) => {
            (&prove.plain, Asked::Prove { day: prove.day, id: identifier(&prove.id)? })
        }
    };
    let Reply::Keys(answer) = command(&plain.config, &Request::Keys { asked })? else {
        bail!("the collector answered something else");
    };
    if plain.json {
        json(&answer);
    } else {
        show(&answer);
    }
    let shown = !matches!(&answer, Answer::Proof(proof) if proof.verdict != Verdict::CannotBeComputed);
    Ok(ExitCode::from(if shown { 0 } else { 3 }))
}

/// A hand-over from the standard input.
fn handover() -> Result<String> {
    let mut text = String::new();
    // A longer one is refused by whoever reads it, and for that the first bytes beyond are enough.
    io::stdin().lock().take(LONGEST as u64 + 1).read_to_string(&mut text).context("the standard input is no text")?;
    Ok(text)
}

fn identifier(given: &str) -> Result<RawIdentifier> {
    if given != "-" {
        return Ok(RawIdentifier(given.to_owned()));
    }
    let mut line = Zeroizing::new(String::with_capacity(256));
    io::stdin().lock().take(256).read_to_string(&mut line).context("the standard input is no text")?;
    Ok(RawIdentifier(line.trim().to_owned()))
}

fn json(answer: &Answer) {
    match answer {
        Answer::Listing(listing) => output::json(listing),
        Answer::Shared { group } => output::json(&serde_json::json!({ "group": group })),
        Answer::Recipient(recipient) => output::json(&serde_json::json!({ "recipient": recipient })),
        Answer::Handover(text) => output::json(&serde_json::json!({ "file": text })),
        Answer::Joined(joined) => output::json(joined),
        Answer::Mixed(day) => output::json(&serde_json::json!({ "day": day })),
        Answer::Proof(proof) => output::json(proof),
    }
}

fn show(answer: &Answer) {
    match answer {
        Answer::Listing(listing) => list(listing),
        Answer::Shared { group } => output::line(&format!(
            "Group {group} has its state. Other collectors become members with `tuman keys join`."
        )),
        Answer::Recipient(recipient) => output::line(recipient),
        Answer::Handover(text) => output::line(text.trim_end()),
        Answer::Joined(joined) => {
            output::line(&format!("This collector is a member of group {}.", joined.group));
            output::line(if joined.shares_today {
                "Today's key is the group's. Late events of yesterday are counted on today."
            } else {
                "It has a key of its own for today; the group's are used from tomorrow on."
            });
        }
        Answer::Mixed(day) => output::line(&format!(
            "Fresh entropy waits for {day}. Every other collector of the group must have it before that day begins."
        )),
        Answer::Proof(proof) => prove(proof),
    }
}

fn list(listing: &Listing) {
    let mut rows: Vec<Vec<String>> = vec![["day", "key", "created", "state"].map(String::from).into()];
    for record in &listing.days {
        let state = record.destroyed_at.map_or_else(|| "open".to_owned(), |at| format!("destroyed {at:.0}"));
        rows.push(vec![record.day.to_string(), record.name.clone(), format!("{:.0}", record.created_at), state]);
    }
    output::table(&rows);
    let mode = match listing.mode {
        KeyMode::Own => "This collector has keys of its own",
        KeyMode::Shared => "Keys are shared",
    };
    let memory = listing.memory;
    output::line(&format!("{mode}. Locked into memory: {} of {} secrets.", memory.locked, memory.secrets));
    match &listing.shared {
        Some(shared) => {
            output::line(&format!(
                "Group {}; the state leads to {} and later; check {}.",
                shared.group, shared.next_day, shared.check
            ));
            for mix in &shared.mixes {
                output::line(&format!("Entropy {} waits for {}.", mix.name, mix.day));
            }
        }
        None if listing.mode == KeyMode::Shared => {
            output::line("There is no shared state: run `tuman keys init --shared` or `tuman keys join request`.");
        }
        None => {}
    }
}

fn prove(proof: &Proof) {
    let mark = |holds: bool| if holds { "holds" } else { "FAILS" };
    let row = |step: &crate::keys::prove::Step| vec![mark(step.holds).into(), step.what.clone(), step.found.clone()];
    let rows: Vec<Vec<String>> = proof.steps.iter().map(row).collect();
    output::table(&rows);
    let day = proof.day;
    output::line(&match proof.verdict {
        Verdict::CannotBeComputed => {
            format!("The token of this identifier for {day} cannot be computed: the key is destroyed.")
        }
        Verdict::CanBeComputed => {
            format!("The token of this identifier for {day} can be computed: the day's key is not destroyed.")
        }
        Verdict::NotShown => format!("Nothing here leads to the key of {day}, but its destruction is not shown."),
    });
}
