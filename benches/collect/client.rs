//! A lean HTTP client: rendered requests on connections that stay open, answers compared byte by byte.
//!
//! Guarantees: in the open loop, time counts from the moment a request was due, not from when it could be sent.
//! Does not: speak more of HTTP than the collector's answers need.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::load::Request;

/// How requests follow each other.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// The next one as soon as the last is answered.
    Peak,
    /// So many a second over all connections, answered or not.
    PerSecond(f64),
}

/// The answer that every request must get.
pub(crate) struct Expected {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

/// What came of a phase.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Requests answered.
    pub(crate) requests: u64,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    latencies_ns: Vec<u64>,
    /// Answers that were not the expected one, and how often they came.
    pub(crate) wrong: BTreeMap<String, u64>,
    /// Requests of the schedule that were never sent, because the server had fallen too far behind.
    pub(crate) unsent: u64,
    /// Requests that got no answer long after the end.
    pub(crate) hung: u64,
}

impl Outcome {
    /// Requests answered in a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Requests that got the expected answer.
    pub(crate) fn right(&self) -> u64 {
        self.requests - self.wrong.values().sum::<u64>()
    }

    /// The latency that a share of the requests with the expected answer kept, in milliseconds.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        percentile(&self.latencies_ns, share) / 1e6
    }

    /// Adds what came of the same time on other connections.
    pub(crate) fn merge(&mut self, other: Outcome) {
        self.requests += other.requests;
        self.took = self.took.max(other.took);
        self.latencies_ns.extend(other.latencies_ns);
        self.latencies_ns.sort_unstable();
        self.unsent += other.unsent;
        self.hung += other.hung;
        for (what, n) in other.wrong {
            *self.wrong.entry(what).or_default() += n;
        }
    }
}

/// The value below which a share of sorted values lies.
pub(crate) fn percentile(sorted: &[u64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).map_or(0.0, |value| *value as f64)
}

/// Sends `requests` for `time`. Each list of requests is one connection's own and goes round.
///
/// # Errors
/// Where a connection cannot be made.
pub(crate) fn run(
    address: SocketAddr,
    requests: &mut [Vec<Request>],
    expected: &Expected,
    pace: Pace,
    time: Duration,
) -> io::Result<Outcome> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // The other half of the machine is for the server.
    let threads = (cores / 2).clamp(1, requests.len().max(1));
    let share = requests.len().div_ceil(threads);
    let mut drives = Vec::new();
    for chunk in requests.chunks_mut(share) {
        let mut connections = Vec::new();
        for requests in chunk {
            connections.push(Connection::open(address, requests)?);
        }
        drives.push(connections);
    }
    let threads = drives.len() as f64;
    let began = Instant::now();
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = drives
            .into_iter()
            .map(|connections| {
                let gap = match pace {
                    Pace::Peak => None,
                    Pace::PerSecond(rate) => Some(Duration::from_secs_f64(threads / rate.max(1e-3))),
                };
                scope.spawn(move || Drive::new(connections, expected, began, time, gap).run())
            })
            .collect();
        for thread in running {
            outcome.merge(thread.join().map_err(|_| io::Error::other("a client thread failed"))??);
        }
        Ok::<(), io::Error>(())
    })?;
    Ok(outcome)
}

/// How far behind its schedule a phase may run before the rest of the schedule is dropped.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long after the end of a phase an answer may still come.
const LAST_ANSWER: Duration = Duration::from_secs(60);

/// One thread's connections.
struct Drive<'a> {
    connections: Vec<Connection<'a>>,
    idle: VecDeque<usize>,
    expected: &'a Expected,
    began: Instant,
    end: Instant,
    /// From one due moment to the next; `None` at peak.
    gap: Option<Duration>,
    due: Instant,
    outcome: Outcome,
}

