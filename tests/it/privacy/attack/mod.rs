//! Attacks on what a collector leaves behind: programs that try to break its promises, and say how far they get.
//!
//! Each prints its success beside chance and beside a control: the same attack on a design that lacks the protection. A
//! control that is not broken fails the test, since an attack that cannot break it proves nothing. `make test` runs them
//! small, `make attack` in full. What they come to is in docs/privacy.md.

mod averaging;
mod cracking;
mod difference;
mod levels;
mod linking;
pub mod remains;
mod reports;
mod singletons;
mod windows;

use std::io::Write;

use tuman::seal::release::Release;

/// Sizes are chosen here alone: small, unless `TUMAN_ATTACK` is `full`.
fn sized<T>(small: T, full: T) -> T {
    if std::env::var_os("TUMAN_ATTACK").is_some_and(|size| size == "full") { full } else { small }
}

/// How often an attack was right.
#[derive(Debug, Clone, Copy, Default)]
struct Success {
    hits: u64,
    tries: u64,
}

impl Success {
    fn of(right: impl IntoIterator<Item = bool>) -> Success {
        let mut success = Success::default();
        for right in right {
            success.count(right);
        }
        success
    }

    fn count(&mut self, right: bool) {
        self.hits += u64::from(right);
        self.tries += 1;
    }

    fn rate(self) -> f64 {
        self.hits as f64 / self.tries as f64
    }

    /// How far a rate of so many tries strays from `expected` by chance: six standard errors, less than once in millions,
    /// and one try more, for rates so small that a single hit is many of them.
    fn slack(self, expected: f64) -> f64 {
        let tries = self.tries as f64;
        6.0 * (expected * (1.0 - expected) / tries).sqrt() + 1.0 / tries
    }

    /// Fails where the attack succeeds more often than it may.
    fn at_most(self, most: f64, what: &str) {
        assert!(self.rate() <= most + self.slack(most), "{what}: {self}, and at most {most} is promised");
    }
}

impl std::fmt::Display for Success {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} ({:.2} %)", self.hits, self.tries, 100.0 * self.rate())
    }
}

/// What an attack is held against.
struct Beside {
    /// How often a guess is right that looks at nothing.
    chance: f64,
    /// How often the promise lets it be right.
    bound: f64,
    /// The same attack where the protection is missing.
    control: Success,
}

/// Says how far an attack got. Written past the capture of the test runner, so that `make test` shows it too.
fn told(attack: &str, success: Success, beside: &Beside) {
    say(&format!(
        "attack {attack}: {success}; chance {:.2} %, bound {:.2} %; control {}",
        100.0 * beside.chance,
        100.0 * beside.bound,
        beside.control
    ));
    assert!(beside.control.tries > 0, "{attack}: there is no control");
    assert_eq!(beside.control.hits, beside.control.tries, "{attack}: the control is not broken");
    success.at_most(beside.bound, attack);
}

fn say(line: &str) {
    // One call: lines of attacks that run side by side stay whole.
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// What a release spends. Those that are attacked here all have noise.
fn epsilon(release: &Release) -> f64 {
    release.epsilon.unwrap_or_else(|| panic!("{} has no noise", release.name))
}

/// The scale of its noise, as it is promised: not what the sealer makes of it.
fn scale(release: &Release) -> f64 {
    // What one device adds in all its hours. That the sealer draws no less is what is attacked.
    f64::from(release.bound * release.windows.unwrap_or(1)) / epsilon(release)
}

/// The best success of one guess between two worlds that an epsilon allows, when both are as likely.
fn allowed(epsilon: f64) -> f64 {
    epsilon.exp() / (1.0 + epsilon.exp())
}

/// P(draw >= n), n > 0, of the discrete Laplace distribution.
fn tail(scale: f64, n: i64) -> f64 {
    assert!(n > 0);
    let a = (-1.0 / scale).exp();
    a.powf(n as f64) / (1.0 + a)
}

/// P(draw = 0).
fn exact(scale: f64) -> f64 {
    let a = (-1.0 / scale).exp();
    (1.0 - a) / (1.0 + a)
}

/// The variance of one draw.
fn variance(scale: f64) -> f64 {
    let a = (-1.0 / scale).exp();
    2.0 * a / (1.0 - a).powi(2)
}
