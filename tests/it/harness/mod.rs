//! A collector for tests: real listeners on port 0, the real engine, a clock that the test drives.

mod child;
mod engine;
mod logs;
mod replay;
mod reports;
mod watched;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::task::JoinHandle;
use actix_web::web::Data;
use serde_json::Value;
use tempfile::TempDir;
use tuman::access::{Access, Basis, Role, file_of, issue, issue_partner};
use tuman::app::{App, Declared};
use tuman::catalogue::{Catalogue, Catalogues};
use tuman::clock::ManualClock;
use tuman::config::Config;
use tuman::listeners::{Inherited, Listeners, Sockets};
use tuman::store::{EmbeddedStore, Store};

pub use child::{Child, log, on, post, stored, tuman};
pub use engine::folder as engine_folder;
pub use logs::{foreign, logged};
pub use replay::{Counted, Seeded, sized, told};
pub use reports::{Report, at, report};
pub use watched::{Call, watched};

/// 2026-10-05T10:00:00+05:00, a Monday.
pub const NOW_MS: i64 = 1_791_176_400_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;
pub const APP: &str = "kz.test.app";

/// A running collector.
pub struct TestApp {
    pub app: Data<App>,
    pub clock: ManualClock,
    pub url: String,
    pub internal_url: String,
    pub app_key: String,
    pub analyst_token: String,
    pub operator_token: String,
    pub officer_token: String,
    /// Its basis is 4.2.3.
    pub partner_token: String,
    pub folder: Arc<TempDir>,
    pub store: Arc<dyn Store>,
    handles: [ServerHandle; 2],
    loading: Option<JoinHandle<()>>,
    client: awc::Client,
}

/// What a test wants to be different.
pub struct Setup {
    pub config: Config,
    pub catalogue: String,
    pub app: String,
    /// The app that the partner's token is bound to.
    pub partner_of: Option<String>,
    pub clock: ManualClock,
    folder: Arc<TempDir>,
    store: Arc<dyn Store>,
}

impl Setup {
    pub fn new() -> Setup {
        logs::capture();
        Setup {
            config: Config::default(),
            catalogue: include_str!("catalogue.toml").into(),
            app: APP.into(),
            partner_of: None,
            clock: ManualClock::at(NOW_MS),
            folder: Arc::new(tempfile::tempdir().unwrap()),
            store: Arc::new(EmbeddedStore::new(engine::shared(), &engine::fresh_database()).unwrap()),
        }
    }

