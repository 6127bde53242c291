//! Everything that is logged in this process, at the finest level, kept to be searched; and apart from it what the
//! libraries would log if anyone listened to them.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};

use tuman::config::LogFormat;
use tuman::log::{Filter, start_to};

/// What is kept of one kind of lines.
struct Kept(Mutex<Vec<u8>>);

static LOGGED: Kept = Kept(Mutex::new(Vec::new()));
static FOREIGN: Kept = Kept(Mutex::new(Vec::new()));

impl Kept {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for &Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Without the time at the front of each line, which comes in one piece: a second with its fraction looks like a
/// coordinate.
struct WithoutTime;

impl Write for WithoutTime {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = bytes.iter().position(|byte| *byte == b' ').map_or(bytes, |space| &bytes[space..]);
        (&LOGGED).write_all(text)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Captures from here on, at the finest level.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        start_to(Filter::parse("trace").unwrap(), LogFormat::Text, WithoutTime);
        let filter = tracing_subscriber::EnvFilter::new("trace,h2=off");
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| &FOREIGN).init();
        tuman::metrics::recorder();
    });
}

/// What was logged so far.
pub fn logged() -> Vec<u8> {
    LOGGED.bytes()
}

/// What the libraries said so far. The program does not listen to them.
pub fn foreign() -> Vec<u8> {
    FOREIGN.bytes()
}
