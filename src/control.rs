//! The control socket: how `tuman seal`, `tuman keys`, `tuman doctor` and others reach a running collector.
//!
//! A Unix socket in the data folder, which only its user can open: one JSON request per connection, one JSON reply.
//! The engine serves one process at a time, so that a command about a folder in use is carried out by its owner.
//!
//! The identifiers of a withdrawal are no part of the JSON: they follow it, a line each, up to an empty one, and are wiped
//! where they were read. A [`Request`] can hold one identifier, that of `tuman keys prove`, in a type of its own that is
//! shown to nobody and wiped; so is the JSON, on both sides.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use zeroize::Zeroizing;

use crate::access::Basis;
use crate::app::{App, Unusable};
use crate::audit::{Contents, Event, Exported, Recipient};
use crate::clock::day_of;
use crate::doctor::{self, Finding};
use crate::export::{PackageQuery, Query, ReleaseQuery};
use crate::keys::command;
use crate::log::Line;
use crate::seal::Summary;
use crate::stats::{self, Asked, PlacesQuery};
use crate::withdrawal::{self, CaseNumber, Identifiers, Notice, Overview, Standing, WithdrawalError};

/// A longer request is none of ours.
const LONGEST_REQUEST: usize = 64 << 10;

/// What can be asked of a running collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Request {
    /// Seal a day.
    Seal {
        /// The day.
        day: Date,
    },
    /// Something about keys.
    Keys {
        /// What.
        asked: command::Asked,
    },
    /// Read the audit log.
    Audit,
    /// Read the tokens anew.
    ReloadAccess,
    /// Look for what is wrong.
    Doctor,
    /// Ask a question on releases.
    Stats {
        /// `activity`, `events` or `places`.
        what: String,
        /// Its parameters.
        parameters: Vec<(String, String)>,
    },
    /// Export releases.
    Export {
        /// The only release, as a file; all of them as a package, if none is named.
        file: Option<String>,
        /// The parameters of the question.
        parameters: Vec<(String, String)>,
        /// On which basis a partner gets it.
        basis: Option<Basis>,
    },
    /// Name what apps send and catalogues do not declare.
    Suggest {
        /// The app; all, if none is named.
        app: Option<String>,
    },
    /// Withdraw a device, whose identifiers follow.
    Withdraw(Notice),
    /// List the cases of withdrawal.
    Withdrawals,
    /// How a case stands.
    Withdrawal {
        /// Its number.
        case: CaseNumber,
    },
    /// Note that a case is answered.
    Answered {
        /// Its number.
        case: CaseNumber,
    },
    /// Destroy the suppression list and its key.
    EndSuppression,
}

/// The reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The day is sealed.
    Sealed(Summary),
    /// About keys.
    Keys(command::Answer),
    /// The audit log.
    Audit(Contents),
    /// The tokens are read anew.
    Reloaded,
    /// What was looked at.
    Findings(Vec<Finding>),
    /// An answer.
    Stats(serde_json::Value),
    /// An export, in base64.
    Exported {
        /// What it should be called.
        name: String,
        /// The SHA-256 of its bytes, in hex.
        sha256: String,
        /// Its bytes.
        base64: String,
    },
    /// Names that are not declared.
    Suggestions(Vec<Suggested>),
    /// A case of withdrawal.
    Withdrawal(Standing),
    /// All of them.
    Withdrawals(Overview),
    /// The suppression list is destroyed; what was known of it.
    Ended(withdrawal::Summary),
    /// It could not be done.
    Failed(String),
}

/// A name that at least 50 devices have sent within one day and that the app's catalogue does not declare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggested {
    /// The app.
    pub app: String,
    /// The declared event that it is a property of; none where it is an event.
    pub event: Option<String>,
    /// The name.
    pub name: String,
}

