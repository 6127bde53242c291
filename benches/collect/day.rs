//! A day in the store: what its open rows take on disk, and what sealing a large one takes.
//!
//! The engine serves one folder per process, and the most memory is a process's own: each of these is this program once
//! more, which prints what it found as JSON.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tuman::app::{App, Declared};
use tuman::clock::{ManualClock, date_of};
use tuman::config::{Config, Layers, load};
use tuman::store::{Statement, Store, Value};
use tuman_privacy::code::{Sort, code};
use tuman_privacy::properties::value_code;
use tuman_privacy::time::Day;

use crate::load::{APP, SCREENS, VERSIONS};
use crate::process;

/// The argument that makes this program weigh the open rows of a folder.
pub(crate) const WEIGH: &str = "--weigh-open-rows";
/// The argument that makes this program fill a day of a folder and seal it.
pub(crate) const SEAL: &str = "--seal-a-day";

/// 2026-10-06T12:00:00+05:00: the day before it is sealed.
const NOW_MS: i64 = 1_791_270_000_000;
/// Events of a device.
const EVENTS_OF_A_DEVICE: u64 = 20;

/// Open rows on disk.
#[derive(Serialize, Deserialize)]
pub(crate) struct Weight {
    /// Of their active parts.
    pub(crate) bytes: u64,
    /// Rows of usage: one for each event.
    pub(crate) events: u64,
}

/// A seal.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// How long it took.
    pub(crate) seconds: f64,
    /// The most memory that the process had in it.
    pub(crate) most_bytes: u64,
    /// Values that were published.
    pub(crate) published: u64,
}

/// Runs this program once more.
///
/// # Errors
/// Where it fails.
pub(crate) fn run<T: for<'a> Deserialize<'a>>(argument: &str, folder: &Path, events: u64) -> Result<T> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(argument).arg(folder).arg(events.to_string()).stderr(Stdio::inherit());
    let output = command.output()?;
    ensure!(output.status.success(), "{argument} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("it prints what it found")
}

/// What this program does when it is run once more, if it is that.
pub(crate) fn asked() -> Option<Result<()>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, what, folder, events] = arguments.as_slice() else { return None };
    let (folder, events) = (Path::new(folder), events.parse().unwrap_or_default());
    match what.as_str() {
        WEIGH => Some(weigh(folder).and_then(|weight| print(&weight))),
        SEAL => {
            let sealed = actix_web::rt::System::new().block_on(seal(folder, events));
            Some(sealed.and_then(|sealed| print(&sealed)))
        }
        _ => None,
    }
}

fn print(found: &impl Serialize) -> Result<()> {
    Ok(writeln!(io::stdout(), "{}", serde_json::to_string(found)?)?)
}

fn config(folder: &Path) -> Result<Config> {
    let flags = vec![("paths.keys".to_owned(), format!("{:?}", folder.join("keys")))];
    Ok(load(&Layers { file: Some(folder.join("tuman.toml")), flags, ..Layers::default() })?)
}

fn weigh(folder: &Path) -> Result<Weight> {
    let store = App::open_store(&config(folder)?)?;
    let text = "SELECT toUInt64(sum(bytes_on_disk)) AS bytes, toUInt64(sumIf(rows, table = 'usage_open')) AS events \
                FROM system.parts WHERE active AND database = currentDatabase() \
                AND table IN ('usage_open', 'places_open')";
    let weights: Vec<Weight> = store.rows(&Statement::new(text))?;
    weights.into_iter().next().context("the store has sizes")
}

async fn seal(folder: &Path, events: u64) -> Result<Sealed> {
    let config = config(folder)?;
    let store = App::open_store(&config)?;
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let app = Arc::new(App::open(config.clone(), Declared::read(&config)?, store.clone(), clock)?);
    let loading = actix_web::rt::spawn(app.loader.clone().run());
    let day = Day(app.zone.day(NOW_MS).0 - 1);
    fill(&*store, day, events, &towns(&app))?;
    // From here on the most memory is counted anew.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let summary = app.sealer.seal(day).await?;
    let (_, most_bytes) = process::memory(std::process::id())?;
    let published = summary.apps.iter().flat_map(|app| &app.releases).map(|release| release.1).sum();
    app.close(Some(loading)).await;
    Ok(Sealed { seconds: summary.seconds, most_bytes, published })
}

/// Cells of five characters all over the region.
fn towns(app: &App) -> Vec<String> {
    let region = &app.sealer.region;
    let coarse = region.coarsest_cells().into_iter().step_by(3);
    let towns = coarse.flat_map(|cell| region.children(cell).into_iter().take(1));
    towns.flat_map(|cell| region.children(cell).into_iter().take(4)).map(|cell| cell.as_str().to_owned()).collect()
}

/// The open rows of a day: so many events, twenty of a device.
fn fill(store: &dyn Store, day: Day, events: u64, towns: &[String]) -> Result<()> {
    let usage = "INSERT INTO usage_open SELECT {day:Date}, intDiv(number, {devices:UInt64}) + 2, {app:UInt32}, {event:UInt32}, \
         cityHash64(number % {devices:UInt64}, {day:Date}) + 1, 1 + number % 2, 14, {versions:Array(UInt32)}[1 + number % 3], \
         1, 1, multiIf(number % 7 = 0, 6, number % 30 = 0, 10, 2), number % 13, [{screens:Array(UInt32)}[1 + number % 6]] \
         FROM numbers({events:UInt64})";
    let places = "INSERT INTO places_open SELECT {day:Date}, {app:UInt32}, cityHash64(number % {devices:UInt64}, {day:Date}) + 1, \
         {towns:Array(String)}[1 + number % length({towns:Array(String)})], 1 FROM numbers({events:UInt64})";
    let codes = |names: Vec<u32>| Value::Numbers(names.into_iter().map(u64::from).collect());
    let whose = |text: &'static str| {
        let of = Statement::new(text).bind("day", date_of(day)).bind("app", code(Sort::App, APP));
        of.bind("devices", (events / EVENTS_OF_A_DEVICE).max(1)).bind("events", events)
    };
    let versions = VERSIONS.iter().map(|version| code(Sort::Version, version)).collect();
    let screens = SCREENS.iter().map(|screen| value_code("screen", screen)).collect();
    let usage = whose(usage).bind("event", code(Sort::Event, "screen_view"));
    store.execute(&usage.bind("versions", codes(versions)).bind("screens", codes(screens)))?;
    Ok(store.execute(&whose(places).bind("towns", Value::Texts(towns.to_vec())))?)
}
