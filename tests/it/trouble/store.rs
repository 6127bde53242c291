//! A store that a test takes away, holds up, and gives back.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tuman::store::{Detail, Store, StoreError};

use crate::harness::{Call, watched};

/// What the store does with inserts.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    Well,
    Away,
    Full,
    ReadOnly,
    TooSlow,
    /// An insert waits until the mode is another.
    Hangs,
    /// Inserts under tokens that begin so are refused.
    Refuses(String),
}

#[derive(Clone)]
pub struct Troubled(Arc<(Mutex<State>, Condvar)>);

struct State {
    mode: Mode,
    /// Inserts that failed or hang.
    troubled: u64,
}

impl Troubled {
    pub fn new() -> Troubled {
        Troubled(Arc::new((Mutex::new(State { mode: Mode::Well, troubled: 0 }), Condvar::new())))
    }

    pub fn over(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let troubled = self.clone();
        watched(store, move |_, call| match call {
            Call::Insert(token) => troubled.pass(token),
            _ => Ok(()),
        })
    }

    pub fn set(&self, mode: Mode) {
        self.state().mode = mode;
        self.0.1.notify_all();
    }

    pub fn troubled(&self) -> u64 {
        self.state().troubled
    }

    /// Waits until so many inserts have failed or hung, on a thread that may wait.
    pub async fn await_trouble(&self, times: u64) {
        let troubled = self.clone();
        let waiting = actix_web::web::block(move || {
            let mut state = troubled.state();
            while state.troubled < times {
                state = troubled.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        });
        waiting.await.unwrap();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, token: &str) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.mode == Mode::Well || matches!(&state.mode, Mode::Refuses(refused) if !token.starts_with(refused)) {
            return Ok(());
        }
        state.troubled += 1;
        self.0.1.notify_all();
        while state.mode == Mode::Hangs {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let rejected = |code, name: &str| StoreError::Rejected { code, name: name.into(), detail: Detail::new("") };
        match state.mode {
            Mode::Well | Mode::Hangs => Ok(()),
            Mode::Away => Err(StoreError::Unavailable),
            Mode::Full => Err(StoreError::NoSpace),
            Mode::ReadOnly => Err(rejected(242, "TABLE_IS_READ_ONLY")),
            Mode::TooSlow => Err(StoreError::Timeout),
            Mode::Refuses(_) => Err(rejected(117, "INCORRECT_DATA")),
        }
    }
}