    /// Puts another store in between, such as one that fails.
    pub fn store(mut self, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Setup {
        self.store = wrap(self.store);
        self
    }

    pub async fn start(mut self) -> TestApp {
        self.config.paths.data = self.folder.path().join("data");
        self.config.paths.keys = self.folder.path().join("keys");
        self.config.paths.access = self.folder.path().join("access.toml");
        self.config.server.listen = "127.0.0.1:0".into();
        self.config.server.listen_internal = "127.0.0.1:0".into();
        self.config.server.workers = 1;
        // Tests do not look at the clock: a worker that is slow today refuses nobody.
        self.config.limits.wait = tuman::config::Interval::hours(1);
        self.config.spool.segment_age = tuman::config::Interval::seconds(3_600);
        let (app_key, app) = issue("app", Role::App, Some(&self.app)).unwrap();
        let (analyst_token, analyst) = issue("analyst", Role::Analyst, None).unwrap();
        let (operator_token, operator) = issue("operator", Role::Operator, None).unwrap();
        let (officer_token, officer) = issue("officer", Role::Officer, None).unwrap();
        let (partner_token, partner) = issue_partner("partner", Basis::Law, self.partner_of.as_deref()).unwrap();
        let grants = vec![app, analyst, operator, officer, partner];
        std::fs::write(&self.config.paths.access, file_of(grants)).unwrap();
        let declared = Declared {
            catalogues: Catalogues::of(Catalogue::parse(&self.catalogue).expect("the test's catalogue")),
            access: Access::read(&self.config.paths.access).unwrap(),
        };
        let clock = self.clock.clone();
        let app = App::open(self.config, declared, self.store.clone(), Arc::new(clock.clone())).unwrap();
        let app = Data::new(app);
        let loading = actix_web::rt::spawn(app.loader.clone().run());
        let sockets = Sockets::open(Inherited::default(), &app.config.server).unwrap();
        let listeners = Listeners::serve(&app, sockets).unwrap();
        let handles = listeners.handles();
        let url = format!("http://{}", listeners.public);
        let internal_url = format!("http://{}", listeners.internal);
        let [public, internal] = listeners.servers;
        actix_web::rt::spawn(public);
        actix_web::rt::spawn(internal);
        // Shorter than the server keeps an idle connection: a test that takes its time finds none that was closed.
        let connector = awc::Connector::new().conn_keep_alive(Duration::from_secs(2));
        let client = awc::Client::builder().connector(connector).timeout(Duration::from_secs(60)).finish();
        TestApp {
            app,
            clock,
            url,
            internal_url,
            app_key,
            analyst_token,
            operator_token,
            officer_token,
            partner_token,
            folder: self.folder,
            store: self.store,
            handles,
            loading: Some(loading),
            client,
        }
    }
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The reasons of the refused events.
    pub fn refusals(&self) -> Vec<String> {
        let refused = self.json()["refused"].as_array().cloned().unwrap_or_default();
        refused.iter().map(|entry| entry["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl TestApp {
    pub async fn start() -> TestApp {
        Setup::new().start().await
    }

    /// Posts a report as its app.
    pub async fn collect(&self, report: Report) -> Answer {
        self.post(report.json().into_bytes(), &[]).await
    }

    /// Posts a body with the app's key; headers stand over the usual ones, an empty one takes it away.
    pub async fn post(&self, body: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        self.post_to("/v1/collect", body, headers).await
    }

    /// Asks what would become of a report, as its app.
    pub async fn preview(&self, report: &Report) -> Answer {
        self.post_to("/v1/collect/preview", report.json().into_bytes(), &[]).await
    }

    /// Posts as [`TestApp::post`] does, to any path.
    pub async fn post_to(&self, path: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.app_key);
        let mut all = vec![("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        for (name, value) in headers {
            all.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            if !value.is_empty() {
                all.push((name, value));
            }
        }
        self.send("POST", &format!("{}{path}", self.url), &all, body).await
    }

    /// Asks a question as an analyst.
    pub async fn stats(&self, path: &str) -> Answer {
        let bearer = format!("Bearer {}", self.analyst_token);
        self.send("GET", &format!("{}/v1/stats/{path}", self.url), &[("Authorization", &bearer)], Vec::new()).await
    }

    /// Asks for an export as a partner.
    pub async fn export(&self, path: &str) -> Answer {
        let bearer = format!("Bearer {}", self.partner_token);
        self.get(&format!("/v1/export{path}"), &[("Authorization", &bearer)]).await
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", &format!("{}{path}", self.url), headers, Vec::new()).await
    }

    pub async fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let method = awc::http::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, url).no_decompress();
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let mut response = request.send_body(body).await.unwrap();
        let headers = response.headers().iter();
        let headers = headers.map(|(k, v)| (k.to_string(), v.to_str().unwrap_or_default().to_owned())).collect();
        let bytes = response.body().limit(64 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: response.status().as_u16(), headers, text, bytes: bytes.to_vec() }
    }

    /// Everything that was accepted is in the store when this returns.
    pub async fn drain(&self) {
        self.app.loader.drain(Duration::from_secs(60)).await.unwrap();
    }

    /// A number from the store.
    pub fn number(&self, sql: &str) -> i64 {
        #[derive(serde::Deserialize)]
        struct Row {
            n: i64,
        }
        let rows: Vec<Row> = self.store.rows(&tuman::store::Statement::new(sql.to_owned())).unwrap();
        rows[0].n
    }

    /// A table's rows, as JSON.
    pub fn rows(&self, sql: &str) -> Vec<Value> {
        self.store.rows(&tuman::store::Statement::new(sql.to_owned())).unwrap()
    }

    /// What the ledger books under an outcome, over all days.
    pub fn booked(&self, outcome: &str) -> i64 {
        self.number(&format!("SELECT sum(n) AS n FROM ledger WHERE outcome = '{outcome}'"))
    }

    pub fn data(&self) -> PathBuf {
        self.app.config.paths.data.clone()
    }

    /// Stops the collector; another can be started on the same folder.
    pub async fn stop(mut self) -> Setup {
        for handle in &self.handles {
            handle.stop(true).await;
        }
        self.app.close(self.loading.take()).await;
        self.setup()
    }

    /// Stops the collector without its loader: what is in the spool stays there.
    pub async fn stop_with_a_full_spool(mut self) -> Setup {
        for handle in &self.handles {
            handle.stop(true).await;
        }
        if let Some(loading) = self.loading.take() {
            loading.abort();
        }
        self.app.close(None).await;
        self.setup()
    }

    fn setup(&self) -> Setup {
        Setup {
            config: self.app.config.clone(),
            catalogue: include_str!("catalogue.toml").into(),
            app: APP.into(),
            partner_of: None,
            clock: self.clock.clone(),
            folder: self.folder.clone(),
            store: self.store.clone(),
        }
    }
}
