//! What a fleet sent is nowhere: not in the store, the spool, files, logs or answers; raw, hex, base64 or plainly hashed.

use base64::Engine as _;
use jiff::civil::Date;
use sha1::Digest as _;
use tuman::demo::fleet::Fleet;
use tuman::demo::post::pack;
use tuman::demo::{APP, CATALOGUE};

use super::search::{Search, forms};
use crate::harness::{DAY_MS, NOW_MS, Setup};

const PHONES: usize = 250;

#[actix_web::test]
async fn what_the_fleet_sent_is_nowhere() {
    let mut setup = Setup::new();
    setup.catalogue = CATALOGUE.into();
    setup.app = APP.into();
    let app = setup.start().await;
    let day: Date = "2026-10-05".parse().unwrap();
    let fleet = Fleet::new(7, PHONES, day.saturating_sub(jiff::Span::new().days(20)));
    let needles = needles(&fleet, day);
    assert!(needles.len() > 5 * PHONES);
    let search = Search::of(needles);

    let mut answers = Vec::new();
    let mut uploads: Vec<_> = fleet.day(day, app.app.zone.time_zone()).collect();
    uploads.sort_by_key(|upload| upload.sent_at);
    for upload in uploads {
        app.clock.set(upload.sent_at.as_millisecond());
        let encoding = match upload.encoding {
            tuman::demo::fleet::Encoding::Identity => "",
            tuman::demo::fleet::Encoding::Gzip => "gzip",
            tuman::demo::fleet::Encoding::Zstd => "zstd",
        };
        // The control: the needles are in what was sent.
        assert!(search.finds(&upload.body) || !String::from_utf8_lossy(&upload.body).contains("install_id"));
        let headers = [
            ("Content-Encoding", encoding),
            ("Cookie", "session=490154203237518"),
            ("X-Forwarded-For", "203.0.113.77"),
            ("User-Agent", "SM-G998B/490154203237518"),
        ];
        let answer = app.post(pack(upload.body, upload.encoding).unwrap(), &headers).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert!(answer.header("set-cookie").is_none());
        answers.extend_from_slice(answer.text.as_bytes());
    }
    search.absent(&answers, "answers");
    // While everything is still in the spool, when it is in the open day, and when the day is sealed.
    search.everywhere(&app, "spool").await;
    app.drain().await;
    assert!(app.number("SELECT toInt64(count()) AS n FROM usage_open") > 500);
    search.everywhere(&app, "open").await;
    app.clock.set(NOW_MS + 3 * DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    search.everywhere(&app, "sealed").await;
    search.absent(app.stats("places?precision=5").await.text.as_bytes(), "stats");
}

#[test]
fn the_search_finds_what_is_there() {
    let fleet = Fleet::new(7, 20, "2026-10-01".parse().unwrap());
    let day = "2026-10-05".parse().unwrap();
    let search = Search::of(needles(&fleet, day));
    let (_, id) = fleet.identifiers(day, day).next().unwrap();
    let digest = hex::encode(sha2::Sha256::digest(id.as_bytes()));
    for hay in [id.clone(), format!("x{digest}y"), base64::engine::general_purpose::STANDARD.encode(&id)] {
        assert!(search.finds(hay.as_bytes()), "{hay}");
    }
}

/// Every form in which an identifier or a coordinate could have leaked.
fn needles(fleet: &Fleet, day: Date) -> Vec<Vec<u8>> {
    let mut needles = Vec::new();
    for (_, id) in fleet.identifiers(day, day) {
        needles.extend(forms(&id));
    }
    for point in fleet.points(day, day) {
        // Latitude and longitude as they are written, and as the machine holds them.
        let text = point.to_string();
        needles.push(text.clone().into_bytes());
        for number in text.split(',') {
            needles.push(number.as_bytes().to_vec());
            needles.push(number.parse::<f64>().unwrap().to_le_bytes().to_vec());
        }
    }
    for header in ["490154203237518", "203.0.113.77", "SM-G998B"] {
        needles.push(header.as_bytes().to_vec());
    }
    needles
}
