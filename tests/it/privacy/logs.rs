//! No log line, metric or print holds anything of a request: every route, every error code and every command, driven with
//! marked values at the finest level.
//!
//! Complete by construction: routes come from `routes.rs`, codes from [`Code`], commands from the command line itself.
//! One that is new and is not driven here fails a test, or does not compile.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory;
use serde_json::{Value, json};
use tuman::clock::{Clock, SystemClock};
use tuman::http::error::Code;
use tuman::store::Statement;

use super::search::Search;
use crate::harness::{APP, Child, NOW_MS, Report, Setup, TestApp, at, foreign, log, logged, report, tuman};
use crate::seal::failing::FailingStore;
use crate::spec::openapi::routed;

/// A value for each place of a request.
const PATH: &str = "marked-path-7q1";
const QUERY: &str = "marked-query-2x8";
const HEADER: &str = "marked-header-5w3";
const COOKIE: &str = "marked-cookie-9e6";
const AGENT: &str = "SM-marked-agent-4r2";
const ADDRESS: &str = "203.0.113.207";
const BEARER: &str = "tka_6d61726b6564206265617265722074686174206e6f626f647920697373756564";
const IMEI: &str = "356938035643809";
/// Another device: the rows of the marked reports stay.
const WITHDRAWN: &str = "352099001761481";
const LATITUDE: &str = "43.2389497153";
const EVENT: &str = "marked_event_8t5";
const PROPERTY: &str = "marked_property_3y7";
const VALUE: &str = "marked value of 990101300126";
const PERSON: &str = "marked-name-6u9";

/// More requests than a test sends.
const UNLIMITED: u32 = 1_000_000;

const MARKS: [&str; 14] =
    [PATH, QUERY, HEADER, COOKIE, AGENT, ADDRESS, BEARER, IMEI, WITHDRAWN, LATITUDE, EVENT, PROPERTY, VALUE, PERSON];

fn search() -> Search {
    Search::for_texts(MARKS)
}

/// A report with a mark wherever one fits.
fn marked(sent_ms: i64) -> Report {
    let latitude: f64 = LATITUDE.parse().unwrap();
    let event = |name: &str| {
        json!({
            "name": name, "at": at(sent_ms), "location": { "lat": latitude, "lon": 71.43 },
            "props": { "screen": VALUE, PROPERTY: VALUE },
        })
    };
    report()
        .sent(sent_ms)
        .with("/device/ids", json!([{ "kind": "imei", "value": IMEI }]))
        .with("/device/os_version", json!(PERSON))
        .with("/app/version", json!(VALUE))
        .with("/events", json!([event("screen_view"), event(EVENT)]))
}

/// The header lines of a marked request.
fn headers(bearer: &str) -> String {
    format!(
        "Host: t\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\nCookie: id={COOKIE}; tuman_session={COOKIE}\r\n\
         User-Agent: {AGENT}\r\nX-Forwarded-For: {ADDRESS}\r\nX-Device: {HEADER}\r\nReferer: http://{HEADER}/\r\n\
         Accept-Language: {HEADER}\r\nConnection: close\r\n"
    )
}

/// Sends bytes on a connection of their own, and reads until the other side closes.
fn exchange(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // The other side may reset what it did not want to read.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(method: &str, target: &str, bearer: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\n{}Content-Length: {length}\r\n\r\n{body}", headers(bearer)).into_bytes()
}

