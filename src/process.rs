//! What this process uses, as the system counts it.

/// Memory and processor time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// Resident memory.
    pub memory_bytes: u64,
    /// Processor time of all threads since the start.
    pub cpu_seconds: f64,
}

/// What this process uses; `None` where the system does not tell it in `/proc`.
#[must_use]
pub fn used() -> Option<Used> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in brackets, may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Used {
        memory_bytes: pages * rustix::param::page_size() as u64,
        cpu_seconds: (user + system) as f64 / rustix::param::clock_ticks_per_second() as f64,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_something() {
        let used = used().unwrap();
        assert!(used.memory_bytes > 1 << 20 && used.memory_bytes < 1 << 40, "{used:?}");
        assert!(used.cpu_seconds >= 0.0 && used.cpu_seconds < 1e6, "{used:?}");
    }
}
