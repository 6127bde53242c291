//! The frame around every page: head, languages, apps, footer; the sign-in form; what there is to say without numbers.

use maud::{DOCTYPE, Markup, html};

use super::Choice;
use super::inventory;
use super::language::Language;

/// What stands around the content.
pub(super) struct Frame<'a> {
    pub(super) choice: &'a Choice,
    /// Says that the data is simulated.
    pub(super) simulated: bool,
    /// Apps to choose from: id and name.
    pub(super) apps: &'a [(String, String)],
    /// The address of the style sheet.
    pub(super) style: &'a str,
}

/// Why a sign-in form is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignIn {
    /// Nothing was tried.
    First,
    /// The token was not one of an analyst.
    Refused,
}

/// The whole document.
pub(super) fn document(frame: &Frame<'_>, content: &Markup) -> Markup {
    let language = frame.choice.language;
    let texts = language.texts();
    html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { "Tuman · " (texts.tagline) }
                link rel="stylesheet" href=(frame.style);
            }
            body {
                a class="skip" href="#content" { (texts.skip) }
                header class="top" {
                    p class="brand" { strong { "Tuman" } " " span { (texts.tagline) } }
                    nav aria-label=(texts.languages) {
                        ul class="choices" {
                            @for other in Language::ALL {
                                li { a href=(frame.choice.speaking(other).link()) hreflang=(other.code()) lang=(other.code())
                                    aria-current=[(other == language).then_some("true")] { (other.own_name()) } }
                            }
                        }
                    }
                }
                @if frame.simulated { p class="notice" role="note" { (texts.simulated) } }
                @if frame.apps.len() > 1 { (apps(frame)) }
                main id="content" tabindex="-1" { (content) }
                footer {
                    p { (texts.footer) }
                    p { a href={ "/privacy?lang=" (language.code()) } { (inventory::heading(language)) } }
                }
            }
        }
    }
}

/// The form for an analyst's token. The token is never written into a page.
pub(super) fn sign_in(choice: &Choice, why: SignIn) -> Markup {
    let texts = choice.language.texts();
    html! {
        section class="card sign-in" aria-labelledby="sign-in" {
            h1 id="sign-in" { (texts.sign_in) }
            p { (texts.sign_in_why) }
            @if why == SignIn::Refused { p class="wrong" id="wrong" role="alert" { (texts.wrong_token) } }
            form method="post" action=(choice.link()) {
                label for="token" { (texts.token) }
                input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required maxlength="200"
                    aria-invalid=[(why == SignIn::Refused).then_some("true")]
                    aria-describedby=@if why == SignIn::Refused { "wrong kept" } @else { "kept" };
                button type="submit" { (texts.show) }
            }
            p class="quiet" id="kept" { (texts.nothing_kept) }
        }
    }
}

/// One sentence in place of numbers.
pub(super) fn sentence(text: &str) -> Markup {
    html! { section class="card" { p class="lead" { (text) } } }
}

fn apps(frame: &Frame<'_>) -> Markup {
    let current = frame.choice.app.as_deref();
    html! {
        nav class="apps" aria-label=(frame.choice.language.texts().apps) {
            ul class="choices" {
                @for (id, name) in frame.apps {
                    li { a href=(frame.choice.about(id).link())
                        aria-current=[(current == Some(id.as_str())).then_some("page")] { (name) } }
                }
            }
        }
    }
}