/// Sends every method to every route, and to a path that is none, of both listeners, with each bearer; answers how many
/// withdrawals were taken.
fn drive_routes(addresses: &[&str], bearers: &[&str], report: &str) -> usize {
    let mut targets: BTreeSet<String> = BTreeSet::new();
    for path in routed().keys() {
        // What stands in braces is a part of the path that the client chooses.
        let path: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { PATH } else { part }).collect();
        let path = path.join("/");
        targets.insert(path.clone());
        targets.insert(format!("{path}?app={QUERY}&period={QUERY}&lang={QUERY}&within={QUERY}&{QUERY}={QUERY}"));
        targets.insert(format!("{path}/{PATH}?{QUERY}"));
    }
    let form = format!("token={BEARER}");
    let sign_in = format!("{{\"token\":\"{BEARER}\"}}");
    let withdrawal = json!({ "case": "W-9", "ids": [{ "kind": "imei", "value": WITHDRAWN }] }).to_string();
    let mut taken = 0;
    for address in addresses {
        for target in &targets {
            for bearer in bearers {
                for (method, body) in [
                    ("GET", ""),
                    ("POST", report),
                    ("POST", &report[..report.len() - 1]),
                    ("POST", form.as_str()),
                    ("POST", sign_in.as_str()),
                    ("POST", withdrawal.as_str()),
                    ("DELETE", ""),
                ] {
                    let answer = exchange(address, &request(method, target, bearer, body));
                    assert!(answer.starts_with("HTTP/1.1 "), "{method} {target}: {answer}");
                    // Signing in has a limit of its own.
                    let seen = !answer.starts_with("HTTP/1.1 429") || target.starts_with("/v1/session");
                    assert!(seen, "{method} {target} was not looked at");
                    if body == withdrawal && target == "/v1/withdrawals" && answer.starts_with("HTTP/1.1 200") {
                        search().absent(answer.as_bytes(), "the answer to a withdrawal");
                        taken += 1;
                    }
                }
            }
        }
    }
    taken
}

#[actix_web::test]
async fn no_route_logs_or_counts_anything_of_a_request() {
    let mut setup = Setup::new();
    let limits = &mut setup.config.limits;
    // Whatever comes is looked at, and not refused unseen.
    (limits.address_burst, limits.failure_burst) = (UNLIMITED, UNLIMITED);
    let app = setup.start().await;
    let addresses = [&app.url, &app.internal_url].map(|url| url.strip_prefix("http://").unwrap().to_owned());
    let issued = [&app.app_key, &app.analyst_token, &app.operator_token, &app.officer_token, &app.partner_token];
    let bearers: Vec<String> = issued.into_iter().cloned().chain([BEARER.into()]).collect();
    let upload = marked(NOW_MS);
    assert_eq!(app.collect(upload.clone()).await.json()["accepted"], 1, "the marked report is one that is taken");
    let driven = actix_web::rt::task::spawn_blocking(move || {
        let bearers: Vec<&str> = bearers.iter().map(String::as_str).collect();
        drive_routes(&addresses.each_ref().map(String::as_str), &bearers, &upload.json())
    });
    assert!(driven.await.unwrap() > 0, "no withdrawal was taken");
    search().through_its_life(&app).await;
}

