//! The public domain of a release: which values its dimensions have, whatever was reported.
//!
//! Guarantees: comes from the catalogue, the registries and the region. What is reported and not among these is `other`
//! where a dimension has it, and is not counted where it has none.

use tuman_privacy::catalogue::Declaration;
use tuman_privacy::code::{Sort, code};
use tuman_privacy::device::{CLASSES, LANGUAGES, PLATFORMS};
use tuman_privacy::place::Region;
use tuman_privacy::properties::value_code;

use super::count::FIRST_USES;
use super::release::{Breakdown, Dimension, Sums};

/// What is public of an app.
#[derive(Debug, Clone, Copy)]
pub struct Public<'a> {
    /// What its catalogue declares.
    pub declaration: &'a Declaration,
    /// The platforms that are told apart.
    pub platforms: &'a [String],
    /// Where places are told apart.
    pub region: &'a Region,
}

/// The values of a dimension, and how open rows hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    /// Which column of the counting statement; [`NO_COLUMN`] where it is none.
    pub(super) column: u8,
    /// True where the values are looked for among a row's properties.
    pub(super) is_property: bool,
    /// The only event that counts; zero for all.
    pub(super) event: u32,
    /// The numbers of the values in open rows.
    pub(super) codes: Vec<u32>,
    /// Their names. Where there is `other`, it stands first and has no code.
    pub(super) labels: Vec<String>,
}

/// The column that holds the same in every row.
pub(super) const NO_COLUMN: u8 = 7;

impl Axis {
    /// The axis of a place that no dimension takes.
    pub(super) fn none() -> Axis {
        Axis { column: NO_COLUMN, is_property: false, event: 0, codes: vec![0], labels: vec![String::new()] }
    }

    pub(super) fn has_other(&self) -> bool {
        self.labels.len() > self.codes.len()
    }

    /// The index of a label by what the counting statement says: the index of a code from one on, zero for none.
    pub(super) fn index(&self, found: u32) -> Option<usize> {
        let index = usize::try_from(found).ok()?;
        if self.has_other() { Some(index) } else { index.checked_sub(1) }
    }
}

impl Public<'_> {
    /// The axis of a dimension.
    pub(super) fn axis(&self, dimension: &Dimension) -> Axis {
        let plain = |column: u8, codes: Vec<u32>, labels: Vec<String>| Axis {
            column,
            is_property: false,
            event: 0,
            codes,
            labels,
        };
        let registry = |column: u8, names: &[&str]| {
            let codes = (1..u32::try_from(names.len()).unwrap_or(u32::MAX)).collect();
            plain(column, codes, names.iter().map(|name| (*name).to_owned()).collect())
        };
        let with_other = |names: &[String]| ["other".to_owned()].iter().chain(names).cloned().collect();
        match dimension {
            Dimension::Platform => {
                let number = |name: &String| PLATFORMS.iter().position(|known| known == name).unwrap_or(0);
                let codes = self.platforms.iter().map(|name| u32::try_from(number(name)).unwrap_or(0)).collect();
                plain(1, codes, with_other(self.platforms))
            }
            Dimension::Version => {
                let versions = &self.declaration.versions;
                plain(2, versions.iter().map(|name| code(Sort::Version, name)).collect(), with_other(versions))
            }
            Dimension::Language => registry(3, &LANGUAGES),
            Dimension::Class => registry(4, &CLASSES),
            Dimension::Event => {
                let names = self.declaration.events.iter().map(|event| event.name.clone());
                let codes = self.declaration.events.iter().map(|event| code(Sort::Event, &event.name));
                plain(5, codes.collect(), names.collect())
            }
            Dimension::Hour => plain(6, (0..24).collect(), (0..24).map(|hour| format!("{hour:02}")).collect()),
            Dimension::FirstUse => {
                let labels: Vec<String> = FIRST_USES.map(str::to_owned).into();
                plain(NO_COLUMN, vec![0; labels.len()], labels)
            }
            Dimension::Property { event, key } => {
                let declared = self.declaration.events.iter().find(|known| known.name == *event);
                let kind = declared.and_then(|known| known.properties.iter().find(|(known, _)| known == key));
                let labels = kind.map(|(_, kind)| kind.labels()).unwrap_or_default();
                let codes = labels.iter().map(|label| value_code(key, label)).collect();
                Axis { column: NO_COLUMN, is_property: true, event: code(Sort::Event, event), codes, labels }
            }
        }
    }

    /// How many cells some dimensions have together.
    #[must_use]
    pub fn size(&self, by: &[Dimension]) -> usize {
        by.iter().fold(1, |size: usize, dimension| size.saturating_mul(self.axis(dimension).labels.len()))
    }

    /// The breakdowns of a release over some dimensions. Without noise there are the cells and the total alone: with
    /// more sums, what is suppressed could be found by subtraction.
    pub(super) fn breakdowns(&self, by: &[Dimension], sums: Sums, is_noisy: bool) -> Vec<Breakdown> {
        let size = self.size(by);
        let chosen = choices(by.len(), sums)
            .into_iter()
            .filter(|chosen| is_noisy || chosen.is_empty() || chosen.len() == by.len());
        let breakdown = |chosen: Vec<usize>| {
            let dimensions: Vec<Dimension> = chosen.iter().filter_map(|at| by.get(*at).cloned()).collect();
            let values = self.size(&dimensions);
            let names: Vec<_> = dimensions.iter().map(Dimension::name).collect();
            let draws = u32::try_from(size / values.max(1)).unwrap_or(u32::MAX);
            Breakdown { name: names.join(","), values, draws }
        };
        chosen.map(breakdown).collect()
    }

    /// How many cells of so many characters the region has.
    pub(super) fn places(&self, characters: u8) -> usize {
        let mut cells = self.region.coarsest_cells();
        for _ in 3..characters {
            cells = cells.into_iter().flat_map(|cell| self.region.children(cell)).collect();
        }
        cells.len()
    }
}

/// Which of `n` dimensions each published breakdown tells apart, by index; the finest last.
pub(super) fn choices(n: usize, sums: Sums) -> Vec<Vec<usize>> {
    let all = (0_usize..1 << n).map(|bits| (0..n).filter(|at| bits >> at & 1 == 1).collect::<Vec<_>>());
    let mut chosen: Vec<Vec<usize>> = all.filter(|chosen| sums == Sums::All || chosen.len() == n).collect();
    chosen.sort_by_key(Vec::len);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_of_the_dimensions_is_a_breakdown() {
        assert_eq!(choices(2, Sums::All), [vec![], vec![0], vec![1], vec![0, 1]]);
        assert_eq!(choices(2, Sums::None), [vec![0, 1]]);
        assert_eq!(choices(0, Sums::All), [Vec::<usize>::new()]);
        assert_eq!(choices(4, Sums::All).len(), 16);
    }
}
