//! `/`: the first page, plain HTML without scripts: active devices, events, places, and how the numbers were made.
//!
//! Guarantees: every number comes from [`crate::stats`]; without an analyst's token it is shown only where the
//! configuration says that the page is public; the token is never written, stored or set as a cookie; nothing of a
//! request is written into a page but an app, a language and a cell that are known.
//! Does not: add noise, decide what is published, or clamp values but for reading.

mod chart;
mod empty;
mod inventory;
mod language;
mod layout;
mod map;
mod notice;
mod overview;
mod sections;
#[cfg(test)]
mod tests;
mod texts;
mod today;

use std::sync::{Arc, LazyLock};

use actix_web::dev::{Payload, UrlEncoded};
use actix_web::error::UrlencodedError;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, ETAG, IF_NONE_MATCH, RETRY_AFTER, VARY,
};
use actix_web::web::{Data, Payload as Body, Query};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use self::empty::NextSeal;
use self::language::Language;
use self::layout::{Frame, SignIn};
use self::overview::{Overview, Questions};
use super::error::{Code, Problem};
use super::stats::answer;
use crate::access::Role;
use crate::app::App;
use crate::catalogue::Catalogue;
use crate::clock::{day_of, timestamp};
use crate::stats;

/// Most bytes of a sign-in form.
const MOST_FORM_BYTES: usize = 4 * 1024;
const STYLE: &str = include_str!("page/page.css");
/// The style sheet's entity tag, which is also the version in its address.
static STYLE_TAG: LazyLock<String> = LazyLock::new(|| hex::encode(&Sha256::digest(STYLE)[..8]));

/// What a reader chose, in the query: language, app, size of cells, and the cell to stay in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    /// The page: `/` or `/privacy`.
    path: &'static str,
    language: Language,
    app: Option<String>,
    precision: u8,
    within: String,
}

#[derive(Deserialize)]
struct Form {
    token: String,
}

/// `GET /`.
pub(super) async fn page(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let choice = Choice::of(&request);
    if app.config.page.public {
        return overview(&app, choice, None).await;
    }
    sign_in_form(&app, &choice, SignIn::First)
}

/// `POST /`: the page in the answer to the form.
pub(super) async fn sign_in(request: HttpRequest, body: Body, app: Data<App>) -> HttpResponse {
    let choice = Choice::of(&request);
    let mut payload: Payload = body.into_inner();
    let reading = UrlEncoded::<Form>::new(&request, &mut payload).limit(MOST_FORM_BYTES);
    let Ok(form) = tokio::time::timeout(app.config.server.client_timeout.duration(), reading).await else {
        return actix_web::ResponseError::error_response(&Problem::from(Code::RequestTimeout));
    };
    let mut form = match form {
        Ok(form) => form,
        Err(UrlencodedError::Overflow { .. }) => {
            return actix_web::ResponseError::error_response(&Problem::from(Code::BodyTooLarge));
        }
        Err(_) => return sign_in_form(&app, &choice, SignIn::Refused),
    };
    let access = app.access();
    let grant = access.grant(form.token.trim());
    form.token.zeroize();
    match grant.filter(|grant| grant.role == Role::Analyst) {
        Some(grant) => overview(&app, choice, Some(grant)).await,
        None => sign_in_form(&app, &choice, SignIn::Refused),
    }
}

/// `GET /privacy`: open to everyone.
pub(super) async fn privacy(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let choice = Choice { path: "/privacy", ..Choice::of(&request) };
    let content = html! {
        (inventory::inventory(choice.language))
        (notice::notice_section(choice.language))
    };
    respond(&app, StatusCode::OK, &choice, &[], &content)
}

/// `GET /page.css`.
pub(super) async fn style(request: HttpRequest) -> HttpResponse {
    let tag = format!("\"{}\"", *STYLE_TAG);
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let status = match known {
        Some(known) if known.contains(&tag) => StatusCode::NOT_MODIFIED,
        _ => StatusCode::OK,
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "public, max-age=3600")).insert_header((ETAG, tag));
    if status == StatusCode::NOT_MODIFIED {
        return response.finish();
    }
    response.content_type("text/css; charset=utf-8").body(STYLE)
}

