//! The servers that are measured: the built program, and an empty handler of the same framework, each a process of its
//! own, so that its processor time is its own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use actix_web::web::{self, Payload};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::load::{APP, CATALOGUE};

/// The argument that makes this program serve the empty handler.
pub(crate) const EMPTY_HANDLER: &str = "--empty-handler";

const PROGRAM: &str = env!("CARGO_BIN_EXE_tuman");
/// How long a server may take to start, to store what it holds, and to stop.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a server prints when its sockets are open.
#[derive(Deserialize)]
struct Addresses {
    public: SocketAddr,
    internal: Option<SocketAddr>,
}

/// What `tuman init` prints.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    app_key: String,
    operator_token: String,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Where it takes requests.
    pub(crate) address: SocketAddr,
    internal: Option<SocketAddr>,
    /// The app key; empty for the empty handler.
    pub(crate) key: String,
    /// The operator's token; empty for the empty handler.
    pub(crate) operator: String,
}

/// Counters of the collector that the bench asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Events that left a row.
    pub(crate) accepted: f64,
    /// Rows that are in the store.
    pub(crate) rows: f64,
    /// Seconds that loading them took.
    pub(crate) load_s: f64,
    /// Bytes and segments that wait for the store.
    waiting: f64,
}

impl Server {
    /// Starts the collector in `folder` with the catalogue of the load and some keys of the configuration, as variables.
    ///
    /// # Errors
    /// Where the program does not start; its log is in the message.
    pub(crate) fn collector(folder: &Path, configuration: &[(&str, String)]) -> Result<Server> {
        let tokens = init(folder)?;
        let log = folder.join("server.log");
        let mut command = Command::new(PROGRAM);
        command
            .args(["serve", "--json", "--config"])
            .arg(folder.join("tuman.toml"))
            .env("TUMAN_SERVER_LISTEN", "127.0.0.1:0")
            .env("TUMAN_SERVER_LISTEN_INTERNAL", "127.0.0.1:0")
            // Not in the machine's memory: nothing is left there when this ends early.
            .env("TUMAN_PATHS_KEYS", folder.join("keys"))
            .envs(configuration.iter().map(|(key, value)| (*key, value)))
            .stderr(File::create(&log)?);
        let mut server = Server::start(command).with_context(|| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("the collector did not start:\n{log}")
        })?;
        server.key = tokens.app_key;
        server.operator = tokens.operator_token;
        Ok(server)
    }

    /// Starts the empty handler: this program once more.
    ///
    /// # Errors
    /// Where it does not start.
    pub(crate) fn empty() -> Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(EMPTY_HANDLER);
        Server::start(command)
    }

    fn start(mut command: Command) -> Result<Server> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let addresses =
            lines.by_ref().map_while(Result::ok).find_map(|line| serde_json::from_str::<Addresses>(&line).ok());
        let Some(addresses) = addresses else {
            // It ended, or closed its output: nothing is left to wait for.
            let _ = child.kill();
            let _ = child.wait();
            bail!("it printed no addresses");
        };
        // Read on, so that the server never waits for its output to be read.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Server {
            child,
            address: addresses.public,
            internal: addresses.internal,
            key: String::new(),
            operator: String::new(),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// Where the internal listener does not answer.
    pub(crate) fn counters(&self) -> Result<Counters> {
        let metrics = self.metrics()?;
        let value = |name: &str| value(&metrics, name);
        Ok(Counters {
            accepted: value("tuman_events_accepted_total"),
            rows: value("tuman_rows_loaded_total"),
            load_s: value("tuman_load_seconds_sum"),
            waiting: value("tuman_spool_bytes") + value("tuman_spool_segments"),
        })
    }

    /// Reads all metrics.
    ///
    /// # Errors
    /// Where the internal listener does not answer.
    pub(crate) fn metrics(&self) -> Result<String> {
        let address = self.internal.context("there is no internal listener")?;
        get(address, "/metrics", "")
    }

    /// Reads today's account, and whether it balances.
    ///
    /// # Errors
    /// Where the collector does not answer.
    pub(crate) fn ledger(&self) -> Result<serde_json::Value> {
        let answer = get(self.address, "/v1/ledger", &self.operator)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        serde_json::from_str(body).context("the ledger")
    }

    /// Waits until the store has everything that was accepted.
    ///
    /// # Errors
    /// Where that takes too long.
    pub(crate) fn drained(&self) -> Result<Counters> {
        let began = Instant::now();
        loop {
            let counters = self.counters()?;
            if counters.waiting == 0.0 {
                return Ok(counters);
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "after {PATIENCE:?} the store still does not have everything: {counters:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the server as an operator would, and waits for its end.
    ///
    /// # Errors
    /// Where it fails while stopping.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not stop within {PATIENCE:?}")
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // It may be gone already.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Makes the folder of a collector, with the catalogue of the load.
///
/// # Errors
/// Where the program fails.
pub(crate) fn init(folder: &Path) -> Result<Tokens> {
    let made = Command::new(PROGRAM)
        .args(["init", "--app", APP, "--json", "--folder"])
        .arg(folder)
        .stderr(Stdio::inherit())
        .output()
        .context("`tuman init` cannot be run")?;
    ensure!(made.status.success(), "`tuman init` failed");
    let tokens: Tokens = serde_json::from_slice(&made.stdout).context("`tuman init --json` prints the tokens")?;
    fs::write(folder.join("catalogue").join(format!("{APP}.toml")), CATALOGUE)?;
    Ok(tokens)
}

/// The value of a metric; zero where it was never counted.
pub(crate) fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or_default()
}

/// Asks for a path; answers head and body.
fn get(address: SocketAddr, path: &str, token: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: internal\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Serves the empty handler: reads the body, answers 204.
///
/// # Errors
/// Where no port is free.
pub(crate) fn serve_empty() -> io::Result<()> {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(|| App::new().route("/v1/collect", web::post().to(empty)))
            .workers(workers)
            .shutdown_timeout(1)
            .bind("127.0.0.1:0")?;
        if let Some(address) = server.addrs().first() {
            writeln!(io::stdout(), "{}", serde_json::json!({ "public": address }))?;
        }
        server.run().await
    })
}

async fn empty(mut payload: Payload) -> HttpResponse {
    while let Some(Ok(_)) = payload.next().await {}
    HttpResponse::NoContent().finish()
}
