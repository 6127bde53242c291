//! Everything that is logged in this process, at the finest level, kept to be searched.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Keep;

impl Write for Keep {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Keep {
    type Writer = Keep;

    fn make_writer(&'a self) -> Keep {
        Keep
    }
}

/// Captures from here on, with the finest level of our own code and the framework's.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = tracing_subscriber::EnvFilter::new("trace,h2=off");
        // Without the time: a second with its fraction looks like a coordinate.
        tracing_subscriber::fmt().without_time().with_env_filter(filter).with_writer(Keep).init();
        tuman::metrics::recorder();
    });
}

/// What was logged so far.
pub fn logged() -> Vec<u8> {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
