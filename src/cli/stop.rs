//! How the process ends: in the time that it may take, whatever hangs, and as the next version where one takes over.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::listeners::{Sockets, Successor};
use crate::log::Line;

/// Why a collector stops.
#[derive(Clone, Copy)]
pub(super) enum Ended {
    /// It was told to.
    Told,
    /// The next version takes over.
    Replaced,
    /// A part ended by itself.
    Failed(&'static str),
}

/// What is left to be done when everything is closed, or when the time is up.
enum Last {
    Exit,
    Fail(&'static str),
    TakeOver(Arc<Successor>, Sockets),
}

impl Last {
    /// Ends this process, or makes it the next version.
    fn now(self) -> ! {
        let code = match self {
            Last::Exit => 0,
            Last::Fail(_) => 1,
            Last::TakeOver(successor, sockets) => {
                // The process is another program from here on, unless that failed.
                drop(successor.take_over(sockets));
                Line::NotTakenOver.write();
                1
            }
        };
        std::process::exit(code)
    }
}

/// A collector that has stopped, or is late in stopping.
pub(super) struct Stopped {
    last: Arc<Mutex<Option<Last>>>,
    /// Dropped when all is closed: the thread that watches the time ends then.
    _watched: Sender<()>,
}

impl Stopped {
    /// Watches that stopping takes no longer than `most`: then the process ends all the same. What was accepted is on
    /// disk at any time.
    pub(super) fn within(most: Duration, heir: Option<(Arc<Successor>, Sockets)>, ended: &Ended) -> Stopped {
        let last = match (heir, ended) {
            (Some((successor, sockets)), _) => Last::TakeOver(successor, sockets),
            (None, Ended::Failed(part)) => Last::Fail(part),
            (None, _) => Last::Exit,
        };
        let last = Arc::new(Mutex::new(Some(last)));
        let late = last.clone();
        let watched = watch(most, move || {
            if let Some(last) = take(&late) {
                Line::StopLate.write();
                last.now();
            }
        });
        Stopped { last, _watched: watched }
    }

    /// Everything is closed.
    ///
    /// # Errors
    /// Where a part had ended by itself, or the next version does not run.
    pub(super) fn end(self) -> Result<()> {
        match take(&self.last) {
            None | Some(Last::Exit) => Ok(()),
            Some(Last::Fail(part)) => Err(anyhow::anyhow!("{part} ended by itself; why is in the log")),
            Some(Last::TakeOver(successor, sockets)) => Err(successor.take_over(sockets)),
        }
    }
}

fn take(last: &Mutex<Option<Last>>) -> Option<Last> {
    last.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Calls `late` after `most`, unless what is returned was dropped before.
fn watch(most: Duration, late: impl FnOnce() + Send + 'static) -> Sender<()> {
    let (watched, over) = channel();
    std::thread::spawn(move || {
        if over.recv_timeout(most) == Err(RecvTimeoutError::Timeout) {
            late();
        }
    });
    watched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_late_is_ended_and_who_is_not_is_left_alone() {
        let (send, called) = channel();
        let kept = watch(Duration::ZERO, move || send.send(()).unwrap());
        assert_eq!(called.recv(), Ok(()));
        drop(kept);
        let (send, called) = channel::<()>();
        drop(watch(Duration::from_secs(3_600), move || send.send(()).unwrap()));
        // The thread has ended and let go of its end.
        assert!(called.recv().is_err());
    }
}
