//! What was measured, as a table for people or as JSON for machines.

use std::io::{self, Write};

use serde::Serialize;

/// One thing that was measured. What does not apply is absent.
#[derive(Default, Serialize)]
pub(crate) struct Row {
    /// What.
    pub(crate) what: String,
    /// Of what there is a rate and a cost: `event`, `request`, `row`.
    pub(crate) unit: &'static str,
    /// Units a second.
    pub(crate) per_second: Option<f64>,
    /// Processor time of a unit in nanoseconds.
    pub(crate) cpu_ns: Option<f64>,
    /// Median in milliseconds.
    pub(crate) p50_ms: Option<f64>,
    /// 99th percentile in milliseconds.
    pub(crate) p99_ms: Option<f64>,
    /// What the row is about, where it is none of these, with its unit.
    pub(crate) value: Option<String>,
    /// How many times the floor it is.
    pub(crate) to_floor: Option<f64>,
    /// The budget in words.
    pub(crate) budget: Option<String>,
    /// Whether it was kept.
    pub(crate) kept: Option<bool>,
}

impl Row {
    /// A row about `what`, per `unit`.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str) -> Row {
        Row { what: what.into(), unit, ..Row::default() }
    }

    /// Sets the budget, and whether `value` keeps it.
    pub(crate) fn at_most(mut self, value: f64, most: f64, words: String) -> Row {
        self.kept = Some(value <= most);
        self.budget = Some(words);
        self
    }

    /// Sets the budget, and whether `value` reaches it.
    pub(crate) fn at_least(self, value: f64, least: f64, words: String) -> Row {
        self.at_most(-value, -least, words)
    }
}

/// Everything that a run found.
#[derive(Default, Serialize)]
pub(crate) struct Findings {
    /// The machine, and how busy others kept it.
    pub(crate) machine: Vec<(String, String)>,
    /// The table.
    pub(crate) rows: Vec<Row>,
    /// Processor time by thread, in nanoseconds per event of each phase.
    pub(crate) threads: Vec<(String, Vec<(String, f64)>)>,
    /// What went wrong. Numbers of a run with an entry here mean nothing.
    pub(crate) wrong: Vec<String>,
}

/// Prints JSON.
///
/// # Errors
/// Where the output is closed.
pub(crate) fn json(findings: &Findings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, findings)?;
    writeln!(out)
}

/// Prints for people.
///
/// # Errors
/// Where the output is closed.
pub(crate) fn text(findings: &Findings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (what, value) in &findings.machine {
        writeln!(out, "{what}: {value}")?;
    }
    let head = ["what", "per second", "CPU, ns", "of", "p50, ms", "p99, ms", "to floor", "budget", "kept"];
    let mut lines: Vec<Vec<String>> = vec![head.iter().map(ToString::to_string).collect()];
    lines.extend(findings.rows.iter().map(cells));
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = lines.iter().map(|line| line[column].chars().count());
            cells.max().unwrap_or_default()
        })
        .collect();
    writeln!(out)?;
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                1 | 2 | 4 | 5 | 6 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
        if number == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            writeln!(out, "| {} |", rule.join(" | "))?;
        }
    }
    writeln!(out, "\nProcessor time by thread, ns per event:")?;
    for (phase, threads) in &findings.threads {
        let threads: Vec<String> = threads.iter().map(|(name, ns)| format!("{name} {}", number(*ns))).collect();
        writeln!(out, "  {phase}: {}", threads.join(", "))?;
    }
    if !findings.wrong.is_empty() {
        writeln!(out, "\n!!! THESE NUMBERS MEAN NOTHING: !!!")?;
        for what in &findings.wrong {
            writeln!(out, "!!! {what}")?;
        }
    }
    Ok(())
}

fn cells(row: &Row) -> Vec<String> {
    let or_empty = |value: Option<f64>, text: fn(f64) -> String| value.map(text).unwrap_or_default();
    let rate = row.value.clone().or(row.per_second.map(number)).unwrap_or_default();
    vec![
        row.what.clone(),
        rate,
        or_empty(row.cpu_ns, number),
        row.unit.into(),
        or_empty(row.p50_ms, |ms| format!("{ms:.2}")),
        or_empty(row.p99_ms, |ms| format!("{ms:.2}")),
        or_empty(row.to_floor, |times| format!("{times:.2}")),
        row.budget.clone().unwrap_or_default(),
        match row.kept {
            Some(true) => "yes".into(),
            Some(false) => "NO".into(),
            None => String::new(),
        },
    ]
}

/// A number with its thousands set apart.
pub(crate) fn number(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}
