//! The map of cells, as SVG: plate carrée, narrowed by the cosine of the middle latitude. No tiles, no outside request.

use maud::{Markup, html};

use super::chart::{Size, px};
use super::language::Language;
use super::overview::{Town, per_day, town};
use crate::stats::CellValue;

/// Cells are drawn at least this large, in pixels.
const SMALLEST: f64 = 6.0;
/// How many cells the map is high, at least.
const GROUND: f64 = 8.0;
/// Most towns that are written on the map.
const TOWNS: usize = 8;
/// Classes of shade in the style sheet.
const SHADES: usize = 5;

/// A town's name: x, y, anchor, text.
type Label = (f64, f64, &'static str, &'static str);

/// What part of the ground is drawn, and how large.
struct Projection {
    west: f64,
    north: f64,
    east: f64,
    south: f64,
    /// Pixels per degree of longitude and of latitude.
    scale: (f64, f64),
    width: f64,
    height: f64,
}

impl Projection {
    /// All cells, with a border around them, in a drawing that is neither a strip nor a tower.
    fn around(cells: &[CellValue], size: Size) -> Option<Projection> {
        let first = cells.first()?.bounds;
        let [mut west, mut south, mut east, mut north] = cells.iter().fold(first, |all, cell| {
            [
                all[0].min(cell.bounds[0]),
                all[1].min(cell.bounds[1]),
                all[2].max(cell.bounds[2]),
                all[3].max(cell.bounds[3]),
            ]
        });
        // One cell alone stands on some ground too.
        let ground = GROUND * (first[3] - first[1]);
        let narrowing = f64::midpoint(south, north).to_radians().cos().max(0.05);
        // In degrees of latitude.
        let mut across = (east - west) * narrowing;
        let mut down = north - south;
        let border = 0.08 * across.max(down);
        across = (across + 2.0 * border).max(1.6 * (down + 2.0 * border).max(ground));
        down = (down + 2.0 * border).max(0.45 * across);
        let (x, y) = (f64::midpoint(west, east), f64::midpoint(south, north));
        (west, east) = (x - across / narrowing / 2.0, x + across / narrowing / 2.0);
        (south, north) = (y - down / 2.0, y + down / 2.0);
        let width = size.width();
        let per_degree = width / across;
        Some(Projection {
            west,
            north,
            east,
            south,
            scale: (per_degree * narrowing, per_degree),
            width,
            height: per_degree * down,
        })
    }

    fn x(&self, longitude: f64) -> f64 {
        (longitude - self.west) * self.scale.0
    }

    fn y(&self, latitude: f64) -> f64 {
        (self.north - latitude) * self.scale.1
    }
}

/// The values at which a darker shade begins: at most four, so that there are at most five shades.
pub(super) struct Shades(Vec<f64>);

impl Shades {
    /// Round values between the least and the most busy cell.
    pub(super) fn of(cells: &[CellValue]) -> Shades {
        let values = cells.iter().map(|cell| per_day(&cell.total).0);
        let (least, most) =
            values.fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        let mut breaks = Vec::new();
        for digits in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
            breaks.clear();
            for power in 0..9 {
                let values = digits.iter().map(|digit| digit * 10_f64.powi(power));
                breaks.extend(values.filter(|value| *value > least && *value <= most));
            }
            if breaks.len() < SHADES {
                break;
            }
        }
        breaks.truncate(SHADES - 1);
        Shades(breaks)
    }

    /// The class of a value in the style sheet; the darkest shade is used for the most busy cells.
    pub(super) fn class(&self, value: f64) -> String {
        let at = self.0.iter().filter(|from| value >= **from).count();
        format!("shade-{}", at + SHADES - 1 - self.0.len())
    }

    /// Each shade's class and what it stands for.
    pub(super) fn legend(&self, language: Language) -> Vec<(String, String)> {
        let write = |value: f64| language.number(super::language::whole(value));
        let Some((first, last)) = self.0.first().zip(self.0.last()) else {
            return Vec::new();
        };
        let mut legend = vec![(self.class(0.0), format!("< {}", write(*first)))];
        for pair in self.0.windows(2) {
            legend.push((self.class(pair[0]), format!("{}–{}", write(pair[0]), write(pair[1]))));
        }
        legend.push((self.class(*last), format!("≥ {}", write(*last))));
        legend
    }
}

/// Draws the cells, the busiest on top.
pub(super) fn map(cells: &[CellValue], size: Size, language: Language) -> Markup {
    let texts = language.texts();
    let Some(projection) = Projection::around(cells, size) else {
        return html! {};
    };
    let shades = Shades::of(cells);
    let n = i64::try_from(cells.len()).unwrap_or(i64::MAX);
    let busiest = cells
        .first()
        .map(|cell| match town(cell) {
            Some(Town::Within(town) | Town::Near(town)) => format!("{} ({town})", cell.cell),
            None => cell.cell.clone(),
        })
        .unwrap_or_default();
    let (title_id, desc_id) = (format!("map-{}", size.class()), format!("map-{}-says", size.class()));
    html! {
        svg class={ "map " (size.class()) } viewBox={ "0 0 " (projection.width) " " (px(projection.height)) } role="img"
            aria-labelledby={ (title_id) " " (desc_id) } {
            title id=(title_id) { ((texts.map)(&language.counted(n, &texts.cells))) }
            desc id=(desc_id) { ((texts.map_says)(&busiest)) }
            (graticule(&projection, size, language))
            @for cell in cells.iter().rev() { (rect(&projection, cell, &shades, language)) }
            @for (x, y, anchor, name) in towns(&projection, cells, size) {
                text class="town" x=(px(x)) y=(px(y)) text-anchor=(anchor) { (name) }
            }
        }
    }
}

