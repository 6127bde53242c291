//! A collector as a process of its own, which can be killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A running `tuman serve`.
pub struct Child {
    process: std::process::Child,
    pub public: String,
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
        let text = "[paths]\nkeys = \"keys\"\n[server]\nlisten = \"127.0.0.1:0\"\nlisten_internal = \"127.0.0.1:0\"\nworkers = 2\n[spool]\nsegment_age = \"100ms\"\n";
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

    fn start(mut command: Command, folder: &Path) -> Child {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(folder.join("log")).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("did not start: {}", self::log(folder)));
        Child { process, public: addresses["public"].as_str().unwrap().to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGHUP: reads catalogues and tokens anew.
    pub fn hang_up(&self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM; answers the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap().code()
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