/// The socket of a data folder.
#[must_use]
pub fn socket(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Asks the collector that runs on a data folder; `None` where none runs.
///
/// # Errors
/// Where it runs and does not answer.
pub fn ask(data: &Path, request: &Request) -> std::io::Result<Option<Reply>> {
    ask_about(data, request, "")
}

/// Asks about identifiers, a line each and none empty.
///
/// # Errors
/// As [`ask`].
pub fn ask_about(data: &Path, request: &Request, identifiers: &str) -> std::io::Result<Option<Reply>> {
    let Ok(mut stream) = UnixStream::connect(socket(data)) else {
        return Ok(None);
    };
    // It can hold an identifier: it is wiped here and where it is read.
    let mut line = Zeroizing::new(serde_json::to_vec(request)?);
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.write_all(identifiers.as_bytes())?;
    stream.write_all(b"\n\n")?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    Ok(Some(serde_json::from_str(&reply)?))
}

/// Opens the socket. The data folder is locked by now, so that one that is there is left over.
///
/// # Errors
/// Where it cannot be opened.
pub fn listen(data: &Path) -> std::io::Result<UnixListener> {
    let path = socket(data);
    match std::fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the socket for as long as the process runs.
pub async fn serve(listener: UnixListener, app: Arc<App>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let app = app.clone();
                actix_web::rt::spawn(async move {
                    if let Err(error) = converse(stream, &app).await {
                        Line::CommandUnanswered { fault: (&error).into() }.write();
                    }
                });
            }
            Err(error) => {
                Line::ControlSocketFailed { fault: (&error).into() }.write();
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

async fn converse(stream: tokio::net::UnixStream, app: &Arc<App>) -> std::io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    // Of its full size from the start: what it would outgrow would not be wiped.
    let mut asked = Zeroizing::new(vec![0; LONGEST_REQUEST]);
    let mut filled = 0;
    let end = loop {
        // A line, what follows it, and an empty one.
        if let Some(end) = asked[..filled].windows(2).position(|pair| pair == b"\n\n") {
            break end;
        }
        match read.read(&mut asked[filled..]).await? {
            0 => break filled,
            more => filled += more,
        }
    };
    let asked = std::str::from_utf8(&asked[..end]).unwrap_or_default();
    let (line, identifiers) = asked.split_once('\n').unwrap_or((asked, ""));
    let reply = match serde_json::from_str(line) {
        Ok(request) => carry_out(request, identifiers, app).await,
        Err(_) => Reply::Failed("the collector does not know this command: is it of another version?".into()),
    };
    let mut reply = serde_json::to_vec(&reply)?;
    reply.push(b'\n');
    write.write_all(&reply).await
}

/// Carries a command out. `identifiers` are those of a withdrawal, a line each; nothing with any other command.
pub async fn carry_out(request: Request, identifiers: &str, app: &Arc<App>) -> Reply {
    match request {
        Request::Seal { day } => match app.sealer.seal(day_of(day)).await {
            Ok(summary) => Reply::Sealed(summary),
            Err(error) => Reply::Failed(error.to_string()),
        },
        Request::Keys { asked } => keys(asked, app).await,
        Request::Audit => audit(app).await,
        Request::ReloadAccess => reload_access(app).await,
        Request::Doctor => Reply::Findings(doctor::examine(app).await),
        Request::Stats { what, parameters } => answer(&what, parameters, app).await,
        Request::Export { file, parameters, basis } => export(file.as_deref(), &parameters, basis, app).await,
        Request::Suggest { app: of } => suggest(of.as_deref(), app),
        Request::Withdraw(notice) => match Identifiers::read(identifiers) {
            Ok(identifiers) => case(app.withdrawals.register(notice, identifiers).await),
            Err(error) => Reply::Failed(error.to_string()),
        },
        Request::Withdrawals => withdrawals(app).await,
        Request::Withdrawal { case: number } => case(app.withdrawals.status(&number)),
        Request::Answered { case: number } => case(app.withdrawals.answer(&number).await),
        Request::EndSuppression => match app.withdrawals.end_list().await {
            Ok(ended) => Reply::Ended(ended),
            Err(error) => Reply::Failed(error.to_string()),
        },
    }
}

fn case(standing: Result<Standing, WithdrawalError>) -> Reply {
    standing.map_or_else(|error| Reply::Failed(error.to_string()), Reply::Withdrawal)
}

async fn withdrawals(app: &Arc<App>) -> Reply {
    let withdrawals = app.withdrawals.clone();
    match tokio::task::spawn_blocking(move || withdrawals.overview()).await {
        Ok(Ok(overview)) => Reply::Withdrawals(overview),
        Ok(Err(error)) => Reply::Failed(error.to_string()),
        Err(_) => Reply::Failed("the reading was interrupted".into()),
    }
}

async fn keys(asked: command::Asked, app: &Arc<App>) -> Reply {
    let app = app.clone();
    match tokio::task::spawn_blocking(move || command::carry_out(asked, &app)).await {
        Ok(Ok(answer)) => Reply::Keys(answer),
        Ok(Err(why)) => Reply::Failed(why),
        Err(_) => Reply::Failed("the command was interrupted".into()),
    }
}

fn suggest(of: Option<&str>, app: &Arc<App>) -> Reply {
    if let Some(of) = of
        && app.ingest.catalogues().get(of).is_none()
    {
        return Reply::Failed(format!("no catalogue declares this app; there are {}", app.app_ids().join(", ")));
    }
    let suggestions = app.ingest.suggestions(of).into_iter().map(|known| Suggested {
        app: known.app.into_string(),
        event: known.event.map(String::from),
        name: known.name.into_string(),
    });
    Reply::Suggestions(suggestions.collect())
}

async fn reload_access(app: &Arc<App>) -> Reply {
    let app = app.clone();
    let read = tokio::task::spawn_blocking(move || app.reload_access()).await.unwrap_or(Err(Unusable::Interrupted));
    let Err(unusable) = read else {
        Line::TokensReloaded.write();
        return Reply::Reloaded;
    };
    Line::ReloadRefused { unusable }.write();
    let why = match unusable {
        Unusable::AuditLog => {
            "the audit log did not take the entry: tokens that were taken away are refused all the same, new ones do \
             not count yet"
        }
        Unusable::Access { .. } => "the access file is wrong: `tuman access list` says where; the old tokens stay",
        Unusable::Catalogues { .. } | Unusable::Interrupted => "the reading was interrupted; the old tokens stay",
    };
    Reply::Failed(why.into())
}

async fn audit(app: &Arc<App>) -> Reply {
    let app = app.clone();
    match tokio::task::spawn_blocking(move || app.audit_log()).await {
        Ok(Ok(contents)) => Reply::Audit(contents),
        Ok(Err(error)) => Reply::Failed(error.to_string()),
        Err(_) => Reply::Failed("the reading was interrupted".into()),
    }
}

async fn export(file: Option<&str>, parameters: &[(String, String)], basis: Option<Basis>, app: &Arc<App>) -> Reply {
    let apps = app.app_ids();
    let asked = Asked { bound: None, apps: &apps, today: app.today() };
    let parsed = match file {
        Some(name) => ReleaseQuery::parse(name, parameters, "", asked).map(Query::Release),
        None => PackageQuery::parse(parameters, asked).map(Query::Package),
    };
    let query = match parsed {
        Ok(query) => query,
        Err(problems) => return Reply::Failed(stats::told(&problems)),
    };
    // As those over HTTP: few are in memory at one time, and few questions are asked of the store.
    let (Some(_turn), Ok(_question)) = (app.exports.wait().await, app.questions.acquire().await) else {
        return Reply::Failed("the collector is stopping".into());
    };
    let shared = app.clone();
    let made = tokio::task::spawn_blocking(move || {
        let app = shared;
        let export = query.make(&*app.store, &app.export_context(query.scope(), basis)).map_err(|e| e.to_string())?;
        // What is handed out is on record before it goes.
        let event = Event::Exported(Exported::of(&query, &export, basis, Recipient::Command));
        app.sealer.audit.record(app.clock.now_ms(), &event).map_err(|error| error.to_string())?;
        // The bytes themselves end here.
        let base64 = BASE64_STANDARD.encode(&export.bytes);
        Ok(Reply::Exported { name: export.name, sha256: export.sha256, base64 })
    });
    match made.await {
        Ok(Ok(exported)) => exported,
        Ok(Err(why)) => Reply::Failed(why),
        Err(_) => Reply::Failed("the export was interrupted".into()),
    }
}

async fn answer(what: &str, parameters: Vec<(String, String)>, app: &Arc<App>) -> Reply {
    let (what, app) = (what.to_owned(), app.clone());
    let answer = tokio::task::spawn_blocking(move || {
        let apps = app.app_ids();
        let asked = Asked { bound: None, apps: &apps, today: app.today() };
        let answer = stats::ask(&*app.store, &what, &parameters, asked, |of| app.buckets(of))?;
        // What is handed out in bulk is on record before it goes.
        if what == "places.geojson"
            && let Ok(query) = PlacesQuery::parse(&parameters, asked)
        {
            let event = Event::Exported(Exported::places(&query, Recipient::Command));
            app.sealer.audit.record(app.clock.now_ms(), &event).map_err(|error| error.to_string())?;
        }
        Ok(answer)
    });
    match answer.await {
        Ok(Ok(answer)) => Reply::Stats(answer),
        Ok(Err(what)) => Reply::Failed(what),
        Err(_) => Reply::Failed("the question was interrupted".into()),
    }
}
