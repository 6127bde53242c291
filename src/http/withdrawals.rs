//! `POST /v1/withdrawals`: withdraws a device, for officers.
//!
//! The answer tells whether rows were found: the officer's letter says so. Whoever has no officer's token gets the same
//! refusal as everywhere, before a byte of the body is read into anything.

use std::borrow::Cow;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use jiff::civil::Date;
use serde::Deserialize;
use zeroize::Zeroize;

use super::auth::grant;
use super::body::{Encoding, Pace, decode, drain, read};
use super::error::{Code, Problem};
use crate::access::Role;
use crate::app::App;
use crate::ingest::Body;
use crate::stats;
use crate::withdrawal::{CaseNumber, Identifiers, NoCaseNumber, Notice, WithdrawalError};

/// The longest body: sixty-four identifiers have ample room.
const LONGEST: usize = 64 << 10;

/// The body. Its texts are borrowed from the request, which is wiped, or wiped themselves.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    #[serde(borrow)]
    case: Cow<'a, str>,
    #[serde(default)]
    received: Option<Date>,
    #[serde(default)]
    app: Option<String>,
    #[serde(borrow)]
    ids: Vec<Id<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Id<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

impl Drop for Id<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(value) = &mut self.value {
            value.zeroize();
        }
    }
}

/// Answers with the case when everything of the device is erased.
pub(super) async fn withdraw(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, Problem> {
    let access = app.access();
    let checked = grant(&request, &access, &[Role::Officer])
        .and_then(|grant| Ok((grant.app.clone(), Encoding::of(request.headers())?)));
    let pace = Pace::of(&app.config.server);
    let (bound, encoding) = match checked {
        Ok(checked) => checked,
        Err(problem) => {
            drain(request.headers(), payload, pace).await;
            return Err(problem);
        }
    };
    let mut room = app.admission.bodies.room(LONGEST).map_err(|_| Problem::no_room())?;
    let body = read(request.headers(), payload, LONGEST, pace).await?;
    let (notice, identifiers) = parse(decode(body, encoding, LONGEST, &mut room)?, bound)?;
    let withdrawals = app.withdrawals.clone();
    // A task of its own: a client that hangs up must not stop what is half done.
    let task = actix_web::rt::spawn(async move { withdrawals.register(notice, identifiers).await });
    let standing = task.await.unwrap_or(Err(WithdrawalError::Interrupted))?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(standing))
}

/// Reads the body; `bound` is the one app that the token reaches.
fn parse(body: Body, bound: Option<String>) -> Result<(Notice, Identifiers), Problem> {
    let text = std::str::from_utf8(&body.0).map_err(|_| Code::MalformedJson)?;
    // The reader's message may quote the input.
    let form: Form<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => wrong(None, "case and ids; received and app; nothing else"),
        _ => Code::MalformedJson.into(),
    })?;
    let case = CaseNumber::parse(&form.case);
    let case = case.map_err(|error: NoCaseNumber| wrong(Some("case"), &error.to_string()))?;
    if let (Some(asked), Some(bound)) = (&form.app, &bound)
        && asked != bound
    {
        return Err(WithdrawalError::UnknownApp.into());
    }
    let spelt = form.ids.iter().map(|id| (&*id.kind, &*id.value));
    let identifiers = Identifiers::of(spelt).map_err(|error| wrong(Some("ids"), &error.to_string()))?;
    Ok((Notice { case, received: form.received, app: form.app.clone().or(bound) }, identifiers))
}

fn wrong(parameter: Option<&'static str>, detail: &str) -> Problem {
    Problem::withdrawal(vec![stats::Problem { parameter, detail: detail.to_owned() }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(body: &str) -> Result<Notice, Code> {
        parse(Body(body.as_bytes().to_vec()), None).map(|(notice, _)| notice).map_err(|problem| problem.code())
    }

    #[test]
    fn what_is_wrong_is_told_by_a_code() {
        let good = r#"{"case":"17","ids":[{"kind":"imei","value":"4901\u003542032-37518"}]}"#;
        assert_eq!(code(good).unwrap().case.as_str(), "17");
        for (body, expected) in [
            ("{", Code::MalformedJson),
            ("[]", Code::InvalidWithdrawal),
            (r#"{"case":17,"ids":[]}"#, Code::InvalidWithdrawal),
            (r#"{"case":"17","ids":[]}"#, Code::InvalidWithdrawal),
            (r#"{"case":"991231500016","ids":[{"kind":"imei","value":"490154203237518"}]}"#, Code::InvalidWithdrawal),
            (r#"{"case":"17","ids":[{"kind":"imei","value":"490154203237510"}]}"#, Code::InvalidWithdrawal),
            (
                r#"{"case":"17","received":"yesterday","ids":[{"kind":"imei","value":"490154203237518"}]}"#,
                Code::InvalidWithdrawal,
            ),
            (
                r#"{"case":"17","name":"x","ids":[{"kind":"imei","value":"490154203237518"}]}"#,
                Code::InvalidWithdrawal,
            ),
        ] {
            assert_eq!(code(body).unwrap_err(), expected, "{body}");
        }
    }

    #[test]
    fn a_token_that_is_bound_to_an_app_withdraws_from_it_alone() {
        let parsed = |app: &str| {
            let body = format!(r#"{{"case":"17"{app},"ids":[{{"kind":"imei","value":"490154203237518"}}]}}"#);
            parse(Body(body.into_bytes()), Some("kz.a".into())).map(|(notice, _)| notice.app)
        };
        assert_eq!(parsed("").unwrap().as_deref(), Some("kz.a"));
        assert_eq!(parsed(r#","app":"kz.a""#).unwrap().as_deref(), Some("kz.a"));
        assert!(parsed(r#","app":"kz.b""#).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(body: Vec<u8>) {
            let _ = parse(Body(body), None);
        }
    }
}
