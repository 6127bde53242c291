//! A few sessions of the engine, lent to one thread each.
//!
//! Guarantees: a session is in the database, and under the time limit, that its borrower asked for.
//! Does not: open sessions later: there are as many as at the start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::engine::{self, Connection, Failure};
use super::{StoreError, failure};

/// Set on every session, so that an answer depends on nothing but its statement.
const SETTINGS: &str = "async_insert = 0, log_queries = 0, max_insert_threads = 1, \
    query_profiler_real_time_period_ns = 0, query_profiler_cpu_time_period_ns = 0, \
    output_format_json_quote_64bit_integers = 0, session_timezone = 'UTC'";

/// The sessions.
pub(super) struct Pool {
    state: Mutex<State>,
    returned: Condvar,
    queries: AtomicU64,
}

struct State {
    idle: Vec<Session>,
    lent: usize,
    closed: bool,
}

/// A connection and what was last set on it.
struct Session {
    connection: Connection,
    database: String,
    limit_seconds: u64,
}

impl Pool {
    /// Takes the connections and sets them up.
    ///
    /// # Errors
    ///
    /// What the engine says to its settings.
    pub(super) fn new(connections: Vec<Connection>, threads: u32) -> Result<Pool, StoreError> {
        let mut idle = Vec::with_capacity(connections.len());
        for mut connection in connections {
            let settings = format!("SET {SETTINGS}, max_threads = {threads}");
            connection.query(&settings, "Null", &[]).map_err(failure)?;
            idle.push(Session { connection, database: String::new(), limit_seconds: 0 });
        }
        Ok(Pool {
            state: Mutex::new(State { idle, lent: 0, closed: false }),
            returned: Condvar::new(),
            queries: AtomicU64::new(0),
        })
    }

    /// Runs one query in a database, waiting for a free session first.
    pub(super) fn query(
        &self,
        database: &str,
        limit_seconds: u64,
        text: &str,
        values: &[(&str, String)],
    ) -> Result<Vec<u8>, StoreError> {
        // Early always, later hardly ever, since each time costs a little memory for good.
        let number = self.queries.fetch_add(1, Ordering::Relaxed) + 1;
        if number < 1000 || number.is_power_of_two() {
            engine::end_at_once_on_exit();
        }
        let mut lease = self.lease(database)?;
        let session = lease.session.as_mut().ok_or(StoreError::Unavailable)?;
        session.prepare(database, limit_seconds).map_err(failure)?;
        session.connection.query(text, "JSONEachRow", values).map_err(failure)
    }

    /// Closes the sessions, once those that are lent have come back or the wait is over, and tells whether all are.
    pub(super) fn close(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut state = self.lock();
        state.closed = true;
        self.returned.notify_all();
        while state.lent > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.returned.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let idle = std::mem::take(&mut state.idle);
        let all = state.lent == 0;
        drop(state);
        drop(idle);
        all
    }

    fn lease(&self, database: &str) -> Result<Lease<'_>, StoreError> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(StoreError::Unavailable);
            }
            // One that is in the right database already saves a query.
            let fitting = state.idle.iter().position(|session| session.database == database);
            let session = match fitting {
                Some(index) => Some(state.idle.swap_remove(index)),
                None => state.idle.pop(),
            };
            if session.is_some() {
                state.lent += 1;
                return Ok(Lease { pool: self, session });
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn prepare(&mut self, database: &str, limit_seconds: u64) -> Result<(), Failure> {
        if self.database != database {
            // An empty name is the state after a failure: the next borrower sets it anew.
            self.database.clear();
            let values = [("database", database.to_owned())];
            self.connection.query("USE {database:Identifier}", "Null", &values)?;
            self.database.push_str(database);
        }
        if self.limit_seconds != limit_seconds {
            self.connection.query(&format!("SET max_execution_time = {limit_seconds}"), "Null", &[])?;
            self.limit_seconds = limit_seconds;
        }
        Ok(())
    }
}

/// A session out of the pool; it goes back when dropped.
struct Lease<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.lent -= 1;
        let leftover = if state.closed { self.session.take() } else { None };
        state.idle.extend(self.session.take());
        drop(state);
        drop(leftover);
        self.pool.returned.notify_all();
    }
}