impl Choice {
    fn of(request: &HttpRequest) -> Choice {
        let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Choice::parse(request.query_string(), accepted.unwrap_or_default())
    }

    /// Reads a query. What is unknown or wrong is as if it were not there.
    fn parse(query: &str, accepted: &str) -> Choice {
        let pairs = Query::<Vec<(String, String)>>::from_query(query).map(Query::into_inner).unwrap_or_default();
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let precision = match value("precision") {
            Some("3") => 3,
            Some("5") => 5,
            _ => 4,
        };
        let within = value("within").filter(|cell| is_cell(cell)).unwrap_or_default();
        Choice {
            path: "/",
            language: value("lang").and_then(Language::of).unwrap_or_else(|| Language::negotiated(accepted)),
            app: value("app").map(str::to_owned).filter(|app| is_id(app)),
            precision,
            within: within.to_owned(),
        }
    }

    /// Its address. Only what was checked is in it.
    fn link(&self) -> String {
        let mut link = format!("{}?lang={}", self.path, self.language.code());
        if let Some(app) = &self.app {
            link.push_str("&app=");
            link.push_str(app);
        }
        if self.precision != 4 {
            link.push_str(&format!("&precision={}", self.precision));
        }
        if !self.within.is_empty() {
            link.push_str("&within=");
            link.push_str(&self.within);
        }
        link
    }

    fn speaking(&self, language: Language) -> Choice {
        Choice { language, ..self.clone() }
    }

    /// The same for another app: its own places from the start.
    fn about(&self, app: &str) -> Choice {
        Choice { app: Some(app.to_owned()), within: String::new(), ..self.clone() }
    }

    fn at(&self, precision: u8) -> Choice {
        Choice { precision, ..self.clone() }
    }

    fn inside(&self, cell: &str) -> Choice {
        Choice { within: cell.to_owned(), ..self.clone() }
    }
}

/// True for one to five characters of a geohash.
/// The language of the policy that an `Accept-Language` header asks for.
pub(super) fn negotiated(accepted: &str) -> crate::policy::Language {
    Language::negotiated(accepted).of_policy()
}

fn is_cell(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| b"0123456789bcdefghjkmnpqrstuvwxyz".contains(&byte))
}

