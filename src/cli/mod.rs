//! The command line.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 `doctor`, `audit verify` or `spool check` found
//! something, or `keys prove` shows no destruction.

mod access;
mod audit;
mod budget;
mod catalogue;
mod commands;
mod demo;
mod export;
mod init;
mod keys;
mod output;
mod policy;
mod serve;
mod spool;
mod stop;
mod withdraw;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, Layers};
use crate::log;

/// Collector of anonymous location and usage statistics from mobile apps.
///
/// Reports come in over HTTP and are anonymised before anything touches a disk; a day after it ends, only noisy,
/// thresholded aggregates remain.
#[derive(Debug, Parser)]
#[command(name = "tuman", version, max_term_width = 100)]
#[command(
    after_help = "Begin with `tuman demo`, or with `tuman init` and `tuman serve`.\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 doctor, audit verify or spool check found something, or keys prove shows no destruction."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a folder with a configuration, a catalogue and tokens
    #[command(
        after_help = "Example:\n  tuman init --folder /srv/tuman --app kz.example.shop\nThe tokens are shown once: the folder keeps their hashes."
    )]
    Init(init::InitArgs),
    /// Run the collector
    #[command(
        after_help = "Examples:\n  tuman serve --config /srv/tuman/tuman.toml\n  tuman serve --check\nSIGTERM stops it when what was accepted is on disk; SIGHUP reads catalogues and tokens anew; SIGUSR2 lets the version that is now at the program's path take over without a refused connection."
    )]
    Serve(serve::ServeArgs),
    /// Run the collector with a month of simulated days and a live fleet of simulated phones
    #[command(
        after_help = "Example:\n  tuman demo --phones 2000\nEverything it shows is simulated. Its folder can be deleted at any time."
    )]
    Demo(demo::DemoArgs),
    /// Seal a day that is over: releases remain, its rows and its key are destroyed
    #[command(
        after_help = "Example:\n  tuman seal --day 2026-11-22\nWithout this, `tuman serve` seals each day when its grace has ended."
    )]
    Seal(commands::SealArgs),
    /// Make, list and take away tokens of apps and people
    #[command(
        after_help = "Examples:\n  tuman access add --name Aigerim --role analyst\n  tuman access add --name 'shop, Android' --role app --app kz.example.shop\n  tuman access list\n  tuman access revoke Aigerim\nA token is shown once: the access file keeps its hash. A running collector knows at once."
    )]
    Access {
        #[command(subcommand)]
        command: access::AccessCommand,
    },
    /// Check, list and complete catalogues: what each app declares
    #[command(
        after_help = "Examples:\n  tuman catalogue check\n  tuman catalogue check catalogue/kz.example.shop.toml\n  tuman catalogue suggest --app kz.example.shop\nExit code 2 where a catalogue is wrong."
    )]
    Catalogue {
        #[command(subcommand)]
        command: catalogue::CatalogueCommand,
    },
    /// Show what releases cost: epsilon, noise, margins, the sum of a day and of a month
    #[command(
        after_help = "Example:\n  tuman budget --app kz.example.shop\nNeeds no running collector. A catalogue whose releases spend more than its daily epsilon is refused: `tuman catalogue check` says by how much."
    )]
    Budget(budget::BudgetArgs),
    /// Ask a question on releases
    #[command(
        after_help = "Examples:\n  tuman stats activity --period last_7_days --breakdown platform\n  tuman stats places --precision 5\n  tuman stats places.geojson > places.geojson\n  tuman stats release event_totals --period yesterday"
    )]
    Stats(commands::StatsArgs),
    /// Export sealed releases: a release as a file, or all of a period with their description
    #[command(
        after_help = "Examples:\n  tuman export --period last_30_days --folder october\n  tuman export --period 2026-10-01..2026-10-31 --format parquet --zip october.zip --basis 4.2.3\n  tuman export --release places_5 --format geojson > places.geojson\nThe audit log has every export, with its SHA-256. docs/exports.md says what the files hold."
    )]
    Export(export::ExportArgs),
    /// List day keys, share them among collectors, prove that a day's key is gone
    #[command(
        after_help = "Examples:\n  tuman keys\n  tuman keys prove --day 2026-11-22 --id -\n  tuman keys init --shared\nKeys have random names; the keys themselves are never shown."
    )]
    Keys(keys::KeysArgs),
    /// Print what is collected, how it is treated, under which clause, how long it lives
    #[command(
        after_help = "Examples:\n  tuman policy --lang kk\n  tuman policy --notice --lang ru\nA running collector shows the same at /privacy. The last line of the inventory names its edition: the audit log\nhas it at each start."
    )]
    Policy(policy::PolicyArgs),
    /// Read the audit log, or verify its chain
    #[command(
        after_help = "Examples:\n  tuman audit verify\n  tuman audit list --kind exported --since 2026-11-01\nExit code 3 where the chain is broken."
    )]
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Look into the spool: segments, records, checksums, never contents
    #[command(
        after_help = "Examples:\n  tuman spool list\n  tuman spool check --json\n  tuman spool show 0000000000000401 --stats\nWorks beside a running collector and where it is down. Exit code 3 where check finds something."
    )]
    Spool {
        #[command(subcommand)]
        command: spool::SpoolCommand,
    },
    /// Withdraw a device: stop collecting from it, erase its rows, keep the deadline of the answer
    #[command(
        after_help = "Examples:\n  tuman withdraw --case W-2026/017 --received 2026-10-05 --ids -      then lines such as imei=490154203237518\n  tuman withdraw --list\n  tuman withdraw --status W-2026/017 --lang kk\n  tuman withdraw --answered W-2026/017\nGive identifiers on the standard input (--ids -): those in arguments (--id) can be seen in the list of processes\nand stay in the shell's history. Kinds: install_id, android_id, idfv, gaid, idfa, imei, meid, mac.\nWhere it was interrupted, give it again: what is done stays done."
    )]
    Withdraw(withdraw::WithdrawArgs),
    /// Look the collector over: spool, keys, store, ledger, seals, audit log, withdrawals
    #[command(
        after_help = "Example:\n  tuman doctor --config /srv/tuman/tuman.toml\nExit code 3 where something is not well."
    )]
    Doctor(commands::PlainArgs),
}

