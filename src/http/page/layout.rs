//! The frame around the page: head, languages, footer.

use maud::{DOCTYPE, Markup, html};

use super::language::Language;

/// What the frame says.
struct Texts {
    tagline: &'static str,
    skip: &'static str,
    languages: &'static str,
    simulated: &'static str,
    footer: &'static str,
    dashboard: &'static str,
}

/// The whole document.
pub(super) fn document(language: Language, is_simulated: bool, style: &str, content: &Markup) -> Markup {
    let texts = texts(language);
    html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { "Tuman · " (texts.tagline) }
                link rel="stylesheet" href=(style);
            }
            body {
                a class="skip" href="#content" { (texts.skip) }
                header class="top" {
                    p class="brand" { strong { "Tuman" } " " span { (texts.tagline) } }
                    nav aria-label=(texts.languages) {
                        ul class="choices" {
                            @for other in Language::ALL {
                                li { a href={ "/privacy?lang=" (other.code()) } hreflang=(other.code()) lang=(other.code())
                                    aria-current=[(other == language).then_some("true")] { (other.own_name()) } }
                            }
                        }
                    }
                }
                @if is_simulated { p class="notice" role="note" { (texts.simulated) } }
                main id="content" tabindex="-1" { (content) }
                footer {
                    p { (texts.footer) }
                    p { a href="/" { (texts.dashboard) } }
                }
            }
        }
    }
}

fn texts(language: Language) -> &'static Texts {
    const ENGLISH: Texts = Texts {
        tagline: "Anonymous statistics of mobile apps",
        skip: "Skip to content",
        languages: "Language",
        simulated: "The data is simulated: there is no real person and no real device behind these numbers.",
        footer: "This page sets no cookies, runs no scripts and asks no other host for anything.",
        dashboard: "The statistics",
    };
    const RUSSIAN: Texts = Texts {
        tagline: "Анонимная статистика мобильных приложений",
        skip: "К содержанию",
        languages: "Язык",
        simulated: "Данные смоделированы: за этими числами нет ни одного настоящего человека и ни одного настоящего устройства.",
        footer: "Эта страница не ставит cookie, не выполняет скриптов и не обращается к другим серверам.",
        dashboard: "Статистика",
    };
    const KAZAKH: Texts = Texts {
        tagline: "Мобильді қосымшалардың анонимді статистикасы",
        skip: "Мазмұнға өту",
        languages: "Тіл",
        simulated: "Деректер модельденген: бұл сандардың артында бірде-бір нақты адам да, нақты құрылғы да жоқ.",
        footer: "Бұл бет cookie қоймайды, скрипт орындамайды және басқа серверлерге жүгінбейді.",
        dashboard: "Статистика",
    };
    match language {
        Language::English => &ENGLISH,
        Language::Russian => &RUSSIAN,
        Language::Kazakh => &KAZAKH,
    }
}