/// True for what can be the id of an app.
fn is_id(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn sign_in_form(app: &App, choice: &Choice, why: SignIn) -> HttpResponse {
    let status = match why {
        SignIn::First => StatusCode::OK,
        SignIn::Refused => StatusCode::UNAUTHORIZED,
    };
    respond(app, status, choice, &[], &layout::sign_in(choice, why))
}

/// The page of the chosen app, among those that the grant reaches.
async fn overview(app: &Data<App>, mut choice: Choice, grant: Option<&crate::access::Grant>) -> HttpResponse {
    let texts = choice.language.texts();
    let mut catalogues = app.ingest.catalogues().all();
    catalogues.retain(|catalogue| grant.is_none_or(|grant| grant.reaches(&catalogue.declaration.app)));
    let apps: Vec<(String, String)> =
        catalogues.iter().map(|catalogue| (catalogue.declaration.app.clone(), catalogue.name.clone())).collect();
    let asked = catalogues.iter().find(|catalogue| Some(&catalogue.declaration.app) == choice.app.as_ref());
    let is_other = choice.app.is_some() && asked.is_none();
    let Some(catalogue) = asked.or(catalogues.first()) else {
        let content = layout::sentence(texts.no_catalogue);
        return respond(app, StatusCode::OK, &choice, &apps, &content);
    };
    choice.app = Some(catalogue.declaration.app.clone());
    let overview = match ask(app, &choice, &catalogue.declaration.app).await {
        Ok(overview) => overview,
        Err(problem) => {
            let content = layout::sentence(texts.store_away);
            let mut response = respond(app, problem.code().status(), &choice, &apps, &content);
            response.headers_mut().insert(RETRY_AFTER, actix_web::http::header::HeaderValue::from(5));
            return response;
        }
    };
    let shown = Shown {
        catalogue: catalogue.clone(),
        next_seal: empty::next_seal(next_seal(app), &app.config.privacy.zone, choice.language),
        region: app.config.privacy.region_name.clone(),
        origin: format!("http://{}", app.config.server.listen),
        is_other,
        signed_in: grant.is_some(),
    };
    let content = content(&overview, &choice, &shown);
    respond(app, StatusCode::OK, &choice, &apps, &content)
}

/// What a page says besides its numbers.
struct Shown {
    catalogue: Arc<Catalogue>,
    next_seal: String,
    region: String,
    /// Where the collector is reached, for the examples.
    origin: String,
    /// The app that was asked for does not exist, or not for this token.
    is_other: bool,
    /// A token was given: links ask for it again.
    signed_in: bool,
}

fn content(overview: &Overview, choice: &Choice, shown: &Shown) -> Markup {
    let language = choice.language;
    let texts = language.texts();
    let fresh = &overview.made[0].fresh;
    let sealed_days = i64::try_from(fresh.sealed_days).unwrap_or(i64::MAX);
    html! {
        div class="title" {
            h1 { (shown.catalogue.name) }
            p class="quiet" { code { (shown.catalogue.declaration.app) } }
        }
        @if shown.is_other { p class="notice" role="note" { (texts.no_such_app) } }
        @if shown.signed_in { p class="quiet" { (texts.nothing_kept) " " (texts.asked_anew) } }
        @match fresh.sealed_through {
            None => {
                (empty::nothing_sealed(&shown.catalogue, &shown.origin, &shown.next_seal, language))
                (today::today(overview, language))
            }
            Some(last) => {
                p class="fresh" {
                    ((texts.sealed)(&language.counted(sealed_days, &texts.days), overview::DAYS)) " "
                    ((texts.sealed_through)(&language.date(last))) " " (shown.next_seal)
                }
                (sections::activity(overview, language))
                (today::today(overview, language))
                (sections::events(overview, language))
                (sections::places(overview, choice, &shown.region, &shown.origin))
                (sections::suppressed(overview, language))
                (sections::made(overview, language))
            }
        }
    }
}

/// Asks all questions at once.
async fn ask(app: &Data<App>, choice: &Choice, id: &str) -> Result<Overview, Problem> {
    let questions = Questions::of(id, choice.precision, app.today());
    let activity = |query: &stats::ActivityQuery| {
        let query = query.clone();
        answer(app, move |store| stats::activity(store, &query))
    };
    let (events, places) = (questions.events.clone(), questions.places.clone());
    let (days, before, weeks, months, hours, events, places) = futures_util::try_join!(
        activity(&questions.days),
        activity(&questions.before),
        activity(&questions.weeks),
        activity(&questions.months),
        activity(&questions.hours),
        answer(app, move |store| stats::events(store, &events)),
        answer(app, move |store| stats::places(store, &places)),
    )?;
    let activity = [days, before, weeks, months, hours];
    Ok(Overview::of(&questions, activity, events, places, &choice.within))
}

/// When the next day's grace ends: yesterday's, where that is still to come, else today's.
fn next_seal(app: &App) -> NextSeal {
    if !app.config.seal.scheduled {
        return NextSeal::ByHand;
    }
    let now_ms = app.clock.now_ms();
    let today = app.today();
    let ends = |date| app.keyring.grace_ends(day_of(date));
    let yesterday = today.saturating_sub(jiff::Span::new().days(1));
    let at_ms = [ends(yesterday), ends(today)].into_iter().find(|end| *end > now_ms).unwrap_or(now_ms);
    let at = timestamp(at_ms).to_zoned(app.zone.time_zone().clone()).datetime();
    NextSeal::At { at, today: at.date() == today }
}

fn respond(
    app: &App,
    status: StatusCode,
    choice: &Choice,
    apps: &[(String, String)],
    content: &Markup,
) -> HttpResponse {
    let frame =
        Frame { choice, simulated: app.config.page.simulated, apps, style: &format!("/page.css?v={}", *STYLE_TAG) };
    let kept = if app.config.page.public { "no-cache" } else { "no-store" };
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, kept))
        .insert_header((CONTENT_LANGUAGE, choice.language.code()))
        .insert_header((VARY, "Accept-Language"))
        .body(layout::document(&frame, content).into_string())
}
