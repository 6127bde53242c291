//! No exact count of a sealed day is on disk, at whatever step its seal was interrupted.

use aho_corasick::AhoCorasick;
use tuman::store::Statement;

use super::attack::remains::Remains;
use super::search::files;
use crate::harness::{DAY_MS, NOW_MS, Setup, logged, report};
use crate::seal::failing::FailingStore;

/// Devices of the day, and how many of them come twice.
const DEVICES: i64 = 104_729;
const TWICE: i64 = 31_337;
/// What must not be left: devices, events.
const EXACT: [i64; 2] = [DEVICES, DEVICES + TWICE];

/// Which of the exact counts bytes hold: as a decimal number of its own, or as the machine writes it.
fn held(hay: &[u8]) -> Vec<i64> {
    let digits = EXACT.map(|count| count.to_string().into_bytes());
    let whole = |at: Option<&u8>| at.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let written = AhoCorasick::new(&digits).unwrap();
    let written = written.find_iter(hay).filter(|found| {
        let before = found.start().checked_sub(1).and_then(|at| hay.get(at));
        whole(before) && whole(hay.get(found.end()))
    });
    let mut held: Vec<i64> = written.map(|found| EXACT[found.pattern().as_usize()]).collect();
    for count in EXACT {
        let forms = [count.to_le_bytes(), (count as f64).to_le_bytes()];
        if AhoCorasick::new(forms).unwrap().is_match(hay) {
            held.push(count);
        }
    }
    held
}

#[actix_web::test]
async fn case_17_no_exact_count_is_on_disk_at_any_step_of_a_seal() {
    let logged_before = logged().len();
    let failing = FailingStore::new();
    let app = Setup::new().store(|store| failing.over(store)).start().await;
    app.collect(report()).await;
    app.drain().await;
    let run = |sql: String| app.store.execute(&Statement::new(sql)).unwrap();
    run(format!(
        "INSERT INTO usage_open SELECT * EXCEPT (number) REPLACE (cityHash64(number) AS token) \
         FROM (SELECT * FROM usage_open) AS one CROSS JOIN numbers({}) AS many",
        DEVICES - 1
    ));
    run(format!("INSERT INTO usage_open SELECT * FROM usage_open LIMIT {TWICE}"));
    run("OPTIMIZE TABLE usage_open FINAL".into());
    assert_eq!(app.number("SELECT toInt64(uniqExact(token)) AS n FROM usage_open"), EXACT[0]);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), EXACT[1]);
    // The controls: what is looked for is found in each form, and the engine has it while the day is open.
    for count in EXACT {
        for hay in [format!("{{\"value\":{count}}}").into_bytes(), count.to_le_bytes().to_vec()] {
            assert_eq!(held(&hay), [count]);
        }
    }
    assert!(held(format!("1{DEVICES}").as_bytes()).is_empty());
    let open = Remains::of(&app, logged_before).await;
    assert!(open.bytes().any(|bytes| held(bytes).contains(&EXACT[1])), "the engine counts the rows of a part");

    app.clock.advance(DAY_MS);
    let day = app.app.zone.day(NOW_MS);
    let mut found: Vec<(String, i64)> = Vec::new();
    let mut journals = 0;
    // Looks at what a step left, and tells whether the rows are gone.
    let mut look = async |step: &str| {
        for file in files(&app.data().join("seal")) {
            journals += 1;
            let place = format!("{step}: {}", file.display());
            found.extend(held(&std::fs::read(&file).unwrap()).into_iter().map(|count| (place.clone(), count)));
        }
        if app.number("SELECT toInt64(count()) AS n FROM usage_open") > 0 {
            return false;
        }
        for (place, bytes) in Remains::of(&app, logged_before).await.pieces {
            found.extend(held(&bytes).into_iter().map(|count| (format!("{step}: {place}"), count)));
        }
        true
    };
    // The store fails at each call; the rows gone, the key cannot be destroyed; the key gone, that cannot be recorded.
    let (record, away) = (app.data().join("keys.jsonl"), app.data().join("away"));
    std::fs::rename(&record, &away).unwrap();
    std::fs::create_dir(&record).unwrap();
    for step in 0.. {
        failing.fail_after(step);
        assert!(app.app.sealer.seal(day).await.is_err());
        failing.heal();
        if look(&format!("call {step}")).await {
            break;
        }
        assert!(step < 500);
    }
    std::fs::remove_dir(&record).unwrap();
    std::fs::rename(&away, &record).unwrap();
    run("RENAME TABLE audit TO gone".into());
    assert!(app.app.sealer.seal(day).await.is_err());
    run("RENAME TABLE gone TO audit".into());
    assert!(look("not recorded").await);
    app.app.sealer.seal(day).await.unwrap();
    assert!(look("sealed").await);
    assert!(journals > 3, "{journals}");
    // Noise can be zero: what is published by chance says nothing of what was counted.
    let published: Vec<i64> =
        app.rows("SELECT value FROM releases").iter().map(|row| row["value"].as_i64().unwrap()).collect();
    assert!(published.iter().any(|value| (EXACT[1] - value).abs() < 10_000), "the day's events are published");
    let looked_for: Vec<i64> = EXACT.into_iter().filter(|count| !published.contains(count)).collect();
    assert!(!looked_for.is_empty(), "every exact count was drawn");
    found.retain(|(_, count)| looked_for.contains(count));
    assert!(found.is_empty(), "{found:?}");
}
