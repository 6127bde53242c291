//! Commands about a collector's folder: carried out by the collector that runs on it, or here if none does.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{ConfigArgs, output};
use crate::app::{App, Declared};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::control::{Reply, Request, ask_about, carry_out};
use crate::log;
use crate::seal::Summary;

#[derive(Debug, Args)]
pub(super) struct SealArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The local day, as YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    day: jiff::civil::Date,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The question
    #[arg(value_parser = ["activity", "events", "places", "places.geojson", "release"])]
    what: String,
    /// Of release: its name
    #[arg(value_name = "NAME", required_if_eq("what", "release"))]
    name: Option<String>,
    /// The app; not needed where there is one
    #[arg(long)]
    app: Option<String>,
    /// yesterday, last_7_days, last_30_days, last_90_days or YYYY-MM-DD..YYYY-MM-DD
    #[arg(long)]
    period: Option<String>,
    /// Of activity: day, week or month
    #[arg(long)]
    interval: Option<String>,
    /// Of activity: none, platform, version or platform,version. Of release: its dimensions with commas, or none
    #[arg(long)]
    breakdown: Option<String>,
    /// Of places: 3, 4 or 5 characters of a cell
    #[arg(long)]
    precision: Option<String>,
    /// Values that add up and are not below zero, for display; not of events
    #[arg(long)]
    consistent: bool,
}

#[derive(Debug, Args)]
pub(super) struct PlainArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn seal(args: &SealArgs) -> Result<ExitCode> {
    let Reply::Sealed(summary) = command(&args.config, &Request::Seal { day: args.day })? else {
        bail!("the collector answered something else");
    };
    if args.json {
        output::json(&summary);
    } else {
        show(&summary);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(summary: &Summary) {
    output::line(&format!(
        "{} is sealed, in {:.1} s. Its rows and its key are destroyed; these releases remain:\n",
        summary.day, summary.seconds
    ));
    let mut rows: Vec<Vec<String>> =
        vec![["app", "release", "published", "suppressed", "epsilon"].map(String::from).into()];
    for app in &summary.apps {
        for (release, published, suppressed, epsilon) in &app.releases {
            let epsilon = epsilon.map_or_else(|| "off".to_owned(), |epsilon| format!("{epsilon:.2}"));
            let cells = [&app.app, release, &published.to_string(), &suppressed.to_string(), &epsilon];
            rows.push(cells.map(Clone::clone).into());
        }
    }
    output::table(&rows);
}

pub(super) fn stats(args: &StatsArgs) -> Result<ExitCode> {
    let parameters = [
        ("name", &args.name),
        ("app", &args.app),
        ("period", &args.period),
        ("interval", &args.interval),
        ("breakdown", &args.breakdown),
        ("precision", &args.precision),
    ];
    let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    let consistent = args.consistent.then(|| ("consistent".to_owned(), "true".to_owned()));
    let parameters = parameters.chain(consistent).collect();
    let Reply::Stats(answer) = command(&args.config, &Request::Stats { what: args.what.clone(), parameters })? else {
        bail!("the collector answered something else");
    };
    output::json(&answer);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn doctor(args: &PlainArgs) -> Result<ExitCode> {
    let Reply::Findings(findings) = command(&args.config, &Request::Doctor)? else {
        bail!("the collector answered something else");
    };
    let well = findings.iter().all(|finding| finding.well);
    if args.json {
        output::json(&findings);
    } else {
        let mark = |well: bool| if well { "well" } else { "ILL " };
        let rows: Vec<Vec<String>> = findings
            .iter()
            .map(|finding| vec![mark(finding.well).into(), finding.what.clone(), finding.detail.clone()])
            .collect();
        output::table(&rows);
        output::line(if well { "All is well." } else { "Not all is well: see above." });
    }
    Ok(ExitCode::from(if well { 0 } else { 3 }))
}

/// Has a command carried out: by the collector on the folder, or here.
pub(super) fn command(args: &ConfigArgs, request: &Request) -> Result<Reply> {
    command_about(args.load(Vec::new())?, request, "")
}

/// The same, about identifiers: a line each.
pub(super) fn command_about(config: Config, request: &Request, identifiers: &str) -> Result<Reply> {
    let asked = ask_about(&config.paths.data, request, identifiers);
    let reply = match asked.context("the running collector did not answer")? {
        Some(reply) => reply,
        None => here(config, request.clone(), identifiers)?,
    };
    match reply {
        Reply::Failed(why) => bail!(why),
        reply => Ok(reply),
    }
}

fn here(config: Config, request: Request, identifiers: &str) -> Result<Reply> {
    // It holds keys while it works, as `serve` does.
    super::serve::harden();
    log::start(&config.log);
    let declared = Declared::read(&config)?;
    let store = App::open_store(&config)?;
    actix_web::rt::System::new().block_on(async move {
        let app = Arc::new(App::open(config, declared, store, Arc::new(SystemClock))?);
        let loading = actix_web::rt::spawn(app.loader.clone().run());
        let reply = carry_out(request, identifiers, &app).await;
        app.close(Some(loading)).await;
        Ok(reply)
    })
}