/// Has the collector answer with a code, to a request full of marks.
async fn provoke(code: Code) -> (TestApp, String) {
    let mut setup = Setup::new();
    let failing = FailingStore::new();
    let upload = marked(NOW_MS);
    let body = upload.json();
    match code {
        Code::Forbidden => setup.app = "kz.unknown.app".into(),
        Code::RequestTimeout => setup.config.server.client_timeout = tuman::config::Interval::seconds(1),
        Code::SpoolFull => {
            let small = tuman::config::ByteSize::mib(1);
            (setup.config.spool.segment, setup.config.spool.limit) = (small, small);
        }
        Code::RateLimited => setup.config.limits.bodies = tuman::config::ByteSize::mib(0),
        Code::StoreUnavailable => setup = setup.store(|store| failing.over(store)),
        _ => {}
    }
    let app = setup.start().await;
    let address = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
    let (public, key, analyst) = (address(&app.url), app.app_key.clone(), app.analyst_token.clone());
    let collect = |body: &str| request("POST", "/v1/collect", &key, body);
    let ask = |target: &str| request("GET", target, &analyst, "");
    let with_header = |name: &str, value: &str, body: &[u8]| {
        let head = headers(&key).replace("Content-Type: application/json\r\n", "");
        let head =
            format!("POST /v1/collect HTTP/1.1\r\n{head}{name}: {value}\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let json = "Content-Type: application/json\r\nContent-Encoding";
    let bytes: Vec<u8> = match code {
        Code::MalformedJson => collect(&body[..body.len() - 1]),
        Code::JsonTooDeep => collect(&format!("{{\"{EVENT}\":{}\"{VALUE}\"{}}}", "[".repeat(90), "]".repeat(90))),
        Code::BadEncoding => with_header(json, "gzip", body.as_bytes()),
        Code::Unauthorized => request("POST", "/v1/collect", BEARER, &body),
        Code::Forbidden => collect(&body),
        Code::NotFound => ask(&format!("/{PATH}/{IMEI}?{QUERY}")),
        Code::MethodNotAllowed => request("DELETE", &format!("/v1/collect?{QUERY}"), &key, &body),
        // Half of the body, and then nothing.
        Code::RequestTimeout => {
            let whole = collect(&body);
            whole[..whole.len() - 40].to_vec()
        }
        Code::BodyTooLarge => collect(&format!("{body}{}", " ".repeat(1 << 20))),
        Code::DecompressedTooLarge => {
            let bomb = format!("{body}{}", " ".repeat(20 << 20));
            with_header(json, "zstd", &zstd::bulk::compress(bomb.as_bytes(), 3).unwrap())
        }
        Code::TooManyEvents => collect(&upload.times(501).json()),
        Code::UnsupportedMediaType => with_header("Content-Type", HEADER, body.as_bytes()),
        Code::UnsupportedEncoding => with_header(json, HEADER, body.as_bytes()),
        Code::InvalidReport => collect(&upload.with("/report_id", json!(VALUE)).json()),
        Code::InvalidIdentifier => {
            collect(&upload.with("/device/ids", json!([{ "kind": "mac", "value": IMEI }])).json())
        }
        Code::InvalidQuery => {
            ask(&format!("/v1/stats/activity?app={QUERY}&period={VALUE}&{QUERY}=1").replace(' ', "+"))
        }
        Code::InvalidWithdrawal => {
            let wrong = json!({ "case": VALUE, "ids": [{ "kind": "imei", "value": IMEI }], "received": VALUE });
            request("POST", "/v1/withdrawals", &app.officer_token, &wrong.to_string())
        }
        Code::CaseConflict => {
            let withdrawal = |received: &str| {
                json!({ "case": "W-1", "ids": [{ "kind": "imei", "value": IMEI }], "received": received }).to_string()
            };
            let bearer = format!("Bearer {}", app.officer_token);
            let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
            let url = format!("{}/v1/withdrawals", app.url);
            let first = app.send("POST", &url, &headers, withdrawal("2026-10-04").into_bytes()).await;
            assert_eq!(first.status, 200, "{}", first.text);
            request("POST", "/v1/withdrawals", &app.officer_token, &withdrawal("2026-10-03"))
        }
        Code::RateLimited => collect(&body),
        Code::SpoolFull => {
            let full = || marked(NOW_MS).times(500);
            while app.collect(full()).await.status == 202 {}
            collect(&full().json())
        }
        Code::SpoolFailed => {
            std::fs::remove_dir_all(app.data().join("spool")).unwrap();
            std::fs::write(app.data().join("spool"), "").unwrap();
            collect(&body)
        }
        Code::ShuttingDown => {
            app.app.spool.close();
            collect(&body)
        }
        Code::StoreUnavailable => {
            failing.fail_after(0);
            ask(&format!("/v1/stats/places?app={APP}"))
        }
        Code::Internal => {
            app.store.execute(&Statement::new("RENAME TABLE seals TO gone")).unwrap();
            ask(&format!("/v1/stats/places?app={APP}"))
        }
    };
    let answer = actix_web::rt::task::spawn_blocking(move || exchange(&public, &bytes)).await.unwrap();
    failing.heal();
    (app, answer)
}

#[actix_web::test]
async fn no_error_code_logs_counts_or_echoes_anything_of_a_request() {
    let search = search();
    for code in Code::ALL {
        let (app, answer) = provoke(code).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{code:?}: {answer}"));
        let problem: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{code:?}: {answer}"));
        assert_eq!(problem["code"], code.word(), "{code:?}: {body}");
        search.absent(head.as_bytes(), "the head of an answer");
        search.absent(body.as_bytes(), "an answer");
        let metrics = app.send("GET", &format!("{}/metrics", app.internal_url), &[], Vec::new()).await;
        search.absent(metrics.text.as_bytes(), "metrics");
        search.absent(&logged(), "logs");
    }
    // The log was on: what went wrong in the collector itself is in it.
    let logged = String::from_utf8_lossy(&logged()).into_owned();
    for cause in [
        "a batch could not be written",
        "answered cause=store_unavailable",
        "answered cause=store_rejected number=60",
    ] {
        assert!(logged.contains(cause), "{cause}: {logged}");
    }
}

#[actix_web::test]
async fn a_program_that_listened_to_its_libraries_would_log_a_request() {
    let app = TestApp::start().await;
    let address = app.url.strip_prefix("http://").unwrap().to_owned();
    let length = "marked-length-1p4";
    let bytes = format!("POST /v1/collect HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    actix_web::rt::task::spawn_blocking(move || exchange(&address, &bytes)).await.unwrap();
    let search = Search::for_texts([length]);
    assert!(search.finds(&foreign()), "the control: the framework says what it could not read");
    search.absent(&logged(), "logs");
}

/// A folder to serve in which everything is logged; answers its tokens.
fn folder_at_the_finest_level(folder: &Path, format: &str) -> Value {
    let tokens = Child::init(folder);
    let config = folder.join("tuman.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let limits = format!("[limits]\naddress_burst = {UNLIMITED}\nfailure_burst = {UNLIMITED}\n");
    let text = text.replacen("[limits]\n", &limits, 1);
    std::fs::write(config, format!("{text}[log]\nfilter = \"trace\"\nformat = \"{format}\"\n")).unwrap();
    tokens
}

/// Waits until a collector has logged a text so many times.
fn await_line(folder: &Path, text: &str, times: usize) {
    let began = std::time::Instant::now();
    while log(folder).matches(text).count() < times {
        assert!(began.elapsed() < Duration::from_secs(60), "{text}: {}", log(folder));
        std::thread::yield_now();
    }
}

#[test]
fn a_running_collector_logs_and_prints_nothing_of_requests_or_of_wrong_files() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let tokens = folder_at_the_finest_level(folder, format);
        let child = Child::serve(folder);
        let mut bearers = vec![BEARER];
        for name in ["app_key", "analyst_token", "operator_token", "officer_token"] {
            bearers.push(tokens[name].as_str().unwrap());
        }
        let upload = marked(SystemClock.now_ms()).json();
        let taken = drive_routes(&[&child.public, &child.internal], &bearers, &upload);
        assert!(taken > 0, "no withdrawal was taken");

        let refused = if format == "json" { "\"reload_refused\"" } else { "the old catalogues and tokens stay" };
        let (catalogue, access) = (folder.join("catalogue/kz.test.app.toml"), folder.join("access.toml"));
        let (good_catalogue, good_access) =
            (std::fs::read_to_string(&catalogue).unwrap(), std::fs::read_to_string(&access).unwrap());
        std::fs::write(&catalogue, format!("{good_catalogue}\n[events.\"{VALUE}\"]\n{PROPERTY} = \"{VALUE}\"\n"))
            .unwrap();
        child.hang_up();
        await_line(folder, refused, 1);
        std::fs::write(&catalogue, good_catalogue).unwrap();
        let wrong =
            format!("{good_access}\n[[token]]\nname = \"{PERSON}\"\nrole = \"{BEARER}\"\nsha256 = \"{BEARER}\"\n");
        std::fs::write(&access, wrong).unwrap();
        child.hang_up();
        await_line(folder, refused, 2);
        std::fs::write(&access, good_access).unwrap();

        let (code, printed) = child.terminate_and_read();
        assert_eq!(code, Some(0));
        let lines = log(folder);
        assert!(lines.contains("stopped") && lines.contains("access"), "{lines}");
        search().absent(lines.as_bytes(), "the log");
        search().absent(printed.as_bytes(), "what it prints");
    }
}

#[test]
fn no_command_logs_or_prints_anything_of_reports_or_requests() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = folder_at_the_finest_level(folder, "text");
    let search = search();
    let key = tokens["app_key"].as_str().unwrap();
    let child = Child::serve(folder);
    let send = |child: &Child| {
        let body = marked(SystemClock.now_ms()).json();
        let answer = exchange(&child.public, &request("POST", &format!("/v1/collect?{QUERY}"), key, &body));
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    };
    send(&child);
    let run_all = |folder: &Path| {
        for command in tuman::cli::Cli::command().get_subcommands() {
            for arguments in arguments(command.get_name()) {
                let mut run = tuman();
                run.args(&arguments).env("TUMAN_LOG_FILTER", "trace");
                if !["init", "demo"].contains(&command.get_name()) && command.get_name() != "policy" {
                    run.arg("--config").arg(folder.join("tuman.toml"));
                }
                let output = run.current_dir(folder).output().unwrap();
                search.absent(&output.stderr, &format!("the error output of {arguments:?}"));
                search.absent(&output.stdout, &format!("the output of {arguments:?}"));
            }
        }
    };
    run_all(folder);
    assert_eq!(child.terminate(), Some(0));
    search.absent(log(folder).as_bytes(), "the log");
    // And where no collector runs: the commands open the folder themselves, with reports that wait in it.
    let child = Child::serve(folder);
    send(&child);
    child.kill();
    run_all(folder);
}

/// How each command is driven, with what it would be asked about a mark.
fn arguments(command: &str) -> Vec<Vec<&'static str>> {
    match command {
        // The folder is in use, or is there already: they end at once. They run in tests of their own.
        "serve" => vec![vec!["serve", "--listen", "127.0.0.1:x"]],
        "init" => vec![vec!["init", "--app", APP, "--folder", "."]],
        "demo" => vec![vec!["demo", "--folder", "tuman.toml"]],
        "access" => vec![
            vec!["access", "list"],
            vec!["access", "add", "--name", "guest", "--role", "analyst"],
            vec!["access", "revoke", VALUE],
        ],
        "seal" => vec![vec!["seal", "--day", "2026-01-01"]],
        "stats" => vec![
            vec!["stats", "activity", "--app", QUERY, "--period", VALUE, "--breakdown", EVENT],
            vec!["stats", "release", EVENT, "--breakdown", QUERY],
            vec!["stats", "places.geojson"],
        ],
        "export" => vec![
            vec!["export", "--app", QUERY, "--period", VALUE, "--release", EVENT],
            vec!["export", "--zip", "export.zip"],
        ],
        "keys" => vec![
            vec!["keys"],
            vec!["keys", "prove", "--day", "2026-01-01", "--id", "imei=356938035643809"],
            vec!["keys", "join", "request"],
        ],
        "catalogue" => vec![
            vec!["catalogue", "check"],
            vec!["catalogue", "check", "tuman.toml"],
            vec!["catalogue", "list"],
            vec!["catalogue", "suggest", "--app", APP],
        ],
        "budget" => vec![vec!["budget"], vec!["budget", "--app", QUERY]],
        "policy" => vec![vec!["policy"], vec!["policy", "--notice"]],
        "audit" => vec![vec!["audit", "list"], vec!["audit", "verify"]],
        "withdraw" => vec![
            vec!["withdraw", "--case", "W-7", "--id", "imei=356938035643809"],
            vec!["withdraw", "--case", VALUE, "--id", "mac=356938035643809"],
            vec!["withdraw", "--list"],
            vec!["withdraw", "--status", "W-7"],
        ],
        "spool" => vec![vec!["spool", "list"], vec!["spool", "check"], vec!["spool", "show", "1", "--stats"]],
        "doctor" => vec![vec!["doctor"]],
        "help" => vec![vec!["help"]],
        other => panic!("the command {other} is not driven"),
    }
}