fn rect(projection: &Projection, cell: &CellValue, shades: &Shades, language: Language) -> Markup {
    let [west, south, east, north] = cell.bounds;
    let (x, y) = (projection.x(west), projection.y(north));
    let (width, height) = (projection.x(east) - x, projection.y(south) - y);
    let (wider, higher) = ((SMALLEST - width).max(0.0), (SMALLEST - height).max(0.0));
    let (value, margin) = per_day(&cell.total);
    html! {
        rect class={ "cell " (shades.class(value)) } x=(px(x - wider / 2.0)) y=(px(y - higher / 2.0))
            width=(px(width + wider)) height=(px(height + higher)) {
            title { (cell.cell) ": " (language.with_margin(value, margin)) }
        }
    }
}

/// Meridians and parallels, with their degrees.
fn graticule(projection: &Projection, size: Size, language: Language) -> Markup {
    let lines = if size == Size::Wide { 9.0 } else { 5.0 };
    let span = projection.east - projection.west;
    let steps = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];
    let step = steps.into_iter().find(|step| span / step <= lines).unwrap_or(45.0);
    let write = |degrees: f64| format!("{}°", language.decimal(degrees, 2));
    html! {
        @for longitude in multiples(projection.west, projection.east, step) {
            @let x = projection.x(longitude);
            line class="grid" x1=(px(x)) x2=(px(x)) y1="0" y2=(px(projection.height)) {}
            text class="label" x=(px(x + 4.0)) y=(px(projection.height - 6.0)) { (write(longitude)) }
        }
        @for latitude in multiples(projection.south, projection.north, step) {
            @let y = projection.y(latitude);
            line class="grid" x1="0" x2=(px(projection.width)) y1=(px(y)) y2=(px(y)) {}
            text class="label" x="4" y=(px(y - 4.0)) { (write(latitude)) }
        }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn multiples(from: f64, to: f64, step: f64) -> impl Iterator<Item = f64> {
    let (first, last) = ((from / step).ceil() as i32, (to / step).floor() as i32);
    (first..=last).map(move |n| f64::from(n) * step)
}

/// Names of the towns in the busiest cells, where they do not run into each other.
fn towns(projection: &Projection, cells: &[CellValue], size: Size) -> Vec<Label> {
    let most = if size == Size::Wide { TOWNS } else { TOWNS / 2 };
    let mut placed: Vec<([f64; 4], Label)> = Vec::new();
    for cell in cells {
        let Some(Town::Within(name)) = town(cell) else {
            continue;
        };
        let [_, _, east, _] = cell.bounds;
        let (latitude, longitude) = cell.middle();
        #[allow(clippy::cast_precision_loss)]
        let width = 7.0 * name.chars().count() as f64;
        let half_cell = ((projection.x(east) - projection.x(longitude)).max(SMALLEST / 2.0)) + 4.0;
        let (middle, y) = (projection.x(longitude), projection.y(latitude) + 4.0);
        let (x, anchor, from) = if middle + half_cell + width > projection.width {
            (middle - half_cell, "end", middle - half_cell - width)
        } else {
            (middle + half_cell, "start", middle + half_cell)
        };
        let around = [from - 4.0, y - 15.0, from + width + 4.0, y + 6.0];
        let free = placed.iter().all(|(other, (.., known))| {
            let apart = around[0] > other[2] || around[2] < other[0] || around[1] > other[3] || around[3] < other[1];
            apart && *known != name
        });
        if free {
            placed.push((around, (x, y, anchor, name)));
        }
        if placed.len() == most {
            break;
        }
    }
    placed.into_iter().map(|(_, label)| label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Total;

    fn cell(name: &str, per_day: i64) -> CellValue {
        let bounds = geohash::decode_bbox(name).unwrap();
        CellValue {
            cell: name.to_owned(),
            bounds: [bounds.min().x, bounds.min().y, bounds.max().x, bounds.max().y],
            total: Total { value: per_day * 10, margin: 40.0, days: 10 },
        }
    }

    #[test]
    fn shades_begin_at_round_values_and_are_at_most_five() {
        let cells = [cell("txwy", 4_000), cell("v9v6", 55)];
        let shades = Shades::of(&cells);
        let legend = shades.legend(Language::English);
        assert!(legend.len() <= SHADES && legend.len() >= 3, "{legend:?}");
        assert_eq!(shades.class(4_000.0), "shade-4");
        assert_ne!(shades.class(55.0), shades.class(4_000.0));
        assert!(Shades::of(&cells[..1]).legend(Language::English).is_empty());
    }

    #[test]
    fn cells_lie_north_up_and_west_left() {
        let cells = [cell("txwy", 100), cell("v9v6", 100)];
        let projection = Projection::around(&cells, Size::Wide).unwrap();
        let (almaty, astana) = (cells[0].middle(), cells[1].middle());
        assert!(projection.x(almaty.1) > projection.x(astana.1));
        assert!(projection.y(almaty.0) > projection.y(astana.0));
        assert!(projection.x(almaty.1) < projection.width && projection.y(almaty.0) < projection.height);
    }

    #[test]
    fn one_cell_alone_can_be_drawn() {
        let svg = map(&[cell("txwy", 100)], Size::Narrow, Language::Kazakh).into_string();
        assert!(svg.contains("shade-4") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}
