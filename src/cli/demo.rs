//! `tuman demo`: a month of simulated days, then a live fleet of simulated phones posting over real HTTP.
//!
//! The past is not made up: its reports go through the boundary, the spool, the loader and the sealer like all others,
//! with a clock that is driven through the days.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::init::{Tokens, make, write};
use super::output;
use super::serve::{now_ms, serve};
use crate::app::{App, Declared};
use crate::clock::timestamp;
use crate::config::{Config, Layers, load};
use crate::demo::fleet::Fleet;
use crate::demo::history::History;
use crate::demo::{APP, CATALOGUE, post};
use crate::listeners::{Inherited, Sockets};
use crate::log::{self, Line};

const SEED: u64 = 0x0074_756d_616e;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The demo's folder; made at the first start
    #[arg(long, value_name = "DIR", default_value = "demo-data")]
    folder: PathBuf,
    /// Phones in the fleet, at the first start
    #[arg(long, default_value_t = 12_000)]
    phones: usize,
    /// Past days, at the first start
    #[arg(long, default_value_t = 31)]
    days: u16,
    /// Listen here
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Health and metrics listen here
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_internal: Option<String>,
    /// Print addresses and tokens as JSON when the collector answers
    #[arg(long)]
    json: bool,
}

/// What the demo remembers from start to start. Its tokens are in plain text: there is nothing real behind them.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    phones: usize,
    opening: jiff::civil::Date,
    /// Up to here the fleet has posted.
    until: Timestamp,
    tokens: Tokens,
}

pub(super) fn run(args: &DemoArgs) -> Result<ExitCode> {
    let began = Instant::now();
    let state_file = args.folder.join("demo.json");
    let state = read_or_make(args, &state_file)?;
    let config = configuration(args, &state)?;
    log::start(&config.log);
    let declared = Declared::read(&config)?;
    let store = App::open_store(&config)?;
    let zone = crate::clock::Zone::named(&config.privacy.zone).context("the time zone is unknown")?;
    let fleet = Fleet::new(SEED, state.phones, state.opening);
    let json = args.json;
    let stopped = actix_web::rt::System::new().block_on(async move {
        let now = timestamp(now_ms());
        let history = History { config: &config, fleet: &fleet, zone: &zone, from: state.until, to: now };
        let taken = history.run(declared, store.clone(), |day| {
            Line::Simulating { day }.write();
        });
        let events = taken.await?;
        Line::Simulated { events, took: began.elapsed() }.write();
        let state = State { until: now, ..state };
        save(&state_file, &state)?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let counts = Arc::new(post::Counts::default());
        let phones = {
            let (fleet, zone, tokens, counts) = (fleet.clone(), zone.clone(), state.tokens.clone(), counts.clone());
            move |url: String| {
                std::thread::spawn(move || {
                    let target = post::Target::new(url, tokens.app_key, zone.time_zone().clone());
                    let clock = || timestamp(now_ms());
                    actix_web::rt::System::new().block_on(post::run(fleet, target, clock, stopped, &counts));
                })
            }
        };
        let mut posting = None;
        let declared = Declared::read(&config)?;
        let sockets = Sockets::open(Inherited::default(), &config.server)?;
        let served = serve(config, declared, store, sockets, None, |listeners| {
            announce(json, listeners, &state.tokens, state.phones, began);
            posting = Some(phones(format!("http://{}/v1/collect", listeners.public)));
        });
        let stopped = served.await?;
        // The collector has stopped; the phones notice now.
        stop.send_replace(true);
        if let Some(posting) = posting {
            let _ = tokio::task::spawn_blocking(move || posting.join()).await;
        }
        save(&state_file, &State { until: timestamp(now_ms()), ..state })?;
        anyhow::Ok(stopped)
    })?;
    stopped.end()?;
    Ok(ExitCode::SUCCESS)
}

fn announce(json: bool, listeners: &crate::listeners::Listeners, tokens: &Tokens, phones: usize, began: Instant) {
    if json {
        output::line(
            &serde_json::json!({
                "public": listeners.public,
                "internal": listeners.internal,
                "app": APP,
                "app_key": tokens.app_key,
                "analyst_token": tokens.analyst_token,
                "operator_token": tokens.operator_token,
                "officer_token": tokens.officer_token,
            })
            .to_string(),
        );
        return;
    }
    output::line(&format!(
        "\nTuman's demo runs, after {:.1} s. All of its data is simulated.\n",
        began.elapsed().as_secs_f64()
    ));
    output::table(&[
        vec!["Dashboard".into(), format!("http://{}", listeners.public)],
        vec!["  for its officer".into(), sign_in(listeners, &tokens.officer_token)],
        vec!["  for its operator".into(), sign_in(listeners, &tokens.operator_token)],
        vec!["Health, metrics".into(), format!("http://{}/metrics", listeners.internal)],
        vec!["App".into(), format!("{APP}, {phones} simulated phones")],
        vec!["App key (write only)".into(), tokens.app_key.clone()],
        vec!["Analyst's token".into(), tokens.analyst_token.clone()],
        vec!["Operator's token".into(), tokens.operator_token.clone()],
        vec!["Officer's token".into(), tokens.officer_token.clone()],
        vec!["Configuration".into(), tokens.config.display().to_string()],
    ]);
    output::line("\nStop it with Ctrl-C.");
}

/// A link that brings its token along. What stands behind a `#` is sent to no server; the page takes it out of the address.
fn sign_in(listeners: &crate::listeners::Listeners, token: &str) -> String {
    format!("http://{}/#token={token}", listeners.public)
}

fn read_or_make(args: &DemoArgs, state_file: &Path) -> Result<State> {
    if let Ok(text) = fs::read(state_file) {
        return serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged: delete the demo's folder", state_file.display()));
    }
    let config = include_str!("demo/tuman.toml");
    let tokens = make(&args.folder, APP, CATALOGUE, config)
        .with_context(|| format!("an earlier start of the demo was cut short: delete {}", args.folder.display()))?;
    let zone = crate::clock::Zone::named(&Config::default().privacy.zone).context("the time zone is unknown")?;
    let now = timestamp(now_ms()).to_zoned(zone.time_zone().clone());
    let opening = now.date().saturating_sub(i64::from(args.days).days());
    let until = opening.to_zoned(zone.time_zone().clone()).context("the first day")?.timestamp();
    let state = State { phones: args.phones, opening, until, tokens };
    save(state_file, &state)?;
    Ok(state)
}

fn configuration(args: &DemoArgs, state: &State) -> Result<Config> {
    let listen = args.listen.iter().map(|listen| ("server.listen".to_owned(), format!("\"{listen}\"")));
    let internal =
        args.listen_internal.iter().map(|listen| ("server.listen_internal".to_owned(), format!("\"{listen}\"")));
    let layers = Layers {
        file: Some(state.tokens.config.clone()),
        environment: std::env::vars().collect(),
        flags: listen.chain(internal).collect(),
    };
    Ok(load(&layers)?)
}

fn save(file: &Path, state: &State) -> Result<()> {
    let fresh = file.with_extension("fresh");
    write(&fresh, &serde_json::to_string_pretty(state)?)?;
    fs::rename(&fresh, file).with_context(|| format!("{} cannot be written", file.display()))
}
