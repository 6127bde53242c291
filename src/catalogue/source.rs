//! A catalogue's text with its lines: reads TOML so that everything that is wrong with it is named, each on its line.
//!
//! Guarantees: a line is where the key or the value itself stands, taken from the parser's spans. A key that is not known
//! is named with the nearest one that is. Reading goes on after a problem, also after a mistake in the syntax.
//! Does not: know what a catalogue holds.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// All that is wrong with a text: line, from 1, and what is wrong there.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<(usize, String)>,
    /// Lines on which the syntax is wrong: what stands there was guessed by the parser, and is not judged.
    guessed: Vec<usize>,
}

impl Problems {
    /// Names a problem.
    pub(super) fn add(&mut self, line: usize, what: impl Into<String>) {
        if !self.guessed.contains(&line) {
            self.found.push((line, what.into()));
        }
    }

    /// Names something that is missing. Where the syntax is wrong it may well be there.
    pub(super) fn missing(&mut self, line: usize, what: impl Into<String>) {
        if self.guessed.is_empty() {
            self.add(line, what);
        }
    }

    /// True where nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them, by line.
    pub(super) fn into_sorted(mut self) -> Vec<(usize, String)> {
        self.found.sort();
        self.found.dedup();
        self.found
    }
}

/// Where lines begin.
#[derive(Debug, Clone)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}

/// Reads a text, and hands its top table to `with`.
pub(super) fn read<T>(text: &str, with: impl FnOnce(Table<'_>, &mut Problems) -> T) -> (T, Problems) {
    let lines = Lines::of(text);
    let mut problems = Problems::default();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        problems.add(line, error.message().replace('\n', ", "));
        problems.guessed.push(line);
    }
    let read = with(Table::of(String::new(), 1, table.get_ref(), &lines), &mut problems);
    (read, problems)
}

/// A table that is read key by key.
pub(super) struct Table<'a> {
    path: String,
    /// Where it stands.
    pub(super) line: usize,
    left: Vec<Field<'a>>,
}

impl<'a> Table<'a> {
    fn of(path: String, line: usize, table: &'a DeTable<'a>, lines: &'a Lines) -> Table<'a> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let left = table.iter().map(|(key, value)| Field {
            name: key.get_ref(),
            path: format!("{prefix}{}", key.get_ref()),
            line: lines.at(key.span().start),
            value,
            lines,
        });
        Table { path, line, left: left.collect() }
    }

    /// Takes a key's field.
    pub(super) fn take(&mut self, name: &str) -> Option<Field<'a>> {
        let at = self.left.iter().position(|field| field.name == name)?;
        Some(self.left.remove(at))
    }

    /// Takes all that is left, where keys are names of the app's own choice. In the order of the text.
    pub(super) fn take_all(mut self) -> Vec<Field<'a>> {
        self.left.sort_by_key(|field| field.line);
        self.left
    }

    /// Names what is left: keys that are none of `known`.
    pub(super) fn end(self, known: &[&str], problems: &mut Problems) {
        let place = if self.path.is_empty() { String::new() } else { format!(" of `{}`", self.path) };
        for field in self.left {
            let meant = match nearest(field.name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys are {}", known.join(", ")),
            };
            problems.add(field.line, format!("unknown key `{}`{place}: {meant}", field.name));
        }
    }
}

/// A key with its value, or an element of a list.
pub(super) struct Field<'a> {
    /// The key.
    pub(super) name: &'a str,
    /// The keys that lead to it.
    path: String,
    /// Where it stands.
    pub(super) line: usize,
    value: &'a Spanned<DeValue<'a>>,
    lines: &'a Lines,
}

impl<'a> Field<'a> {
    /// Names a problem of this field.
    pub(super) fn wrong(&self, what: &str, problems: &mut Problems) {
        problems.add(self.line, format!("{}: {what}", self.path));
    }

    /// Its text.
    pub(super) fn text(&self, problems: &mut Problems) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        self.checked(text, "a text in quotes", problems)
    }

    /// Its yes or no.
    pub(super) fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        let boolean = self.value.get_ref().as_bool();
        self.checked(boolean, "true or false", problems)
    }

    /// Its number, whole or not.
    pub(super) fn number(&self, problems: &mut Problems) -> Option<f64> {
        let number = match self.value.get_ref() {
            DeValue::Float(float) => float.as_str().parse().ok(),
            #[allow(clippy::cast_precision_loss)]
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|n| n as f64)
            }
            _ => None,
        };
        self.checked(number.filter(|number: &f64| number.is_finite()), "a number", problems)
    }

    /// Its whole number.
    pub(super) fn whole(&self, problems: &mut Problems) -> Option<i64> {
        let integer = self.value.get_ref().as_integer();
        let number = integer.and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
        self.checked(number, "a whole number", problems)
    }

    /// Its text, where it is one: for keys that take a word or a number.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    /// The elements of its list.
    pub(super) fn list(&self, problems: &mut Problems) -> Vec<Field<'a>> {
        let array = self.value.get_ref().as_array();
        let elements =
            self.checked(array, "a list: in brackets, or tables under `[[...]]`", problems).into_iter().flatten();
        let element = |value: &'a Spanned<DeValue<'a>>| Field {
            name: self.name,
            path: self.path.clone(),
            line: self.lines.at(value.span().start),
            value,
            lines: self.lines,
        };
        elements.map(element).collect()
    }

    /// Its table.
    pub(super) fn table(&self, problems: &mut Problems) -> Option<Table<'a>> {
        let table = self.value.get_ref().as_table();
        let table = self.checked(table, "a table", problems)?;
        Some(Table::of(self.path.clone(), self.line, table, self.lines))
    }

    fn checked<T>(&self, found: Option<T>, expected: &str, problems: &mut Problems) -> Option<T> {
        if found.is_none() {
            self.wrong(&format!("expected {expected}"), problems);
        }
        found
    }
}

/// The known word that is nearest to a text, where one is near: at most a third of it has to change.
pub(super) fn nearest<'k>(text: &str, known: &[&'k str]) -> Option<&'k str> {
    // A swapped pair of letters is two changes, so that short words may have two.
    let far = (text.chars().count() / 3).max(2);
    let near = known.iter().map(|word| (changes(text, word), *word)).min()?;
    (near.0 <= far && near.0 < near.1.len()).then_some(near.1)
}

/// How many characters have to be added, removed or replaced to get from one text to the other (Levenshtein).
fn changes(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, character) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_where_one_is_near() {
        let known = ["platforms", "versions", "id", "name"];
        assert_eq!(nearest("platfroms", &known), Some("platforms"));
        assert_eq!(nearest("version", &known), Some("versions"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &known), None);
        assert_eq!(changes("kitten", "sitting"), 3);
    }

    #[test]
    fn lines_are_counted_from_one() {
        let lines = Lines::of("a\nbc\n\nd");
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 9].map(|at| lines.at(at)), [1, 1, 2, 2, 2, 3, 4, 4]);
    }
}
