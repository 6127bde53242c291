//! Today by the hour: sealed while the day is open, and coarser than days.

use maud::{Markup, html};

use super::language::Language;
use super::overview::Overview;
use super::sections::{bar, counted, missing};

/// The hours of today that are sealed; nothing where none is.
pub(super) fn today(overview: &Overview, language: Language) -> Markup {
    let texts = language.texts();
    let Some((date, hours)) = overview.today() else { return html! {} };
    let most = hours.iter().filter_map(|hour| Some(hour.value?.0)).max().unwrap_or(1).max(1);
    let caption = (texts.today_caption)(&language.date(date), &format!("{:02}:00", hours.len()));
    html! {
        section class="card" aria-labelledby="today" {
            h2 id="today" { (texts.today) }
            table {
                caption { (caption) }
                thead { tr {
                    th scope="col" { (texts.hour) }
                    th scope="col" class="number" { (texts.devices) }
                    th scope="col" class="bars" { span class="unseen" { (texts.devices) } }
                } }
                tbody {
                    @for hour in &hours {
                        tr {
                            th scope="row" { (format!("{:02}:00–{:02}:00", hour.hour, hour.hour + 1)) }
                            td class="number" {
                                @match hour.value {
                                    Some((value, margin)) => (counted(value, margin, language)),
                                    None => (missing(texts.below_threshold)),
                                }
                            }
                            td class="bars" { @if let Some((value, _)) = hour.value { (bar(value, most)) } }
                        }
                    }
                }
            }
            p class="quiet" { ((texts.today_note)(overview.hours_of_a_device().unwrap_or(1))) }
        }
    }
}