impl<'a> Drive<'a> {
    fn new(
        connections: Vec<Connection<'a>>,
        expected: &'a Expected,
        began: Instant,
        time: Duration,
        gap: Option<Duration>,
    ) -> Drive<'a> {
        Drive {
            idle: (0..connections.len()).collect(),
            connections,
            expected,
            began,
            end: began + time,
            gap,
            due: began,
            outcome: Outcome::default(),
        }
    }

    fn run(mut self) -> io::Result<Outcome> {
        loop {
            let next = self.start_due()?;
            let busy: Vec<usize> =
                (0..self.connections.len()).filter(|index| self.connections[*index].since.is_some()).collect();
            if Instant::now() > self.end + LAST_ANSWER {
                self.outcome.hung = busy.len() as u64;
                return Ok(self.outcome);
            }
            if busy.is_empty() && next.is_none() {
                self.outcome.took = self.began.elapsed();
                return Ok(self.outcome);
            }
            for index in self.ready(&busy, next)? {
                self.advance(index)?;
            }
        }
    }

    /// Starts what is due; answers how long it is to the next due moment, if there is a next one.
    fn start_due(&mut self) -> io::Result<Option<Duration>> {
        loop {
            let now = Instant::now();
            let since = match self.gap {
                None if now >= self.end => return Ok(None),
                None => now,
                Some(_) if self.due >= self.end => return Ok(None),
                Some(gap) if now > self.end + PATIENCE => {
                    self.outcome.unsent += ((self.end - self.due).as_secs_f64() / gap.as_secs_f64()) as u64;
                    self.due = self.end;
                    return Ok(None);
                }
                Some(_) if self.due > now => return Ok(Some(self.due - now)),
                Some(_) => self.due,
            };
            let Some(index) = self.idle.pop_front() else {
                // All are busy: an answer comes before anything else can be sent.
                return Ok(Some(Duration::from_secs(1)));
            };
            self.due += self.gap.unwrap_or_default();
            self.connections[index].start(since)?;
        }
    }

    fn ready(&self, busy: &[usize], next: Option<Duration>) -> io::Result<Vec<usize>> {
        let mut fds: Vec<PollFd<'_>> = busy
            .iter()
            .map(|index| {
                let connection = &self.connections[*index];
                let flags = if connection.is_sent() { PollFlags::IN } else { PollFlags::OUT };
                PollFd::new(&connection.stream, flags)
            })
            .collect();
        let wait = next.unwrap_or(Duration::from_secs(1));
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        poll(&mut fds, Some(&timeout))?;
        Ok(fds.iter().zip(busy).filter(|(fd, _)| !fd.revents().is_empty()).map(|(_, index)| *index).collect())
    }

    fn advance(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        if !connection.is_sent() {
            return connection.send();
        }
        let Some((since, wrong)) = connection.receive(self.expected)? else {
            return Ok(());
        };
        self.outcome.requests += 1;
        match wrong {
            Some(what) => *self.outcome.wrong.entry(what).or_default() += 1,
            None => self.outcome.latencies_ns.push(since.elapsed().as_nanos() as u64),
        }
        self.idle.push_back(index);
        Ok(())
    }
}

struct Connection<'a> {
    address: SocketAddr,
    stream: TcpStream,
    requests: &'a mut [Request],
    current: usize,
    sent: usize,
    answer: Vec<u8>,
    /// When the request in flight was due.
    since: Option<Instant>,
}

impl<'a> Connection<'a> {
    fn open(address: SocketAddr, requests: &'a mut [Request]) -> io::Result<Connection<'a>> {
        Ok(Connection {
            address,
            stream: connect(address)?,
            requests,
            current: 0,
            sent: 0,
            answer: Vec::with_capacity(4_096),
            since: None,
        })
    }

    fn start(&mut self, since: Instant) -> io::Result<()> {
        self.current = (self.current + 1) % self.requests.len();
        self.requests[self.current].renew();
        self.sent = 0;
        self.answer.clear();
        self.since = Some(since);
        self.send()
    }

    fn is_sent(&self) -> bool {
        self.sent == self.requests[self.current].bytes().len()
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.is_sent() {
            match self.stream.write(&self.requests[self.current].bytes()[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The answer, or its absence, is seen when reading.
                Err(_) => self.sent = self.requests[self.current].bytes().len(),
            }
        }
        Ok(())
    }

    /// Reads on. When the answer is whole: when its request was due, and what was wrong with it.
    fn receive(&mut self, expected: &Expected) -> io::Result<Option<(Instant, Option<String>)>> {
        let mut buffer = [0; 4_096];
        let wrong = loop {
            match self.stream.read(&mut buffer) {
                Ok(n) if n > 0 => self.answer.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                _ => {
                    self.stream = connect(self.address)?;
                    break Some("the server closed the connection".to_owned());
                }
            }
            if let Some((status, body)) = split(&self.answer) {
                let right = status == expected.status && body == expected.body.as_bytes();
                break (!right).then(|| {
                    let body = String::from_utf8_lossy(&body[..body.len().min(200)]);
                    format!("{status} {body}")
                });
            }
        };
        Ok(self.since.take().map(|since| (since, wrong)))
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Status and body of an answer, if it is whole.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse::<usize>().ok())?;
    let body = &answer[end + 4..];
    (body.len() >= length).then_some((status, body))
}
