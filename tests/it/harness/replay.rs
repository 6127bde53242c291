//! Seals without end of one and the same day: rows are counted by the engine once, noise is drawn again and again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tuman::catalogue::Catalogue;
use tuman::seal::OpenDay;
use tuman::seal::histogram::Sealed;
use tuman::seal::laplace::{NoiseError, Source};
use tuman::store::{Description, Device, Found, Statement, Store, StoreError, Table};
use tuman_privacy::place::Region;
use tuman_privacy::time::Day;

/// Bits from a seed: the same noise each time.
pub struct Seeded(StdRng);

impl Seeded {
    pub fn new(seed: u64) -> Seeded {
        Seeded(StdRng::seed_from_u64(seed))
    }
}

impl Source for Seeded {
    fn bits(&mut self) -> Result<u64, NoiseError> {
        Ok(self.0.next_u64())
    }
}

/// A store that asks the engine each question once, and gives the same answer from then on.
struct Replay {
    engine: Arc<dyn Store>,
    answers: Mutex<HashMap<Question, Vec<u8>>>,
}

/// The text, and what is bound to it.
type Question = (String, Vec<(&'static str, String)>);

impl Store for Replay {
    fn select(&self, statement: &Statement) -> Result<Vec<u8>, StoreError> {
        let question = (statement.text().to_owned(), statement.values().to_vec());
        let mut answers = self.answers.lock().unwrap();
        if let Some(known) = answers.get(&question) {
            return Ok(known.clone());
        }
        let answer = self.engine.select(statement)?;
        answers.insert(question, answer.clone());
        Ok(answer)
    }

    fn execute(&self, _: &Statement) -> Result<(), StoreError> {
        Err(StoreError::Unavailable)
    }

    fn insert(&self, _: Table, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Err(StoreError::Unavailable)
    }

    fn drop_day(&self, _: u16) -> Result<(), StoreError> {
        Err(StoreError::Unavailable)
    }

    fn find(&self, _: Table, _: &[Device]) -> Result<Vec<Found>, StoreError> {
        Err(StoreError::Unavailable)
    }

    fn erase(&self, _: Table, _: &[Device]) -> Result<(), StoreError> {
        Err(StoreError::Unavailable)
    }

    fn describe(&self) -> Result<Description, StoreError> {
        self.engine.describe()
    }
}

/// The hours of a day that are sealed: those in which phones report here, and one before.
const HOURS: Range<u8> = 3..10;

/// An open day, counted once for each catalogue: whatever rows come afterwards, it is as it was.
pub struct Counted {
    store: Replay,
    region: Region,
    day: Day,
}

impl Counted {
    pub fn of(engine: Arc<dyn Store>, region: Region, day: Day, catalogues: &[&Catalogue]) -> Counted {
        let counted = Counted { store: Replay { engine, answers: Mutex::default() }, region, day };
        for catalogue in catalogues {
            counted.seal(catalogue, &mut Seeded::new(0));
        }
        counted
    }

    /// Seals the day, by the sealer's own code, with noise from this source.
    pub fn seal(&self, catalogue: &Catalogue, source: &mut dyn Source) -> Vec<Sealed> {
        let Counted { store, region, day } = self;
        // Any salt will do: each is as good as another to whoever does not know it.
        let open = OpenDay { store, catalogue, region, day: *day, salt: (7, 11) };
        let mut sealed = open.seal(source).unwrap();
        for release in catalogue.releases.iter().filter(|release| release.windows.is_some()) {
            sealed.extend(open.seal_hours(release, HOURS, source).unwrap());
        }
        sealed
    }
}

/// Sizes of what is simulated are chosen here alone: small, unless `TUMAN_AUDIT` is `full`.
pub fn sized<T>(small: T, full: T) -> T {
    if std::env::var_os("TUMAN_AUDIT").is_some_and(|size| size == "full") { full } else { small }
}

/// Says what came out, in full runs. Written past the capture of the test runner, in one call: lines stay whole.
pub fn told(line: &str) {
    use std::io::Write;
    if sized(false, true) {
        std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
