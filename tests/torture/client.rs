//! Clients that post as an SDK does: what got no answer, or was put off, is sent again until it is answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tuman::clock::{Clock, SystemClock};

use crate::account::Account;

/// Clients at a time.
const CLIENTS: u64 = 4;
/// How long a client waits between two uploads: the campaign is about faults, not about load.
const BETWEEN: Duration = Duration::from_millis(15);
/// How long a client that was put off waits.
const PAUSE: Duration = Duration::from_millis(10);

/// What clients and campaign share.
#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pub account: Mutex<Account>,
}

#[derive(Default)]
struct State {
    /// Where the collector listens, while it does.
    address: Option<String>,
    stopping: bool,
}

/// The clients of a day.
pub struct Clients(Vec<JoinHandle<()>>);

impl Shared {
    pub fn open(&self, address: Option<String>) {
        lock(&self.state).address = address;
        self.changed.notify_all();
    }

    fn address(&self) -> String {
        let mut state = lock(&self.state);
        loop {
            if let Some(address) = &state.address {
                return address.clone();
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pause(&self, time: Duration) {
        let state = lock(&self.state);
        drop(self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner));
    }

    /// How often clients got an answer, and how often they were put off.
    pub fn progress(&self) -> (u64, u64) {
        let account = lock(&self.account);
        (account.answers, account.put_off)
    }
}

impl Clients {
    pub fn start(shared: &Arc<Shared>, key: &str, day: u32, ahead_ms: i64, seed: u64) -> Clients {
        lock(&shared.state).stopping = false;
        let client = |number| {
            let (shared, key) = (shared.clone(), key.to_owned());
            let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed ^ (u64::from(day) << 32) ^ number);
            std::thread::spawn(move || {
                while !lock(&shared.state).stopping {
                    let now_ms = SystemClock.now_ms() + ahead_ms;
                    let index = lock(&shared.account).next(&mut chance, day, now_ms);
                    upload(&shared, &key, index, &mut chance);
                    shared.pause(BETWEEN);
                }
            })
        };
        Clients((1..=CLIENTS).map(client).collect())
    }

    /// Waits until every report is answered.
    pub fn stop(self, shared: &Shared) {
        lock(&shared.state).stopping = true;
        for client in self.0 {
            client.join().unwrap();
        }
    }
}

fn upload(shared: &Shared, key: &str, index: usize, chance: &mut Xoshiro256PlusPlus) {
    let body = lock(&shared.account).sent[index].body.clone();
    loop {
        let address = shared.address();
        // Some lose the answer on their way.
        let hangs_up = chance.random_ratio(1, 30);
        match post(&address, key, &body, hangs_up) {
            Some((202, answer)) => {
                lock(&shared.account).answered(index, answer);
                if !chance.random_ratio(1, 12) {
                    return;
                }
            }
            Some((429 | 503, _)) => {
                lock(&shared.account).unanswered(index, true);
                shared.pause(PAUSE);
            }
            Some((status, answer)) => {
                lock(&shared.account).problems.push(format!("answered {status}: {answer}"));
                return;
            }
            None => {
                lock(&shared.account).unanswered(index, false);
                shared.pause(PAUSE);
            }
        }
    }
}

/// Posts on a connection of its own; `None` where no whole answer came.
fn post(address: &str, key: &str, body: &str, hangs_up: bool) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let head = format!(
        "POST /v1/collect HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()?;
    if hangs_up {
        return None;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    // Cut short is no answer.
    (length == Some(body.len())).then(|| (status, body.to_owned()))
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
