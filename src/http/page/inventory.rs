//! `/privacy`: what is collected, how it is treated, under which clause, how long it lives.

use maud::{Markup, html};

use super::language::Language;
use crate::policy::{dictionary, digest};

/// The page's texts.
struct Texts {
    heading: &'static str,
    lead: &'static str,
    /// What stands before the digest.
    edition: &'static str,
    caption: &'static str,
    columns: [&'static str; 5],
}

/// The inventory as a table.
pub(super) fn inventory(language: Language) -> Markup {
    let (texts, language) = (texts(language), language.of_policy());
    html! {
        section class="card" aria-labelledby="inventory" {
            h1 id="inventory" { (texts.heading) }
            p { (texts.lead) }
            p class="quiet" { (texts.edition) " " code { (&digest()[..16]) } }
            div class="box" role="region" tabindex="0" aria-labelledby="inventory" {
                table {
                    caption { (texts.caption) }
                    thead { tr { @for column in texts.columns { th scope="col" { (column) } } } }
                    tbody {
                        @for field in &dictionary().fields {
                            tr {
                                th scope="row" { code { (field.path) } }
                                td { (field.treatment.word(language)) }
                                td { (field.clause) }
                                td { (field.retention.word(language)) }
                                td { (field.what(language)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn texts(language: Language) -> &'static Texts {
    const ENGLISH: Texts = Texts {
        heading: "What is collected, and what becomes of it",
        lead: "Everything that an app can send, and everything around its request. The clauses are those of the privacy policy.",
        edition: "Edition",
        caption: "Fields of a report and parts of a request",
        columns: ["Field", "Treatment", "Clause", "Lives", "What happens to it"],
    };
    const RUSSIAN: Texts = Texts {
        heading: "Что собирается и что с этим происходит",
        lead: "Всё, что может прислать приложение, и всё, что сопровождает запрос. Пункты — из политики конфиденциальности.",
        edition: "Редакция",
        caption: "Поля отчёта и части запроса",
        columns: ["Поле", "Обработка", "Пункт", "Срок", "Что с ним происходит"],
    };
    const KAZAKH: Texts = Texts {
        heading: "Не жиналады және онымен не болады",
        lead: "Қосымша жібере алатынның бәрі және сұратумен бірге келетіннің бәрі. Тармақтар — құпиялылық саясатынан.",
        edition: "Редакциясы",
        caption: "Есеп өрістері мен сұрату бөліктері",
        columns: ["Өріс", "Өңдеу", "Тармақ", "Мерзімі", "Онымен не болады"],
    };
    match language {
        Language::English => &ENGLISH,
        Language::Russian => &RUSSIAN,
        Language::Kazakh => &KAZAKH,
    }
}
