//! The sections of an app's page: active devices, events, places, and how the numbers came to be.

use maud::{Markup, html};

use super::Choice;
use super::chart::{Scale, Size, chart};
use super::language::Language;
use super::map::{Shades, map};
use super::overview::{Overview, Town, per_day, town};
use crate::stats::{CellValue, EventValue, Point, Total};

/// Rows of a table that are shown at once; further ones are folded.
const ROWS: usize = 15;
/// Most rows of a table.
const MOST_ROWS: usize = 500;

/// Active devices: the numbers of the month, its chart, and the same as a table.
pub(super) fn activity(overview: &Overview, language: Language) -> Markup {
    let texts = language.texts();
    let period = language.dates(overview.period.from, overview.period.to);
    let days = overview.calendar();
    let axis = super::language::whole(Scale::of(&days).lowest);
    html! {
        section class="card" aria-labelledby="activity" {
            h2 id="activity" { (texts.activity) }
            p class="quiet" { (period) }
            (figures(overview, language))
            figure {
                @for size in Size::ALL { (chart(&days, &period, size, language)) }
                figcaption class="legend" aria-hidden="true" {
                    span { i class="key key-line" {} (texts.devices) }
                    span { i class="key key-band" {} (texts.band) }
                    span { i class="key key-gap" {} (texts.gap) }
                    @if axis > 0 { span { ((texts.axis_from)(&language.number(axis))) } }
                }
            }
            details {
                summary { (texts.as_table) }
                (boxed((texts.chart)(&period).as_str(), html! {
                    table {
                        caption { ((texts.chart)(&period)) }
                        thead { tr { th scope="col" { (texts.day) } th scope="col" class="number" { (texts.devices) } } }
                        tbody {
                            @for day in days.iter().rev() {
                                tr {
                                    th scope="row" { (language.date(day.date)) }
                                    td class="number" {
                                        @match day.value {
                                            Some((value, margin)) => (counted(value, margin, language)),
                                            None if day.sealed => (missing(texts.below_threshold)),
                                            None => (missing(texts.not_sealed)),
                                        }
                                    }
                                }
                            }
                        }
                    }
                }))
            }
            p class="quiet" { (texts.flags_note) }
        }
    }
}

/// The events, the most frequent first.
pub(super) fn events(overview: &Overview, language: Language) -> Markup {
    let texts = language.texts();
    let period = language.dates(overview.period.from, overview.period.to);
    let caption = (texts.events_caption)(&period);
    let most = overview.events.iter().filter_map(|event| Some(event.events.as_ref()?.value));
    let most = most.max().unwrap_or(1).max(1);
    let table = |events: &[EventValue]| {
        html! {
            table {
                caption { (caption) }
                thead { tr {
                    th scope="col" { (texts.event) }
                    th scope="col" class="number" { (texts.sent) }
                    th scope="col" class="bars" { span class="unseen" { (texts.sent) } }
                    th scope="col" class="number" { (texts.devices_per_day) }
                } }
                tbody {
                    @for event in events {
                        tr {
                            th scope="row" { code { (event.name) } }
                            td class="number" { (total(event.events.as_ref(), language)) }
                            td class="bars" { @if let Some(total) = &event.events { (bar(total.value, most)) } }
                            td class="number" { (daily(event.devices.as_ref(), language)) }
                        }
                    }
                }
            }
        }
    };
    html! {
        section class="card" aria-labelledby="events" {
            h2 id="events" { (texts.events) }
            @if overview.events.is_empty() { p { (texts.no_events) } } @else {
                (folded(&overview.events, &caption, language, table))
                p class="quiet" { (texts.events_note) }
            }
        }
    }
}

/// The places: map, table, and where to get them for other maps.
pub(super) fn places(overview: &Overview, choice: &Choice, region: &str, origin: &str) -> Markup {
    let language = choice.language;
    let texts = language.texts();
    let period = language.dates(overview.period.from, overview.period.to);
    let caption = (texts.places_caption)(&period);
    let shades = Shades::of(&overview.cells);
    let table = |cells: &[CellValue]| cell_table(cells, &caption, choice);
    html! {
        section class="card" aria-labelledby="places" {
            h2 id="places" { (texts.places) }
            nav class="precision" aria-label=(texts.precision) {
                span aria-hidden="true" { (texts.precision) }
                ul class="choices" {
                    @for (precision, name) in (3_u8..).zip(texts.precisions) {
                        li { a href={ (choice.at(precision).link()) "#places" }
                            aria-current=[(precision == choice.precision).then_some("true")] { (name) } }
                    }
                }
            }
            @if !choice.within.is_empty() {
                p { ((texts.inside)(&choice.within)) " " a href={ (choice.inside("").link()) "#places" } { (texts.whole_region) } }
            }
            @if let Some(total) = &overview.region {
                @let (value, margin) = per_day(total);
                p { ((texts.in_region)(region, &language.with_margin(value, margin))) }
            }
            @if overview.cells.is_empty() { p { (texts.no_places) } } @else {
                figure {
                    @for size in Size::ALL { (map(&overview.cells, size, language)) }
                    figcaption class="legend" {
                        span { (texts.devices_per_day) }
                        @for (class, range) in shades.legend(language) {
                            span { svg class="key" viewBox="0 0 14 14" aria-hidden="true" { rect class=(class) width="14" height="14" {} } (range) }
                        }
                    }
                }
                p class="quiet" { (texts.map_note) }
                (folded(&overview.cells, &caption, language, table))
                p class="quiet" { (texts.places_note) " " (texts.towns_from) }
                (geojson(choice, origin))
            }
        }
    }
}

