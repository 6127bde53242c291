//! The collector under torture: a process, its folder, its orders.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tuman::store::{EmbeddedStore, Engine, Options, Store};

use crate::APP;

/// A folder that a collector serves, and what it is ordered to suffer.
pub struct Place {
    pub folder: PathBuf,
    pub key: String,
    orders: BTreeMap<&'static str, String>,
    disk: Option<SmallDisk>,
    _home: TempDir,
}

/// A file system of its own below the spool, small enough to be filled. Unmounted when it goes.
struct SmallDisk(PathBuf);

pub const SMALL_DISK_MIB: u32 = 16;

impl Place {
    pub fn new() -> Place {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_owned();
        let output = tuman().args(["init", "--app", APP, "--json", "--folder"]).arg(&folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let tokens: Value = serde_json::from_slice(&output.stdout).unwrap();
        std::fs::write(folder.join(format!("catalogue/{APP}.toml")), include_str!("../it/harness/catalogue.toml"))
            .unwrap();
        let text = "[paths]\nkeys = \"keys\"\n[server]\nlisten = \"127.0.0.1:0\"\nlisten_internal = \"127.0.0.1:0\"\nworkers = 1\n\
            [spool]\nsegment = \"48 KiB\"\nsegment_age = \"60ms\"\n";
        std::fs::write(folder.join("tuman.toml"), text).unwrap();
        let spool = folder.join("data/spool");
        std::fs::create_dir_all(&spool).unwrap();
        let key = tokens["app_key"].as_str().unwrap().to_owned();
        Place { disk: SmallDisk::mount(&spool), folder, key, orders: BTreeMap::new(), _home: home }
    }

    pub fn spool(&self) -> PathBuf {
        self.folder.join("data/spool")
    }

    pub fn has_small_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Orders something, in place of what was ordered under the same word.
    pub fn order(&mut self, word: &'static str, rest: &str) {
        self.orders.insert(word, rest.to_owned());
        self.write_orders();
    }

    /// Takes an order back.
    pub fn end(&mut self, word: &'static str) {
        self.orders.remove(word);
        self.write_orders();
    }

    fn write_orders(&self) {
        let lines = self.orders.iter().map(|(word, rest)| format!("{word} {rest}").trim_end().to_owned() + "\n");
        let fresh = self.folder.join("orders.fresh");
        std::fs::write(&fresh, lines.collect::<String>()).unwrap();
        // Whole at every moment: it is read at every moment.
        std::fs::rename(fresh, self.folder.join("orders")).unwrap();
    }

    /// Runs a command on the folder.
    pub fn on(&self, arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.args(arguments).arg("--config").arg(self.folder.join("tuman.toml")).output().unwrap()
    }

    fn command(&self) -> Command {
        let mut command = tuman();
        command.env("TORTURE_ORDERS", self.folder.join("orders"));
        command
    }

    /// Starts the collector.
    pub fn spawn(&self) -> Starting {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(self.folder.join("log")).unwrap();
        let mut command = self.command();
        command.args(["serve", "--json", "--config"]).arg(self.folder.join("tuman.toml"));
        Starting(command.stdout(Stdio::piped()).stderr(log).spawn().unwrap())
    }

    /// The end of what was logged.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Opens the store of a collector that is down.
    pub fn store(&self) -> Arc<dyn Store> {
        let engine = Engine::open(&Options::new(self.folder.join("data"))).unwrap();
        Arc::new(EmbeddedStore::new(engine, "tuman").unwrap())
    }

    /// Fills the small disk to the last byte.
    pub fn fill_disk(&self) {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(self.filler()).unwrap();
        for size in [1 << 16, 1 << 9, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    pub fn empty_disk(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.spool().join("filler")
    }
}

impl SmallDisk {
    /// None where mounting is not permitted.
    fn mount(folder: &Path) -> Option<SmallDisk> {
        let size = format!("size={SMALL_DISK_MIB}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| SmallDisk(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: after a failed test a process may still hold it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A collector that may not listen yet. Killed when it goes.
pub struct Starting(Child);

impl Starting {
    /// Waits until it listens; none if it died before.
    pub fn ready(mut self) -> Option<Running> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(addresses) = serde_json::from_str::<Value>(&line) else {
            self.0.wait().unwrap();
            return None;
        };
        Some(Running { process: self, public: addresses["public"].as_str().unwrap().to_owned() })
    }

    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.end();
    }
}

/// A collector that listens.
pub struct Running {
    process: Starting,
    pub public: String,
}

impl Running {
    pub fn is_dead(&mut self) -> bool {
        self.process.0.try_wait().unwrap().is_some()
    }

    /// kill -9.
    pub fn kill(self) {
        self.process.kill();
    }

    /// SIGTERM; answers the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.process.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.0.wait().unwrap().code()
    }
}

fn tuman() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tuman"));
    command.env_remove("TUMAN_CONFIG").stderr(Stdio::piped());
    command
}
