//! The line chart of a month, as SVG: no script, no style of its own, colours from the style sheet.

use std::fmt::Write;

use maud::{Markup, html};

use super::language::Language;
use super::overview::Day;

/// How large a chart is drawn. Text keeps its size: a narrow screen gets a drawing of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Wide,
    Narrow,
}

impl Size {
    /// Both; the style sheet shows one of them.
    pub(super) const ALL: [Size; 2] = [Size::Wide, Size::Narrow];

    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Size::Wide => "wide",
            Size::Narrow => "narrow",
        }
    }

    /// Its width in pixels.
    pub(super) fn width(self) -> f64 {
        match self {
            Size::Wide => 960.0,
            Size::Narrow => 340.0,
        }
    }
}

const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;
const RIGHT: f64 = 14.0;

/// Where days and values lie on the drawing.
struct Frame {
    left: f64,
    width: f64,
    height: f64,
    step: f64,
    lowest: f64,
    highest: f64,
}

/// The values at the axis.
#[derive(Debug, PartialEq)]
pub(super) struct Scale {
    /// Where it begins.
    pub(super) lowest: f64,
    tick: f64,
    ticks: u32,
}

impl Frame {
    #[allow(clippy::cast_precision_loss)]
    fn x(&self, at: usize) -> f64 {
        self.left + self.step * at as f64
    }

    fn y(&self, value: f64) -> f64 {
        let share = ((value - self.lowest) / (self.highest - self.lowest)).clamp(0.0, 1.0);
        self.height - BOTTOM - share * (self.height - BOTTOM - TOP)
    }
}

/// Draws the days. Days without a value are gaps.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(super) fn chart(days: &[Day], period: &str, size: Size, language: Language) -> Markup {
    let texts = language.texts();
    let values = days.iter().filter_map(|day| day.value);
    let scale = Scale::of(days);
    let height = if size == Size::Wide { 280.0 } else { 220.0 };
    let left = 14.0 + 7.5 * language.number(scale.highest() as i64).chars().count() as f64;
    let width = size.width();
    let frame = Frame {
        left,
        width,
        height,
        step: (width - left - RIGHT) / (days.len().max(2) - 1) as f64,
        lowest: scale.lowest,
        highest: scale.highest(),
    };
    let lowest = values.clone().map(|(value, _)| value).min().unwrap_or(0);
    let highest = values.map(|(value, _)| value).max().unwrap_or(0);
    let says = (texts.chart_says)(&language.number(lowest.max(0)), &language.number(highest.max(0)));
    let (title_id, desc_id) = (format!("chart-{}", size.class()), format!("chart-{}-says", size.class()));
    html! {
        svg class={ "chart " (size.class()) } viewBox={ "0 0 " (width) " " (height) } role="img"
            aria-labelledby={ (title_id) " " (desc_id) } {
            title id=(title_id) { ((texts.chart)(period)) }
            desc id=(desc_id) { (says) }
            (grid(&frame, &scale, language))
            (dates(&frame, days, size, language))
            @for (at, day) in days.iter().enumerate() {
                @if day.value.is_none() { (gap(&frame, at, day, language)) }
            }
            @for run in runs(days) { (line(&frame, days, run)) }
            @for (at, day) in days.iter().enumerate() {
                @if let Some((value, margin)) = day.value {
                    circle class="dot" cx=(px(frame.x(at))) cy=(px(frame.y(value as f64))) r="2" {
                        title { (language.short_date(day.date)) ": " (language.with_margin(value as f64, margin)) }
                    }
                }
            }
        }
    }
}

/// A number of pixels, to a tenth.
pub(super) fn px(value: f64) -> String {
    format!("{value:.1}")
}