/// What was not published.
pub(super) fn suppressed(overview: &Overview, language: Language) -> Markup {
    let texts = language.texts();
    let all = overview.suppressed();
    html! {
        section class="card" aria-labelledby="suppressed" {
            h2 id="suppressed" { (texts.suppressed) }
            p { (texts.suppressed_why) }
            @if all.is_empty() { p { (texts.suppressed_none) } } @else {
                (boxed(texts.suppressed, html! {
                    table {
                        caption class="unseen" { (texts.suppressed) }
                        thead { tr {
                            th scope="col" { (texts.release) }
                            th scope="col" { (texts.told_apart_by) }
                            th scope="col" class="number" { (texts.threshold) }
                            th scope="col" class="number" { (texts.not_published) }
                        } }
                        tbody {
                            @for (suppressed, threshold) in all {
                                tr {
                                    th scope="row" { (texts.releases.called(&suppressed.release)) }
                                    td { (texts.dims.called(&suppressed.breakdown)) }
                                    td class="number" { (threshold.map_or(texts.no_threshold.to_owned(), |n| language.number(n))) }
                                    td class="number" { (language.number(i64::try_from(suppressed.values).unwrap_or(i64::MAX))) }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }
}

/// The parameters of the releases.
pub(super) fn made(overview: &Overview, language: Language) -> Markup {
    let texts = language.texts();
    html! {
        section class="card" aria-labelledby="made" {
            h2 id="made" { (texts.made) }
            p { (texts.made_how) }
            @if overview.parameters().iter().any(|release| release.epsilon.is_none()) { p { (texts.made_without_noise) } }
            (boxed(texts.made, html! {
                table {
                    caption class="unseen" { (texts.made) }
                    thead { tr {
                        th scope="col" { (texts.release) }
                        th scope="col" class="number" { (texts.epsilon) }
                        th scope="col" class="number" { (texts.bound) }
                        th scope="col" class="number" { (texts.scale) }
                        th scope="col" class="number" { (texts.threshold) }
                        th scope="col" { (texts.mechanism) }
                    } }
                    tbody {
                        @for release in overview.parameters() {
                            tr {
                                th scope="row" { (texts.releases.called(&release.name)) }
                                td class="number" { (release.epsilon.map_or("∞".to_owned(), |epsilon| language.decimal(epsilon, 3))) }
                                td class="number" { (language.number(i64::from(release.bound)))
                                    @if let Some(hours) = release.windows { " × " (hours) } }
                                td class="number" { (release.scale.map_or("0".to_owned(), |scale| language.decimal(scale, 1))) }
                                td class="number" { (release.threshold.map_or(texts.no_threshold.to_owned(), |n| language.number(n))) }
                                td { (texts.mechanism_called(&release.mechanism)) }
                            }
                        }
                    }
                }
            }))
        }
    }
}

/// The few numbers above the chart.
fn figures(overview: &Overview, language: Language) -> Markup {
    let texts = language.texts();
    let counted_days = |n: usize| language.counted(i64::try_from(n).unwrap_or(i64::MAX), &texts.days);
    let span = |point: &Point| {
        html! {
            dd class="figure" { (counted(point.devices, point.margin, language)) }
            dd class="quiet" { (language.dates(point.from, point.to.min(overview.period.to))) }
        }
    };
    html! {
        dl class="figures" {
            @if let Some(mean) = overview.mean() {
                div {
                    dt { (texts.mean) }
                    dd class="figure" { (language.with_margin(mean.value, mean.margin)) }
                    dd class="quiet" { ((texts.over_days)(&counted_days(mean.days))) }
                }
            }
            @if let Some(day) = overview.days.last() {
                div { dt { (texts.last_day) } (span(day)) }
            }
            @if let Some((before, percent, margin)) = overview.change() {
                div {
                    dt { (texts.change) }
                    dd class="figure" { (language.change(percent, margin)) }
                    dd class="quiet" { ((texts.change_note)(&language.with_margin(before.value, before.margin), &counted_days(before.days))) }
                }
            }
            div {
                dt { (texts.week) }
                @match overview.week() { Some(week) => (span(week)), None => dd class="quiet" { (texts.none_published) } }
            }
            div {
                dt { (texts.month) }
                @match overview.month() { Some(month) => {
                    (span(month))
                    dd class="quiet" { ((texts.over_days)(&language.counted(i64::from(month.days), &texts.days))) }
                }, None => dd class="quiet" { (texts.none_published) } }
            }
        }
    }
}

fn cell_table(cells: &[CellValue], caption: &str, choice: &Choice) -> Markup {
    let language = choice.language;
    let texts = language.texts();
    html! {
        table {
            caption { (caption) }
            thead { tr {
                th scope="col" { (texts.cell) }
                th scope="col" { (texts.town) }
                th scope="col" class="number" { (texts.devices_per_day) }
                th scope="col" class="number" { (texts.sealed_days) }
            } }
            tbody {
                @for cell in cells {
                    tr {
                        th scope="row" {
                            @match finer(cell, choice) {
                                Some(finer) => a href={ (finer.link()) "#places" } { code { (cell.cell) } },
                                None => code { (cell.cell) },
                            }
                        }
                        td {
                            @match town(cell) {
                                Some(Town::Within(name)) => (name),
                                Some(Town::Near(name)) => ((texts.near)(name)),
                                None => (coordinates(cell, language)),
                            }
                        }
                        td class="number" { (daily(Some(&cell.total), language)) }
                        td class="number" { (language.number(i64::from(cell.total.days))) }
                    }
                }
            }
        }
    }
}

/// The choice that shows finer cells in a cell; none for the finest.
fn finer(cell: &CellValue, choice: &Choice) -> Option<Choice> {
    let finer = choice.precision.checked_add(1).filter(|precision| *precision <= 5)?;
    Some(choice.at(finer).inside(&cell.cell))
}

fn coordinates(cell: &CellValue, language: Language) -> String {
    let (latitude, longitude) = cell.middle();
    let north = if latitude < 0.0 { "S" } else { "N" };
    let east = if longitude < 0.0 { "W" } else { "E" };
    let write = |degrees: f64| language.decimal(degrees.abs(), 1);
    format!("{}°\u{a0}{north} {}°\u{a0}{east}", write(latitude), write(longitude))
}

fn geojson(choice: &Choice, origin: &str) -> Markup {
    let app = choice.app.as_deref().unwrap_or_default();
    let path = format!("/v1/stats/places.geojson?app={app}&precision={}&period=last_30_days", choice.precision);
    html! {
        p { (choice.language.texts().geojson) " " a href=(path) { "places.geojson" } }
        pre tabindex="0" { code { "curl -H \"Authorization: Bearer $TOKEN\" \\\n  '" (origin) (path) "'" } }
    }
}

/// A table in a box of its own, in which it scrolls where the screen is too narrow.
fn boxed(label: &str, table: Markup) -> Markup {
    html! { div class="box" role="region" tabindex="0" aria-label=(label) { (table) } }
}

/// A table of the first rows, and one of the rest, folded.
fn folded<T>(rows: &[T], caption: &str, language: Language, table: impl Fn(&[T]) -> Markup) -> Markup {
    let rows = &rows[..rows.len().min(MOST_ROWS)];
    let (first, rest) = rows.split_at(rows.len().min(ROWS));
    let n = i64::try_from(rest.len()).unwrap_or(i64::MAX);
    let texts = language.texts();
    html! {
        (boxed(caption, table(first)))
        @if !rest.is_empty() {
            details {
                summary { ((texts.rest)(&language.counted(n, &texts.rows))) }
                (boxed(caption, table(rest)))
            }
        }
    }
}

pub(super) fn bar(value: i64, most: i64) -> Markup {
    let width = 100 * value.clamp(0, most) / most;
    html! {
        svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect class="bar-ground" width="100" height="10" {}
            rect class="bar-value" width=(width) height="10" {}
        }
    }
}

fn total(total: Option<&Total>, language: Language) -> Markup {
    match total {
        Some(total) => html! { (counted(total.value, total.margin, language)) },
        None => missing(language.texts().below_threshold),
    }
}

fn daily(total: Option<&Total>, language: Language) -> Markup {
    match total {
        Some(total) => {
            let (value, margin) = per_day(total);
            html! { (language.with_margin(value, margin)) }
        }
        None => missing(language.texts().below_threshold),
    }
}

/// Why there is no number.
pub(super) fn missing(why: &str) -> Markup {
    html! { span class="missing" { (why) } }
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn counted(value: i64, margin: f64, language: Language) -> String {
    language.with_margin(value as f64, margin)
}
