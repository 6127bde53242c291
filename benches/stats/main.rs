//! `make bench-stats`: a year of releases of an app with 500 declared cells. What it takes on disk, and how long every
//! question about it takes, asked of the built program over HTTP.
//!
//! The year is sealed by the real sealer: 365 days of 40,000 devices, so many that every declared cell is published every
//! day, which is the most that can be. Its budgets are 200 MB, and 50 ms at p99 for each question; ends with 1 where one
//! is not kept. `-- --short` seals a fortnight: it shows that it works.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use jiff::ToSpan;
use jiff::civil::Date;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tuman::app::{App, Declared};
use tuman::clock::{Clock, ManualClock, SystemClock, date_of};
use tuman::config::{Layers, load};
use tuman::store::{Statement, Store, Value};
use tuman_privacy::code::{Sort, code};
use tuman_privacy::properties::value_code;
use tuman_privacy::time::Day;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tuman");
const APP: &str = "kz.bench.year";
const DEVICES: u64 = 40_000;
const SCREENS: u64 = 25;
const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "2.0.0"];
const PLATFORMS: [&str; 4] = ["android", "ios", "harmonyos", "web"];
/// 25 screens, four versions with `other`, five platforms with `other`.
const DECLARED_CELLS: u64 = SCREENS * 4 * 5;
const MOST_BYTES: u64 = 200_000_000;
const MOST_MS: f64 = 50.0;

