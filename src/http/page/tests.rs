//! The page over HTTP, in front of a store that holds a month of hand-made releases.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, SET_COOKIE};
use actix_web::test::TestRequest;
use actix_web::web::Data;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde_json::json;

use super::language::Language;
use crate::access::{self, Access, Role};
use crate::app::{App, Declared};
use crate::catalogue::{Catalogue, Catalogues};
use crate::clock::ManualClock;
use crate::config::Config;
use crate::demo::cities;
use crate::http::routes;
use crate::seal::release::defaults;
use crate::store::{Description, Device, Found, Statement, Store, StoreError, Table};

const APP: &str = crate::demo::APP;
const CATALOGUE: &str = crate::demo::CATALOGUE;
/// 2026-11-23, 10:00 in Almaty.
const NOW_MS: i64 = 1_795_410_000_000;
const TODAY: Date = date(2026, 11, 23);
/// Not sealed, and sealed with everything below the threshold.
const UNSEALED: Date = date(2026, 11, 22);
const SUPPRESSED: Date = date(2026, 11, 4);

/// A store that holds `days` sealed days before today.
struct Releases {
    days: i64,
}

impl Releases {
    fn sealed(&self, statement: &Statement) -> Vec<Date> {
        let bound = |name: &str| {
            let value = statement.values().iter().find(|(key, _)| *key == name);
            value.unwrap().1.trim_matches('\'').parse::<Date>().unwrap()
        };
        let first = TODAY.saturating_sub(self.days.days()).max(bound("from"));
        let last = bound("to");
        let days = first.series(1.day()).take_while(|day| *day <= last);
        days.filter(|day| *day != UNSEALED).collect()
    }

    fn values(&self, statement: &Statement) -> Vec<serde_json::Value> {
        let bound = |name: &str| &statement.values().iter().find(|(key, _)| *key == name).unwrap().1;
        let release = bound("release").as_str();
        let mut rows = Vec::new();
        for day in self.sealed(statement) {
            for (dims, value, margin) in published(release, day) {
                rows.push(json!({ "day": day, "dims": dims, "value": value, "margin": margin }));
            }
        }
        rows
    }
}

/// What a release holds of a day: uneven, the same in every run.
fn published(release: &str, day: Date) -> Vec<(Vec<String>, i64, f64)> {
    let n = i64::from(day.day_of_year());
    let wave = 100 + (n * 37) % 11 - if n % 7 < 2 { 18 } else { 0 };
    let one = |name: &str| vec![name.to_owned()];
    match release {
        "active_devices" if day == SUPPRESSED => Vec::new(),
        "active_devices" => vec![(vec![], 41 * wave, 55.0)],
        "first_use" => {
            vec![(one("week"), 9 * wave, 29.0), (one("month"), 6 * wave, 21.0), (one("day"), 41 * wave, 44.0)]
        }
        "event_devices" | "event_totals" => Catalogue::parse(CATALOGUE)
            .unwrap()
            .declaration
            .events
            .iter()
            .zip(1..)
            .filter(|(_, at)| release == "event_totals" || *at < 10)
            .map(|(event, at)| match release {
                "event_totals" => (one(&event.name), 900 * wave / at, 359.0),
                _ => (one(&event.name), 39 * wave / at, 79.0),
            })
            .collect(),
        "region" => vec![(vec![], 40 * wave, 29.0)],
        "active_by_hour" => (8..=9).map(|hour| (one(&format!("{hour:02}")), 5 * wave, 119.0)).collect(),
        places => {
            let precision: usize = places.trim_start_matches("places_").parse().unwrap();
            let margin = [0.0, 0.0, 0.0, 19.0, 11.0, 5.0][precision];
            let mut cells: Vec<(String, i64)> = Vec::new();
            for city in cities::all() {
                let at = geohash::Coord { x: city.centre.longitude(), y: city.centre.latitude() };
                let cell = geohash::encode(at, precision).unwrap();
                let devices = i64::from(city.population) * wave / 250_000;
                match cells.iter_mut().find(|(known, _)| *known == cell) {
                    Some((_, sum)) => *sum += devices,
                    None => cells.push((cell, devices)),
                }
            }
            cells.retain(|(_, devices)| *devices >= 50);
            cells.into_iter().map(|(cell, devices)| (vec![cell], devices, margin)).collect()
        }
    }
}

impl Store for Releases {
    fn execute(&self, _: &Statement) -> Result<(), StoreError> {
        Ok(())
    }

    fn select(&self, statement: &Statement) -> Result<Vec<u8>, StoreError> {
        let text = statement.text();
        let rows = if text.contains("FROM releases") {
            self.values(statement)
        } else if text.contains("FROM seals") && text.contains("suppressed") {
            let seal = |day: Date| {
                defaults::ALL.into_iter().map(move |release| {
                    json!({
                        "day": day, "release": release.name, "dims": release.dims(), "bound": release.bound, "epsilon": release.epsilon,
                        "scale": release.scale(), "threshold": release.threshold,
                        "mechanism": "discrete_laplace",
                        "window": if release.windows.is_some() { 9 } else { 24 }, "windows": release.windows.unwrap_or(0),
                        "suppressed": json!([[release.dims().join(","), 3]]).to_string(),
                    })
                })
            };
            self.sealed(statement).into_iter().flat_map(seal).collect()
        } else {
            Vec::new()
        };
        Ok(rows.iter().flat_map(|row| format!("{row}\n").into_bytes()).collect())
    }

