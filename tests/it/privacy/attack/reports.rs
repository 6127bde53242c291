//! Attack E, within one open day: say which rows are of one report, and which reports of one device, where no token does.
//!
//! The devices have no usable identifier, and all do the same in the same hour: nothing tells their rows apart but where they
//! lie. The truth is a version of each report's own, at which the attacker does not look.

use std::collections::HashMap;

use serde_json::json;
use tuman::store::Statement;
use tuman_privacy::code::{Sort, code};

use super::{Beside, Success, sized, told};
use crate::harness::{Setup, TestApp, report};

/// Reports of each device, and events of each report.
const EACH: usize = 2;
/// Where the control puts rows.
const UNMIXED: &str = "2026-10-07";

fn version(report: usize) -> String {
    format!("1.{report}.0")
}

/// The reports that the rows of a day are of, in the order of the file.
fn order(app: &TestApp, day: &str, reports: usize) -> Vec<usize> {
    let of: HashMap<u64, usize> =
        (0..reports).map(|report| (u64::from(code(Sort::Version, &version(report))), report)).collect();
    let sql =
        format!("SELECT version FROM usage_open WHERE day = '{day}' AND token = 0 ORDER BY _part, _part_offset");
    app.rows(&sql).iter().map(|row| of[&row["version"].as_u64().unwrap()]).collect()
}

/// Takes neighbours for rows of one report.
fn rows_of_a_report(order: &[usize]) -> Success {
    Success::of(order.chunks(EACH).map(|pair| pair[0] == pair[1]))
}

/// Takes neighbours for rows of two reports of one device.
fn reports_of_a_device(order: &[usize]) -> Success {
    let four = order.chunks(EACH * EACH);
    Success::of(four.map(|rows| rows[1] != rows[2] && rows[1] / EACH == rows[2] / EACH))
}

#[actix_web::test]
async fn rows_without_a_token_are_linked_by_position_as_often_as_by_chance() {
    let reports = EACH * sized(200, 1_000);
    let versions: Vec<String> = (0..reports).map(|report| format!("\"{}\"", version(report))).collect();
    let mut setup = Setup::new();
    setup.catalogue = format!(
        "[app]\nid = \"kz.test.app\"\nplatforms = [\"android\", \"ios\"]\nversions = [{}]\n\n\
         [[policy]]\nversion = \"2026-01\"\npurposes = [\"usage\", \"location\"]\n\n[events.screen_view]\n",
        versions.join(", ")
    );
    let app = setup.start().await;
    for number in 0..reports {
        let upload = report()
            .with("/device/ids/0/value", json!("000000000000000"))
            .with("/app/version", json!(version(number)))
            .with("/events/0/props", json!({}))
            .times(EACH);
        assert_eq!(app.collect(upload).await.json()["accepted"], EACH);
    }
    app.drain().await;
    // The control: the same rows, written as they came.
    let codes: Vec<String> = (0..reports).map(|report| code(Sort::Version, &version(report)).to_string()).collect();
    let unmix = format!(
        "INSERT INTO usage_open SELECT * REPLACE (toDate('{UNMIXED}') AS day) \
         FROM (SELECT * FROM usage_open ORDER BY indexOf([{}], version))",
        codes.join(", ")
    );
    app.store.execute(&Statement::new(unmix)).unwrap();
    let (mixed, unmixed) = (order(&app, "2026-10-05", reports), order(&app, UNMIXED, reports));
    assert_eq!((mixed.len(), unmixed.len()), (EACH * reports, EACH * reports));
    let others = (mixed.len() - 1) as f64;
    let (chance, control) = (1.0 / others, rows_of_a_report(&unmixed));
    told("E, rows of one report, by position", rows_of_a_report(&mixed), &Beside { chance, bound: chance, control });
    let (chance, control) = (EACH as f64 / others, reports_of_a_device(&unmixed));
    let beside = Beside { chance, bound: chance, control };
    told("E, two reports of one device, by position", reports_of_a_device(&mixed), &beside);
}