fn main() -> ExitCode {
    let is_short = std::env::args().any(|argument| argument == "--short");
    let (days, asks) = if is_short { (14, 20) } else { (365, 300) };
    match run(days, asks) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("it ended early: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(days: u16, asks: usize) -> Result<bool> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let token = init(folder.path())?;
    let began = Instant::now();
    let (from, to, sizes) = actix_web::rt::System::new().block_on(year(folder.path(), days))?;
    say(&format!(
        "{days} days of {DEVICES} devices, {DECLARED_CELLS} declared cells, sealed in {:.0} s: {} values of {} releases",
        began.elapsed().as_secs_f64(),
        sizes.values,
        sizes.seals
    ));
    let whole = bytes(folder.path())?;
    say(&format!("releases and seals on disk: {:.1} MB; the whole folder: {:.1} MB", mb(sizes.bytes), mb(whole)));
    let mut is_kept = sizes.bytes <= MOST_BYTES;
    let server = Server::start(folder.path())?;
    say(&format!(
        "\n| {:<58} | {:>9} | {:>9} | {:>9} | {:>9} |",
        "question", "bytes", "first, ms", "p50, ms", "p99, ms"
    ));
    for question in questions(from, to) {
        let line = ask(&server, &token, &question, asks)?;
        is_kept &= line.p99_ms <= MOST_MS;
        say(&format!(
            "| {question:<58} | {:>9} | {:>9.1} | {:>9.1} | {:>9.1} |",
            line.bytes, line.first_ms, line.p50_ms, line.p99_ms
        ));
    }
    say(&format!("\nbudgets: 200 MB, and 50 ms at p99: {}", if is_kept { "kept" } else { "NOT KEPT" }));
    Ok(is_kept)
}

/// Every kind of question, over all that there is.
fn questions(from: Date, to: Date) -> Vec<String> {
    let period = format!("period={from}..{to}");
    let mut all: Vec<String> = ["none", "platform", "version", "platform,version"]
        .map(|breakdown| format!("activity?{period}&breakdown={breakdown}"))
        .into();
    all.extend(["week", "month"].map(|interval| format!("activity?{period}&interval={interval}")));
    all.push(format!("events?{period}"));
    all.extend(["3", "4", "5"].map(|precision| format!("places?{period}&precision={precision}")));
    all.push(format!("places.geojson?{period}&precision=5"));
    let breakdowns = ["none", "platform", "view.screen", "version,view.screen", "platform,version,view.screen"];
    all.extend(breakdowns.map(|breakdown| format!("releases/screens?{period}&breakdown={breakdown}")));
    all.extend(["first_use", "retention", "places_5"].map(|name| format!("releases/{name}?{period}")));
    all.push("releases/screens?period=last_30_days".into());
    all
}

struct Line {
    bytes: usize,
    first_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Asks once, and then again and again: the first answer is worked out, the others are kept.
fn ask(server: &Server, token: &str, question: &str, asks: usize) -> Result<Line> {
    let mut client = BufReader::new(TcpStream::connect(server.address)?);
    let mut body = Vec::new();
    let mut times = Vec::with_capacity(asks);
    for _ in 0..asks {
        let began = Instant::now();
        get(&mut client, token, question, &mut body)?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let first_ms = times[0];
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Line { bytes: body.len(), first_ms, p50_ms: at(0.5), p99_ms: at(0.99) })
}

fn get(client: &mut BufReader<TcpStream>, token: &str, question: &str, body: &mut Vec<u8>) -> Result<()> {
    let request =
        format!("GET /v1/stats/{question} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n");
    client.get_mut().write_all(request.as_bytes())?;
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        ensure!(client.read_line(&mut head)? > 0, "the connection was closed");
        let line = head[start..].trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.is_empty() {
            break;
        }
    }
    body.resize(length, 0);
    client.read_exact(body)?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{question}: {}", String::from_utf8_lossy(body));
    Ok(())
}

/// What `tuman init` prints.
#[derive(Deserialize)]
struct Tokens {
    analyst_token: String,
}

fn init(folder: &Path) -> Result<String> {
    let made = Command::new(PROGRAM).args(["init", "--app", APP, "--json", "--folder"]).arg(folder).output()?;
    ensure!(made.status.success(), "`tuman init` failed: {}", String::from_utf8_lossy(&made.stderr));
    let tokens: Tokens = serde_json::from_slice(&made.stdout).context("`tuman init --json` prints the tokens")?;
    let screens: Vec<String> = (0..SCREENS).map(screen).collect();
    let catalogue = format!(
        "[app]\nid = \"{APP}\"\nplatforms = {PLATFORMS:?}\nversions = {VERSIONS:?}\n\
         [[policy]]\nversion = \"1\"\npurposes = [\"usage\", \"location\"]\n\
         [events.view.props]\nscreen = {{ enum = {screens:?} }}\n\
         [budget]\ndaily_epsilon = 2.5\n\
         [[release]]\nname = \"screens\"\ndimensions = [\"platform\", \"version\", \"view.screen\"]\nepsilon = 0.5\n"
    );
    fs::write(folder.join("catalogue").join(format!("{APP}.toml")), catalogue)?;
    Ok(tokens.analyst_token)
}

fn screen(number: u64) -> String {
    format!("screen_{number:02}")
}

/// What a year takes.
#[derive(Deserialize)]
struct Sizes {
    bytes: u64,
    values: u64,
    seals: u64,
}

/// Seals days up to yesterday, by the sealer of a collector whose clock stands still.
async fn year(folder: &Path, days: u16) -> Result<(Date, Date, Sizes)> {
    let file = folder.join("tuman.toml");
    let flags = vec![("paths.keys".to_owned(), format!("{:?}", folder.join("keys")))];
    let config = load(&Layers { file: Some(file), flags, ..Layers::default() })?;
    let store = App::open_store(&config)?;
    let now_ms = SystemClock.now_ms();
    let clock = Arc::new(ManualClock::at(now_ms));
    let app = Arc::new(App::open(config.clone(), Declared::read(&config)?, store.clone(), clock)?);
    let loading = actix_web::rt::spawn(app.loader.clone().run());
    let today = app.zone.day(now_ms).0;
    let cells = cells(&app);
    for day in today - days..today {
        fill(&*store, Day(day), &cells)?;
        app.sealer.seal(Day(day)).await?;
    }
    // Merged, as it is after a while.
    for table in ["OPTIMIZE TABLE releases FINAL", "OPTIMIZE TABLE seals FINAL"] {
        store.execute(&Statement::new(table))?;
    }
    let text = "SELECT toUInt64(sum(bytes_on_disk)) AS bytes, toUInt64(sumIf(rows, table = 'releases')) AS values, \
                toUInt64(sumIf(rows, table = 'seals')) AS seals \
                FROM system.parts WHERE active AND database = currentDatabase() AND table IN ('releases', 'seals')";
    let sizes: Vec<Sizes> = store.rows(&Statement::new(text))?;
    app.close(Some(loading)).await;
    let to = date_of(Day(today - 1));
    let from = to.saturating_sub(i64::from(days - 1).days());
    Ok((from, to, sizes.into_iter().next().context("the store has sizes")?))
}

/// Cells of five characters, 16 in each of many cells of three.
fn cells(app: &App) -> Vec<String> {
    let region = &app.sealer.region;
    let mut cells = Vec::new();
    for coarse in region.coarsest_cells().into_iter().step_by(20) {
        for town in region.children(coarse).into_iter().take(4) {
            cells.extend(region.children(town).into_iter().take(4).map(|cell| cell.as_str().to_owned()));
        }
    }
    cells
}

/// The open rows of a day, as if so many devices had reported.
fn fill(store: &dyn Store, day: Day, cells: &[String]) -> Result<()> {
    let usage = "INSERT INTO usage_open SELECT {day:Date}, 9 + number % 6, {app:UInt32}, {event:UInt32}, \
         cityHash64(number, {day:Date}) + 1, 1 + intDiv(number, 100) % 5, 14, {versions:Array(UInt32)}[1 + intDiv(number, 25) % 4], \
         1, 1, multiIf(number % 7 = 0, 6, number % 30 = 0, 10, 2), number % 13, [{screens:Array(UInt32)}[1 + number % 25]] \
         FROM numbers({devices:UInt64})";
    let places = "INSERT INTO places_open SELECT {day:Date}, {app:UInt32}, cityHash64(number, {day:Date}) + 1, \
         {cells:Array(String)}[1 + number % length({cells:Array(String)})], 1 FROM numbers({devices:UInt64})";
    let codes = |names: Vec<u32>| Value::Numbers(names.into_iter().map(u64::from).collect());
    let versions = VERSIONS.iter().map(|version| code(Sort::Version, version)).chain([0]).collect();
    let screens = (0..SCREENS).map(|number| value_code("screen", &screen(number))).collect();
    let whose = |text: &'static str| {
        Statement::new(text).bind("day", date_of(day)).bind("app", code(Sort::App, APP)).bind("devices", DEVICES)
    };
    let event = code(Sort::Event, "view");
    store.execute(
        &whose(usage).bind("event", event).bind("versions", codes(versions)).bind("screens", codes(screens)),
    )?;
    Ok(store.execute(&whose(places).bind("cells", Value::Texts(cells.to_vec())))?)
}

/// The built program.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &Path) -> Result<Server> {
        #[derive(Deserialize)]
        struct Addresses {
            public: SocketAddr,
        }
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--json", "--config"])
            .arg(folder.join("tuman.toml"))
            .env("TUMAN_SERVER_LISTEN", "127.0.0.1:0")
            .env("TUMAN_SERVER_LISTEN_INTERNAL", "127.0.0.1:0")
            .env("TUMAN_PATHS_KEYS", folder.join("keys"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("server.log"))?)
            .spawn()?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let addresses =
            output.lines().map_while(Result::ok).find_map(|line| serde_json::from_str::<Addresses>(&line).ok());
        match addresses {
            Some(Addresses { public }) => Ok(Server { child, address: public }),
            None => {
                let _ = child.wait();
                anyhow::bail!("the collector did not start: {}", fs::read_to_string(folder.join("server.log"))?)
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    let mut folders: Vec<PathBuf> = vec![folder.into()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)?.flatten() {
            let about = entry.metadata()?;
            if about.is_dir() {
                folders.push(entry.path());
            } else {
                sum += about.len();
            }
        }
    }
    Ok(sum)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn say(line: &str) {
    // The reader may have closed the output.
    let _ = writeln!(std::io::stdout(), "{line}");
}
