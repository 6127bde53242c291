//! What a panic, a debug print and the kernel show of keys and identifiers: nothing.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tuman::catalogue::Catalogue;
use tuman::clock::Zone;
use tuman_privacy::anonymise::{Arrival, Rules, anonymise};
use tuman_privacy::identifier::{Choice, Kind, canonicalise, choose};
use tuman_privacy::place::Region;
use tuman_privacy::report::Report;
use tuman_privacy::report_id::Fingerprinter;
use tuman_privacy::token::{DayKey, Purpose, Tokeniser};

use super::search::Search;
use crate::harness::{Child, NOW_MS, Setup, logged, report};

const KEY: [u8; 32] = *b"a-key-of-thirty-two-known-bytes!";
const ID: &str = "4d9c1f02-77aa-4b1e-8e55-0c3b2a190f6d";

/// Randomness that panics: while the report, its identifier and the key are all in use.
struct Panics;

impl rand::TryRng for Panics {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("no randomness")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("no randomness")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        panic!("no randomness")
    }
}

#[actix_web::test]
async fn case_18_a_panic_shows_no_key_and_no_identifier() {
    let app = Setup::new().start().await;
    let upload = report().with("/device/ids", json!([{ "kind": "install_id", "value": ID }])).times(3);
    assert_eq!(app.collect(upload.clone()).await.status, 202);
    let mut needles: Vec<Vec<u8>> = super::search::forms(ID);
    needles.extend(super::search::forms(std::str::from_utf8(&KEY).unwrap()));
    needles.extend([token().get().to_string().into_bytes(), format!("{KEY:?}").into_bytes()]);
    let search = Search::of(needles);

    let shown = Arc::new(Mutex::new(String::new()));
    let (kept, before) = (shown.clone(), Arc::new(take_hook()));
    let usual = before.clone();
    set_hook(Box::new(move |panic| {
        let trace = std::backtrace::Backtrace::force_capture();
        if panic.payload_as_str() == Some("no randomness") {
            kept.lock().unwrap().push_str(&format!("{panic}\n{panic:?}\n{trace}"));
        } else {
            usual(panic);
        }
    }));
    let body = upload.json();
    let parsed = Report::parse(body.as_bytes(), 10).unwrap();
    let catalogues = app.app.ingest.catalogues();
    let catalogue = catalogues.all().remove(0);
    let day = app.app.zone.day(NOW_MS);
    let offsets = app.app.zone.offsets_around(NOW_MS);
    let days = [(day, Arc::new(Tokeniser::new(&DayKey::take(&mut KEY.clone()))))];
    let rules = Rules {
        catalogue: &catalogue.allow_list,
        region: &app.app.sealer.region,
        future_tolerance_ms: 300_000,
        suppressed: None,
    };
    let arrival = Arrival { at_ms: NOW_MS, offsets: &offsets, open_days: &days, opted_out: false };
    let panicked = catch_unwind(AssertUnwindSafe(|| anonymise(&parsed, rules, arrival, &mut Panics)));
    drop(take_hook());
    set_hook(Box::new(move |panic| before(panic)));
    assert!(panicked.is_err(), "the randomness was not asked for");
    let shown = shown.lock().unwrap().clone();
    assert!(shown.contains("anonymise"), "{shown}");
    search.absent(shown.as_bytes(), "the panic");
    search.absent(&logged(), "the log");

    // Every type that holds a key or an identifier, printed.
    let canonical = canonicalise(Kind::InstallId, ID).unwrap();
    let Choice::Chosen(_) = choose([(Kind::InstallId, ID)]).unwrap() else { panic!("it is valid") };
    let printed = [
        format!("{parsed:?} {canonical:?} {:?}", choose([(Kind::InstallId, ID)])),
        format!("{:?} {:?} {:?}", DayKey::take(&mut KEY.clone()), days, token()),
        format!("{:?} {:?}", app.app.keyring, app.app.keyring.open_days(NOW_MS).map(|open| open.days.clone())),
        format!("{arrival:?} {rules:?} {:?}", Fingerprinter::new(&KEY)),
    ];
    for text in printed {
        search.absent(text.as_bytes(), "a debug print");
    }
    search.through_its_life(&app).await;
}

/// Says to this program, run as a process of its own, that it is the one that panics.
const PANIC: &str = "TUMAN_TEST_PANIC";

#[test]
fn case_18_a_process_that_panics_at_the_finest_level_logs_the_place_and_the_thread_alone() {
    const NAME: &str =
        "privacy::panics::case_18_a_process_that_panics_at_the_finest_level_logs_the_place_and_the_thread_alone";
    if std::env::var_os(PANIC).is_some() {
        panic_with_everything_in_use();
    }
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process.args([NAME, "--exact", "--nocapture"]).env(PANIC, "yes").env("RUST_BACKTRACE", "full");
    let output = process.output().unwrap();
    // It ends as any process does that panics.
    assert_eq!(output.status.code(), Some(101), "{output:?}");
    let logged = String::from_utf8_lossy(&output.stderr).into_owned();
    let panics: Vec<&str> = logged.lines().filter(|line| line.contains("a thread panicked")).collect();
    assert_eq!(panics.len(), 2, "{logged}");
    for line in panics {
        let (_, fields) = line.split_once("error serve: a thread panicked ").unwrap();
        assert!(fields.starts_with("place=it/privacy/panics.rs:") && fields.contains(" thread="), "{line}");
    }
    let search = Search::for_texts([ID, "a-key-of-thirty-two-known-bytes!", "no randomness"]);
    search.absent(&output.stderr, "the error output");
    search.absent(&output.stdout, "the output");
}

/// Panics on a thread that anonymises, and then with an identifier and a key in the message.
fn panic_with_everything_in_use() -> ! {
    tuman::log::start(&tuman::config::Log { filter: "trace".into(), ..Default::default() });
    tuman::log::note_panics();
    let worker = std::thread::spawn(|| {
        let catalogue = Catalogue::parse(include_str!("../harness/catalogue.toml")).unwrap();
        let zone = Zone::named("Asia/Almaty").unwrap();
        let region = Region::within([46.4, 40.5, 87.4, 55.5], Vec::new());
        let body = report().with("/device/ids", json!([{ "kind": "install_id", "value": ID }])).times(3).json();
        let parsed = Report::parse(body.as_bytes(), 10).unwrap();
        let days = [(zone.day(NOW_MS), Arc::new(Tokeniser::new(&DayKey::take(&mut KEY.clone()))))];
        let rules = Rules {
            catalogue: &catalogue.allow_list,
            region: &region,
            future_tolerance_ms: 300_000,
            suppressed: None,
        };
        let offsets = zone.offsets_around(NOW_MS);
        let arrival = Arrival { at_ms: NOW_MS, offsets: &offsets, open_days: &days, opted_out: false };
        drop(anonymise(&parsed, rules, arrival, &mut Panics));
    });
    assert!(worker.join().is_err(), "{ID} {}", String::from_utf8_lossy(&KEY));
    panic!("{ID} {}", String::from_utf8_lossy(&KEY));
}

fn token() -> tuman_privacy::token::Token {
    let id = canonicalise(Kind::InstallId, ID).unwrap();
    Tokeniser::new(&DayKey::take(&mut KEY.clone())).token(crate::harness::APP, Purpose::Usage, &id)
}

#[cfg(target_os = "linux")]
#[test]
fn case_18_a_running_collector_dumps_no_core() {
    let folder = tempfile::tempdir().unwrap();
    Child::init(folder.path());
    let child = Child::serve(folder.path());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    assert_eq!(child.terminate(), Some(0));
}
