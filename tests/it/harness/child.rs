//! A collector as a process of its own, which can be killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A running `tuman serve`.
pub struct Child {
    process: std::process::Child,
    stdout: BufReader<ChildStdout>,
    pub public: String,
    pub internal: String,
}

/// The program under test.
pub fn tuman() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tuman"));
    command.env_remove("TUMAN_CONFIG").stderr(Stdio::piped());
    command
}

impl Child {
    /// Makes a folder to serve; answers the tokens.
    pub fn init(folder: &Path) -> Value {
        let output =
            tuman().args(["init", "--app", "kz.test.app", "--json", "--folder"]).arg(folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        std::fs::write(folder.join("catalogue/kz.test.app.toml"), include_str!("catalogue.toml")).unwrap();
        // In place of the sample: what the tests need to be different. Keys lie in the test's own folder.
        let text = "[paths]\nkeys = \"keys\"\n[server]\nlisten = \"127.0.0.1:0\"\nlisten_internal = \"127.0.0.1:0\"\nworkers = 2\n[limits]\nwait = \"1h\"\n[spool]\nsegment_age = \"100ms\"\n";
        std::fs::write(folder.join("tuman.toml"), text).unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts it and waits until it listens.
    pub fn serve(folder: &Path) -> Child {
        let mut command = tuman();
        command.args(["serve", "--json", "--config"]).arg(folder.join("tuman.toml"));
        Child::start(command, folder)
    }

    /// Starts it where no memory may be locked.
    #[cfg(target_os = "linux")]
    pub fn serve_without_locks(folder: &Path) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -l 0; exec \"$0\" \"$@\""]).arg(tuman().get_program());
        command.env_remove("TUMAN_CONFIG").args(["serve", "--json", "--config"]).arg(folder.join("tuman.toml"));
        Child::start(command, folder)
    }

    /// Starts a small demo and waits until it listens.
    pub fn demo(folder: &Path) -> Child {
        std::fs::create_dir_all(folder).unwrap();
        let mut command = tuman();
        command.args(["demo", "--json", "--phones", "300", "--days", "3", "--listen", "127.0.0.1:0"]);
        command.args(["--listen-internal", "127.0.0.1:0", "--folder"]).arg(folder);
        command.env("TUMAN_PATHS_KEYS", folder.join("keys"));
        Child::start(command, folder)
    }

    /// Starts a collector by a command and waits until it listens.
    pub fn start(mut command: Command, folder: &Path) -> Child {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(folder.join("log")).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let addresses: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("did not start: {}", self::log(folder)));
        let address = |of: &str| addresses[of].as_str().unwrap().to_owned();
        Child { process, stdout, public: address("public"), internal: address("internal") }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGHUP: reads catalogues and tokens anew.
    pub fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM; returns when its log says that it stops.
    pub fn begin_to_stop(&self, folder: &Path) {
        self.signal(rustix::process::Signal::TERM);
        while !log(folder).contains("stopping") {
            std::thread::yield_now();
        }
    }

    /// Waits for its end; answers the exit code.
    pub fn ended(mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// SIGTERM; answers the exit code.
    pub fn terminate(self) -> Option<i32> {
        self.terminate_and_read().0
    }

    /// SIGTERM; answers the exit code, and what it printed after its addresses.
    pub fn terminate_and_read(mut self) -> (Option<i32>, String) {
        self.signal(rustix::process::Signal::TERM);
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).unwrap();
        (self.process.wait().unwrap().code(), printed)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.process), signal).unwrap();
    }
}

/// What a collector in `folder` logged.
pub fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Runs a command on a folder.
pub fn on(folder: &Path, arguments: &[&str]) -> Output {
    let config: PathBuf = folder.join("tuman.toml");
    tuman().args(arguments).arg("--config").arg(config).output().unwrap()
}

/// Posts a report on a connection of its own; `None` where no answer came.
pub fn post(address: &str, key: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let head = format!(
        "POST /v1/collect HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer);
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// The events that the ledger books as stored, read by a collector that was started anew.
pub fn stored(folder: &Path) -> usize {
    let child = Child::serve(folder);
    let doctor = on(folder, &["doctor", "--json"]);
    let findings: Vec<Value> = serde_json::from_slice(&doctor.stdout).unwrap();
    let ledger = findings.iter().find(|finding| finding["what"] == "ledger").unwrap();
    assert_eq!(child.terminate(), Some(0));
    let detail = ledger["detail"].as_str().unwrap();
    detail
        .split(' ')
        .find_map(|word| word.strip_prefix("stored=")?.strip_suffix(':')?.parse().ok())
        .unwrap_or_else(|| panic!("{detail}"))
}