/// Where the configuration is.
#[derive(Debug, Args, Clone)]
pub(crate) struct ConfigArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "TUMAN_CONFIG", default_value = "tuman.toml")]
    config: PathBuf,
    /// Set one key over file and environment, such as spool.limit="2 GiB"; can be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

impl ConfigArgs {
    pub(crate) fn load(&self, flags: Vec<(String, String)>) -> Result<Config, config::Problems> {
        let flags = self.set.iter().cloned().chain(flags).collect();
        config::load(&Layers { file: Some(self.config.clone()), environment: std::env::vars().collect(), flags })
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected section.key=value".into()),
    }
}

/// Runs the command line.
#[must_use]
pub fn run() -> ExitCode {
    // As by default until the configuration is read: what goes wrong before that shows too.
    log::start(&config::Log::default());
    log::note_panics();
    serve::harden();
    let done = match Cli::parse().command {
        Command::Init(args) => init::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Seal(args) => commands::seal(&args),
        Command::Access { command } => access::run(&command),
        Command::Catalogue { command } => catalogue::run(&command),
        Command::Budget(args) => budget::run(&args),
        Command::Stats(args) => commands::stats(&args),
        Command::Export(args) => export::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Audit { command } => audit::run(&command),
        Command::Spool { command } => spool::run(&command),
        Command::Withdraw(args) => withdraw::run(args),
        Command::Doctor(args) => commands::doctor(&args),
        Command::Policy(args) => policy::run(&args),
    };
    done.unwrap_or_else(|error| {
        output::error(&error);
        let is_configuration = error.is::<config::Problems>() || error.is::<crate::catalogue::CatalogueErrors>();
        ExitCode::from(if is_configuration { 2 } else { 1 })
    })
}