    fn insert(&self, _: Table, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn drop_day(&self, _: u16) -> Result<(), StoreError> {
        Ok(())
    }

    fn find(&self, _: Table, _: &[Device]) -> Result<Vec<Found>, StoreError> {
        Ok(Vec::new())
    }

    fn erase(&self, _: Table, _: &[Device]) -> Result<(), StoreError> {
        Ok(())
    }

    fn describe(&self) -> Result<Description, StoreError> {
        Ok(Description { kind: "test", version: String::new(), database: String::new(), schema: 0 })
    }
}

/// A collector behind the routes of the public listener.
struct Site {
    app: Data<App>,
    analyst: String,
    operator: String,
    _folder: tempfile::TempDir,
}

#[derive(Clone, Copy)]
struct Setting {
    public: bool,
    simulated: bool,
    days: i64,
    catalogue: &'static str,
}

const PUBLIC: Setting = Setting { public: true, simulated: true, days: 43, catalogue: CATALOGUE };
const PRIVATE: Setting = Setting { public: false, simulated: false, ..PUBLIC };

impl Site {
    fn with(setting: Setting) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.paths.data = folder.path().join("data");
        config.paths.keys = folder.path().join("keys");
        config.page.public = setting.public;
        config.page.simulated = setting.simulated;
        let (analyst, may_read) = access::issue("analyst", Role::Analyst, None).unwrap();
        let (operator, may_run) = access::issue("operator", Role::Operator, None).unwrap();
        let file = folder.path().join("access.toml");
        std::fs::write(&file, access::file_of(vec![may_read, may_run])).unwrap();
        let declared = Declared {
            catalogues: Catalogues::of(Catalogue::parse(setting.catalogue).unwrap()),
            access: Access::read(&file).unwrap(),
        };
        let store = Arc::new(Releases { days: setting.days });
        let app = App::open(config, declared, store, Arc::new(ManualClock::at(NOW_MS))).unwrap();
        Site { app: Data::new(app), analyst, operator, _folder: folder }
    }

    async fn call(&self, request: TestRequest) -> ServiceResponse<impl MessageBody + use<>> {
        let app = actix_web::App::new().app_data(self.app.clone()).wrap(routes::headers()).configure(routes::public);
        let service = actix_web::test::init_service(app).await;
        actix_web::test::call_service(&service, request.to_request()).await
    }

    async fn get(&self, path: &str) -> String {
        let response = self.call(TestRequest::get().uri(path)).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        text(response).await
    }

    async fn post(&self, form: &str) -> (StatusCode, String) {
        let request = TestRequest::post()
            .uri("/?lang=en")
            .insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .set_payload(form.to_owned());
        let response = self.call(request).await;
        assert!(response.headers().get(SET_COOKIE).is_none());
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
        (response.status(), text(response).await)
    }
}

async fn text(response: ServiceResponse<impl MessageBody>) -> String {
    let body = actix_web::test::read_body(response).await;
    String::from_utf8(body.to_vec()).unwrap()
}

#[actix_web::test]
async fn every_language_shows_every_section() {
    let site = Site::with(PUBLIC);
    for language in Language::ALL {
        let texts = language.texts();
        let page = site.get(&format!("/?lang={}", language.code())).await;
        assert!(page.contains(&format!("<html lang=\"{}\">", language.code())));
        for text in [texts.simulated, texts.activity, texts.events, texts.places, texts.made, texts.suppressed] {
            assert!(page.contains(text), "{}: {text}", language.code());
        }
        assert!(page.contains(&language.date(date(2026, 11, 21))));
        assert!(page.contains(texts.not_sealed) && page.contains(texts.below_threshold));
        // What a thing is called in the program is not what it is called on the page.
        assert!(!page.contains("active_devices") && !page.contains("discrete_laplace"));
    }
}

#[actix_web::test]
async fn nothing_on_the_page_needs_what_the_policy_forbids() {
    let site = Site::with(PUBLIC);
    for path in ["/", "/?precision=3", "/?precision=5&within=txwy"] {
        let page = site.get(path).await;
        for forbidden in [" style=", "<style", "<script", "src=", " onload", "http://www", "https://"] {
            assert!(!page.contains(forbidden), "{path}: {forbidden}");
        }
        assert_eq!(page.matches("<rect").count(), page.matches("</rect>").count());
    }
}

#[actix_web::test]
async fn numbers_are_those_of_the_releases() {
    let page = Site::with(PUBLIC).get("/?lang=en").await;
    let (_, value, margin) = published("active_devices", date(2026, 11, 21)).remove(0);
    assert!(page.contains(&Language::English.with_margin(value as f64, margin)));
    // Of the week from the 9th on all days are sealed; of the one from the 16th Sunday is not.
    assert!(page.contains("9–15\u{a0}November 2026"), "the last whole week");
    assert!(page.contains("28\u{a0}days"), "30 days without the unsealed and the suppressed one");
    assert!(page.contains("Sealed: 29\u{a0}days of the last 30."));
    assert!(page.contains("Almaty") && page.contains("ε per day"));
}

