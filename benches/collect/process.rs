//! What a process uses, from `/proc`: processor time by the names of its threads, memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// Processor time of a process at one moment.
pub(crate) struct Cpu {
    total_ns: u64,
    threads: BTreeMap<i32, (String, u64)>,
}

/// Processor time between two moments.
#[derive(Default)]
pub(crate) struct Spent {
    /// By the whole process.
    pub(crate) total_ns: u64,
    /// By the threads that live, under their names without numbers, and by those that ended.
    pub(crate) by_name: BTreeMap<String, u64>,
}

/// Threads that bring a request to its synced 202: those that serve HTTP, and the spool's writer.
const COLLECTION: [&str; 2] = ["actix", "spool"];
/// Threads of the engine that merge what was inserted, in the background.
const MERGES: [&str; 2] = ["MergeMutate", "BgSchPool"];
const ENDED: &str = "(ended)";

impl Cpu {
    /// Reads it.
    ///
    /// # Errors
    /// Where the process is gone.
    pub(crate) fn of(pid: u32) -> io::Result<Cpu> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let folder = entry.path();
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A thread may end between the listing and the reading.
            let (Ok(name), Ok(ns)) = (fs::read_to_string(folder.join("comm")), thread_ns(&folder)) else {
                continue;
            };
            threads.insert(id, (group(name.trim()), ns));
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(Cpu { total_ns: ticks(&stat).unwrap_or_default() * tick_ns(), threads })
    }

    /// The moment before a process began.
    pub(crate) fn none() -> Cpu {
        Cpu { total_ns: 0, threads: BTreeMap::new() }
    }

    /// What was spent since `earlier`.
    pub(crate) fn since(&self, earlier: &Cpu) -> Spent {
        let mut spent = Spent { total_ns: self.total_ns.saturating_sub(earlier.total_ns), by_name: BTreeMap::new() };
        let mut living_ns = 0;
        for (id, (name, ns)) in &self.threads {
            let before = earlier.threads.get(id).map_or(0, |(_, ns)| *ns);
            let ns = ns.saturating_sub(before);
            living_ns += ns;
            *spent.by_name.entry(name.clone()).or_default() += ns;
        }
        // Below two ticks the difference is rounding.
        let ended_ns = spent.total_ns.saturating_sub(living_ns);
        if ended_ns > 2 * tick_ns() {
            spent.by_name.insert(ENDED.into(), ended_ns);
        }
        spent.total_ns = spent.total_ns.max(living_ns);
        spent
    }
}

impl Spent {
    /// By the threads that bring requests to their synced 202.
    pub(crate) fn collection_ns(&self) -> u64 {
        self.of(&COLLECTION)
    }

    /// By the engine's merges.
    pub(crate) fn merge_ns(&self) -> u64 {
        self.of(&MERGES)
    }

    /// By all others: the loader and the engine, merges too.
    pub(crate) fn insert_ns(&self) -> u64 {
        self.by_name.values().sum::<u64>() - self.collection_ns()
    }

    fn of(&self, prefixes: &[&str]) -> u64 {
        let threads = self.by_name.iter();
        threads.filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix))).map(|(_, ns)| ns).sum()
    }
}

/// Memory of a process in bytes: now, and the most it ever had.
///
/// # Errors
/// Where the process is gone.
pub(crate) fn memory(pid: u32) -> io::Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or_default() * 1_024
    };
    Ok((field("VmRSS:"), field("VmHWM:")))
}

/// Processor time that the whole machine has spent, of all processes.
pub(crate) fn machine_ns() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, then idle and iowait, then irq, softirq, steal; guests are in user already.
    let busy: u64 = fields.iter().take(3).chain(fields.iter().skip(5).take(3)).sum();
    busy * tick_ns()
}

fn tick_ns() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

/// Nanoseconds from `schedstat` where the kernel keeps it, else ticks.
fn thread_ns(folder: &std::path::Path) -> io::Result<u64> {
    if let Ok(text) = fs::read_to_string(folder.join("schedstat"))
        && let Some(ns) = text.split_whitespace().next().and_then(|field| field.parse().ok())
    {
        return Ok(ns);
    }
    let stat = fs::read_to_string(folder.join("stat"))?;
    Ok(ticks(&stat).unwrap_or_default() * tick_ns())
}

/// `utime` and `stime`, fields 14 and 15 of `stat`. The name before them may hold spaces.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn group(name: &str) -> String {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '#' | ' ')).to_owned()
}