impl Scale {
    /// The scale of these days. It begins at zero, unless all values lie so high that their margins would not be seen.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn of(days: &[Day]) -> Scale {
        let ends = days.iter().filter_map(|day| day.value);
        let ends = ends.map(|(value, margin)| (value as f64 - margin, value as f64 + margin));
        let (least, most) = ends
            .fold((f64::INFINITY, 1.0), |(least, most): (f64, f64), (low, high)| (least.min(low), most.max(high)));
        let from = if least.is_finite() && least > most / 2.0 { least } else { 0.0 };
        let (tick, _) = ticks(most - from);
        let lowest = (from / tick).floor() * tick;
        let (tick, ticks) = if lowest > 0.0 { (tick, steps(most - lowest, tick)) } else { ticks(most) };
        Scale { lowest, tick, ticks }
    }

    fn highest(&self) -> f64 {
        self.lowest + self.tick * f64::from(self.ticks)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn steps(most: f64, tick: f64) -> u32 {
    (most / tick).ceil().max(1.0) as u32
}

/// A step of 1, 2 or 5 times a power of ten, and how many of them cover `most`: at most five.
fn ticks(most: f64) -> (f64, u32) {
    let mut power = 1.0;
    loop {
        for digit in [1.0, 2.0, 5.0] {
            let tick = digit * power;
            if most <= 5.0 * tick {
                return (tick, steps(most, tick));
            }
        }
        power *= 10.0;
    }
}

#[allow(clippy::cast_possible_truncation)]
fn grid(frame: &Frame, scale: &Scale, language: Language) -> Markup {
    html! {
        @for n in 0..=scale.ticks {
            @let value = scale.lowest + scale.tick * f64::from(n);
            @let y = px(frame.y(value));
            line class=@if n == 0 { "axis" } @else { "grid" } x1=(px(frame.left)) x2=(px(frame.width - RIGHT)) y1=(y) y2=(y) {}
            text class="label" x=(px(frame.left - 8.0)) y=(px(frame.y(value) + 4.0)) text-anchor="end" {
                (language.number(value as i64))
            }
        }
    }
}

/// Labels under the axis: the last day, and back from it week by week.
fn dates(frame: &Frame, days: &[Day], size: Size, language: Language) -> Markup {
    let every = if size == Size::Wide { 7 } else { 14 };
    let last = days.len().saturating_sub(1);
    let labelled = days.iter().enumerate().filter(|(at, _)| (last - at).is_multiple_of(every));
    html! {
        @for (at, day) in labelled {
            @let x = frame.x(at);
            line class="axis" x1=(px(x)) x2=(px(x)) y1=(px(frame.y(frame.lowest))) y2=(px(frame.y(frame.lowest) + 5.0)) {}
            text class="label" x=(px(if at == last { x + RIGHT } else { x })) y=(px(frame.height - 8.0))
                text-anchor=@if at == last { "end" } @else { "middle" } { (language.short_date(day.date)) }
        }
    }
}

fn gap(frame: &Frame, at: usize, day: &Day, language: Language) -> Markup {
    let from = (frame.x(at) - frame.step / 2.0).max(frame.left);
    let to = (frame.x(at) + frame.step / 2.0).min(frame.width - RIGHT);
    let why = match day.sealed {
        true => language.texts().below_threshold,
        false => language.texts().not_sealed,
    };
    html! {
        rect class="gap" x=(px(from)) y=(px(TOP)) width=(px(to - from)) height=(px(frame.y(frame.lowest) - TOP)) {
            title { (language.short_date(day.date)) ": " (why) }
        }
    }
}

/// The days between two gaps.
fn runs(days: &[Day]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in days.iter().enumerate().filter(|(_, day)| day.value.is_some()) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// The line over the band of its margin.
#[allow(clippy::cast_precision_loss)]
fn line(frame: &Frame, days: &[Day], run: std::ops::Range<usize>) -> Markup {
    let (mut upper, mut middle, mut lower) = (String::new(), String::new(), Vec::new());
    for at in run {
        let Some((value, margin)) = days.get(at).and_then(|day| day.value) else {
            continue;
        };
        let (x, value) = (frame.x(at), value as f64);
        let _ = write!(upper, "{x:.1},{:.1} ", frame.y(value + margin));
        let _ = write!(middle, "{x:.1},{:.1} ", frame.y(value));
        lower.push(format!("{x:.1},{:.1} ", frame.y(value - margin)));
    }
    upper.extend(lower.into_iter().rev());
    html! {
        polygon class="band" points=(upper.trim_end()) {}
        polyline class="line" points=(middle.trim_end()) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_what_is_drawn() {
        assert_eq!(ticks(1.0), (1.0, 1));
        assert_eq!(ticks(4_321.0), (1_000.0, 5));
        assert_eq!(ticks(5_100.0), (2_000.0, 3));
        assert_eq!(ticks(23.0), (5.0, 5));
    }

    #[test]
    fn the_axis_begins_at_zero_where_margins_can_be_seen_so() {
        let scale = |values: &[(i64, f64)]| {
            let date = jiff::civil::date(2026, 11, 1);
            let days: Vec<Day> = values.iter().map(|value| Day { date, value: Some(*value), sealed: true }).collect();
            Scale::of(&days)
        };
        assert_eq!(scale(&[(30, 9.0), (90, 9.0)]), Scale { lowest: 0.0, tick: 20.0, ticks: 5 });
        assert_eq!(scale(&[(3_400, 55.0), (4_510, 55.0)]), Scale { lowest: 3_000.0, tick: 500.0, ticks: 4 });
        assert_eq!(scale(&[]), Scale { lowest: 0.0, tick: 1.0, ticks: 1 });
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let day = |day, value| Day { date: jiff::civil::date(2026, 11, day), value, sealed: true };
        let some = Some((100, 5.0));
        let days = [day(1, some), day(2, some), day(3, None), day(4, some)];
        assert_eq!(runs(&days), [0..2, 3..4]);
        let svg = chart(&days, "x", Size::Wide, Language::English).into_string();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("class=\"gap\"").count(), 1);
    }
}