#[actix_web::test]
async fn finer_cells_stay_within_the_chosen_one() {
    let site = Site::with(PUBLIC);
    let page = site.get("/?lang=en&precision=5&within=txw").await;
    assert!(page.contains("Only within cell txw."));
    assert!(page.contains("<code>txw") && !page.contains("<code>v9v"));
    let wide = site.get("/?lang=en&precision=3").await;
    assert!(wide.contains("within=txw#places"));
}

#[actix_web::test]
async fn what_is_unknown_in_the_query_is_not_repeated() {
    let site = Site::with(PUBLIC);
    let page =
        site.get("/?lang=%3Cscript%3E&app=nobody.here&precision=9&within=%22%3E%3Cb%3E&x=490154203237518").await;
    for echo in ["nobody.here", "<b>", "490154203237518", "<script"] {
        assert!(!page.contains(echo), "{echo}");
    }
    assert!(page.contains(Language::English.texts().no_such_app));
}

#[actix_web::test]
async fn names_are_escaped() {
    const HOSTILE: &str = r#"
        [app]
        id = "kz.hostile"
        name = "<script>alert(1)</script>"
        platforms = ["android"]
        versions = ["1"]
        [[policy]]
        version = "</code><script>"
        purposes = ["usage"]
        [events.app_open]
    "#;
    for days in [0, 43] {
        let site = Site::with(Setting { catalogue: HOSTILE, days, ..PUBLIC });
        let page = site.get("/").await;
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!page.contains("<script"));
    }
}

#[actix_web::test]
async fn before_the_first_seal_the_page_says_what_to_do() {
    let site = Site::with(Setting { days: 0, ..PUBLIC });
    for language in Language::ALL {
        let page = site.get(&format!("/?lang={}", language.code())).await;
        assert!(page.contains(language.texts().nothing_sealed));
        assert!(page.contains("06:00") && page.contains("Asia/Almaty"));
        assert!(page.contains("http://127.0.0.1:8080/v1/collect"));
        assert!(!page.contains("<svg"));
    }
}

#[actix_web::test]
async fn without_a_token_there_is_only_the_form() {
    let site = Site::with(PRIVATE);
    let page = site.get(&format!("/?lang=en&app={APP}")).await;
    assert!(page.contains("type=\"password\"") && page.contains("method=\"post\""));
    assert!(!page.contains("<svg") && !page.contains("Ai-Alma"));
}

#[actix_web::test]
async fn an_analysts_token_shows_the_page_in_the_answer() {
    let site = Site::with(PRIVATE);
    let (status, page) = site.post(&format!("token={}", site.analyst)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("<svg") && page.contains("Ai-Alma"));
    assert!(page.contains(Language::English.texts().nothing_kept));
    assert!(!page.contains(&site.analyst));
    assert!(!page.contains(Language::English.texts().simulated));
}

#[actix_web::test]
async fn every_wrong_token_gets_the_same_form() {
    let site = Site::with(PRIVATE);
    let (status, refused) = site.post("token=tkr_%3Cb%3E").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(refused.contains("This token does not open this page."));
    assert!(!refused.contains("tkr_"));
    for form in [format!("token={}", site.operator), "token=".into(), "other=1".into(), "%".into()] {
        assert_eq!(site.post(&form).await, (status, refused.clone()), "{form}");
    }
}

#[actix_web::test]
async fn a_form_over_the_limit_is_refused() {
    let site = Site::with(PRIVATE);
    let (status, _) = site.post(&format!("token={}", "a".repeat(5_000))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[actix_web::test]
async fn the_style_sheet_is_kept_by_browsers() {
    let site = Site::with(PUBLIC);
    let first = site.call(TestRequest::get().uri("/page.css")).await;
    let tag = first.headers().get(ETAG).unwrap().clone();
    assert!(first.headers().get(CACHE_CONTROL).unwrap().to_str().unwrap().contains("max-age=3600"));
    let again = TestRequest::get().uri("/page.css").insert_header((IF_NONE_MATCH, tag));
    assert_eq!(site.call(again).await.status(), StatusCode::NOT_MODIFIED);
    let page = site.get("/").await;
    let style = page.split("href=\"/page.css").nth(1).unwrap();
    assert!(style.starts_with("?v="));
}

#[actix_web::test]
async fn what_was_held_back_is_counted_over_the_same_days() {
    let page = Site::with(PUBLIC).get("/?lang=en").await;
    let held_back = page.split("id=\"suppressed\"").nth(1).unwrap();
    let held_back = held_back.split("</table>").next().unwrap();
    // Three values of each of the 29 sealed days, for six releases.
    assert_eq!(held_back.matches(">87</td>").count(), 6, "{held_back}");
    assert!(held_back.contains("platform, version") && held_back.contains(">1,000</td>"));
}
