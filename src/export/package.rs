//! The package: releases, how they were sealed, and a description, in a zip.
//!
//! The description is a Frictionless data package: <https://specs.frictionlessdata.io/data-package/>. What it has beside the
//! standard's own members is `app`, `period`, `zone`, `basis`, `unit`, `sealed_days`, `missing_days`, `epsilon`, and of
//! each release `counts`, `sealed` and `suppressed`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Serialize;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::frame::Frame;
use super::read::{self, Seals};
use super::{Context, ExportError, Format, MOST_PACKAGE_VALUES, MOST_VALUES, PackageQuery, sha256};
use crate::seal::release::{Counts, rounded};
use crate::stats::{Period, Seal};
use crate::store::Store;

/// The description.
#[derive(Serialize)]
struct Package {
    profile: &'static str,
    name: String,
    title: String,
    description: &'static str,
    app: String,
    period: Period,
    zone: String,
    basis: Option<Clause>,
    unit: &'static str,
    sealed_days: usize,
    missing_days: Vec<Date>,
    epsilon: Spent,
    resources: Vec<Resource>,
}

/// Why a partner may have the package.
#[derive(Serialize)]
struct Clause {
    clause: &'static str,
    text: &'static str,
}

/// What the releases in the package spent for one device.
#[derive(Serialize)]
struct Spent {
    /// On the day on which they spent most.
    day: f64,
    /// On all days together.
    together: f64,
    /// Releases without noise, for which no epsilon holds.
    without_noise: BTreeSet<String>,
}

#[derive(Serialize)]
struct Resource {
    profile: &'static str,
    name: String,
    path: String,
    title: String,
    format: &'static str,
    mediatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    bytes: usize,
    hash: String,
    schema: Schema,
    #[serde(flatten)]
    of_release: Option<OfRelease>,
}

#[derive(Serialize)]
struct OfRelease {
    counts: Option<&'static str>,
    sealed: Vec<Sealed>,
    suppressed: Vec<Suppressed>,
}

/// Days that were sealed with the same parameters, one after another.
#[derive(Serialize)]
struct Sealed {
    from: Date,
    to: Date,
    bound: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<u8>,
    epsilon: Option<f64>,
    scale: Option<f64>,
    threshold: Option<i64>,
    mechanism: String,
}

#[derive(Serialize)]
struct Suppressed {
    breakdown: String,
    values: u64,
}

#[derive(Serialize)]
struct Schema {
    fields: Vec<Field>,
    #[serde(rename = "missingValues")]
    missing_values: [&'static str; 1],
}

#[derive(Serialize)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
}

const DESCRIPTION: &str = "Anonymous statistics from sealed days. Each value is a count with noise (discrete Laplace) unless its \
    release says otherwise; values below the threshold are not published, so that what is missing is small and not zero. `margin` \
    is the 95 % margin of a value: of a sum over days it is the root of the sum of squares. Do not add values of different \
    breakdowns, and do not add devices over days to count people.";

/// The zip.
pub(super) fn package(store: &dyn Store, query: &PackageQuery, context: &Context) -> Result<Vec<u8>, ExportError> {
    let all = read::seals(store, &query.scope)?;
    let chosen: Vec<&Seals> = all.iter().filter(|seals| is_chosen(seals, query)).collect();
    if query.release.is_some() && chosen.is_empty() {
        let is_there = all.iter().any(|seals| Some(&seals.name) == query.release.as_ref());
        return Err(if is_there { ExportError::NoPlaces } else { ExportError::NoSuchRelease });
    }
    let published: u64 = chosen.iter().flat_map(|seals| &seals.days).map(|seal| seal.published).sum();
    if published > MOST_PACKAGE_VALUES {
        return Err(ExportError::TooLarge(MOST_PACKAGE_VALUES));
    }
    let mut archive = Archive::new();
    let mut resources = Vec::new();
    for seals in &chosen {
        let release = read::release(store, &query.scope, &seals.name, &all, MOST_VALUES)?;
        let counts = context.counts(&seals.name);
        let title = title(counts, &release.dims());
        let frame = release.frame(counts);
        let path = format!("releases/{}.{}", seals.name, query.format.extension());
        let of_release = Some(OfRelease::of(seals, counts));
        resources.push(archive.resource(&seals.name, path, title, query.format, &frame, of_release)?);
    }
    // How days were sealed has no places.
    let format = if query.format == Format::GeoJson { Format::Json } else { query.format };
    let (path, title) = (format!("seals.{}", format.extension()), "How each release of each day was sealed");
    let frame = read::seals_frame(&chosen);
    resources.push(archive.resource("seals-of-days", path, title.to_owned(), format, &frame, None)?);
    let description = describe(query, context, &chosen, resources);
    let mut text = serde_json::to_vec_pretty(&description).map_err(|_| ExportError::Form("description"))?;
    text.push(b'\n');
    archive.add("datapackage.json", &text)?;
    archive.finish()
}

/// GeoJSON is for releases of cells, and leaves the others out.
fn is_chosen(seals: &Seals, query: &PackageQuery) -> bool {
    let is_asked = query.release.as_ref().is_none_or(|name| *name == seals.name);
    let has_cells = seals.days.iter().any(|seal| seal.dims.iter().any(|dim| dim == "cell"));
    is_asked && (query.format != Format::GeoJson || has_cells)
}

fn describe(query: &PackageQuery, context: &Context, seals: &[&Seals], resources: Vec<Resource>) -> Package {
    let (app, period) = (&query.scope.app, query.scope.period);
    let days: BTreeSet<Date> = seals.iter().flat_map(|seals| &seals.days).map(|seal| seal.day).collect();
    let asked = period.from.series(1.day()).take_while(|day| *day <= period.to);
    let is_tabular = query.format == Format::Csv;
    Package {
        profile: if is_tabular { "tabular-data-package" } else { "data-package" },
        name: format!("{}-{}-{}", app.to_ascii_lowercase(), period.from, period.to),
        title: format!("Releases of {app}, {} to {}", period.from, period.to),
        description: DESCRIPTION,
        app: app.clone(),
        period,
        zone: context.zone.clone(),
        basis: context.basis.map(|basis| Clause { clause: basis.clause(), text: basis.text() }),
        unit: "one device, one app, one day",
        sealed_days: days.len(),
        missing_days: asked.filter(|day| !days.contains(day)).collect(),
        epsilon: Spent::of(seals),
        resources,
    }
}

impl Spent {
    fn of(seals: &[&Seals]) -> Spent {
        let mut days: BTreeMap<Date, f64> = BTreeMap::new();
        let mut without_noise = BTreeSet::new();
        for seals in seals {
            // What is sealed several times a day has one epsilon for all of it.
            let mut of_release: BTreeMap<Date, f64> = BTreeMap::new();
            for seal in &seals.days {
                match seal.epsilon() {
                    Some(epsilon) => drop(of_release.insert(seal.day, epsilon)),
                    None => drop(without_noise.insert(seal.release.clone())),
                }
            }
            for (day, epsilon) in of_release {
                *days.entry(day).or_default() += epsilon;
            }
        }
        let most = days.values().copied().fold(0.0, f64::max);
        Spent { day: rounded(most), together: rounded(days.values().sum()), without_noise }
    }
}

impl OfRelease {
    fn of(seals: &Seals, counts: Option<Counts>) -> OfRelease {
        let mut sealed: Vec<Sealed> = Vec::new();
        let mut suppressed: BTreeMap<String, u64> = BTreeMap::new();
        for seal in &seals.days {
            match sealed.last_mut().filter(|last| last.holds(seal)) {
                Some(last) => last.to = seal.day,
                None => sealed.push(Sealed::of(seal)),
            }
            for (breakdown, n) in seal.suppressed() {
                let name = if breakdown.is_empty() { "total".to_owned() } else { breakdown };
                *suppressed.entry(name).or_default() += n;
            }
        }
        let suppressed = suppressed.into_iter().map(|(breakdown, values)| Suppressed { breakdown, values });
        OfRelease { counts: counts.map(Counts::word), sealed, suppressed: suppressed.collect() }
    }
}

impl Sealed {
    fn of(seal: &Seal) -> Sealed {
        Sealed {
            from: seal.day,
            to: seal.day,
            bound: seal.bound,
            windows: seal.windows(),
            epsilon: seal.epsilon(),
            scale: seal.scale(),
            threshold: seal.threshold(),
            mechanism: seal.mechanism.clone(),
        }
    }

    fn holds(&self, seal: &Seal) -> bool {
        let of = Sealed::of(seal);
        (self.bound, self.windows, self.epsilon, self.scale, self.threshold, &self.mechanism)
            == (of.bound, of.windows, of.epsilon, of.scale, of.threshold, &of.mechanism)
    }
}

fn title(counts: Option<Counts>, dims: &[String]) -> String {
    let what = match counts {
        Some(Counts::Devices) => "Devices",
        Some(Counts::Events) => "Events",
        None => "Values",
    };
    if dims.is_empty() { what.to_owned() } else { format!("{what} by {}", dims.join(", ")) }
}

/// A zip whose bytes depend on what is in it alone, and the sums of its files.
struct Archive {
    zip: ZipWriter<Cursor<Vec<u8>>>,
    sums: String,
}

impl Archive {
    fn new() -> Archive {
        Archive { zip: ZipWriter::new(Cursor::new(Vec::new())), sums: String::new() }
    }

    /// Adds a table, and says what it is.
    fn resource(
        &mut self,
        name: &str,
        path: String,
        title: String,
        format: Format,
        frame: &Frame,
        of_release: Option<OfRelease>,
    ) -> Result<Resource, ExportError> {
        let bytes = format.write(frame)?;
        let hash = format!("sha256:{}", self.add(&path, &bytes)?);
        let field = |column: &super::frame::Column| Field {
            name: column.name.clone(),
            kind: column.values.kind(),
            description: column.about.clone(),
            unit: column.unit,
        };
        let is_tabular = matches!(format, Format::Csv | Format::Json);
        let is_text = !matches!(format, Format::Parquet | Format::Arrow);
        Ok(Resource {
            profile: if is_tabular { "tabular-data-resource" } else { "data-resource" },
            name: name.to_owned(),
            path,
            title,
            format: format.extension(),
            mediatype: format.media(),
            encoding: is_text.then_some("utf-8"),
            bytes: bytes.len(),
            hash,
            schema: Schema { fields: frame.columns.iter().map(field).collect(), missing_values: [""] },
            of_release,
        })
    }

    /// Adds a file and answers its sum.
    fn add(&mut self, path: &str, bytes: &[u8]) -> Result<String, ExportError> {
        let sum = sha256(bytes);
        writeln!(self.sums, "{sum}  {path}").map_err(|_| ExportError::Form("zip"))?;
        self.store(path, bytes)?;
        Ok(sum)
    }

    fn store(&mut self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        // The time of every file is the beginning of zip's calendar: that of now would change the bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644);
        self.zip.start_file(path, options).map_err(|_| ExportError::Form("zip"))?;
        self.zip.write_all(bytes).map_err(|_| ExportError::Form("zip"))
    }

    fn finish(mut self) -> Result<Vec<u8>, ExportError> {
        let sums = std::mem::take(&mut self.sums);
        self.store("SHA256SUMS", sums.as_bytes())?;
        Ok(self.zip.finish().map_err(|_| ExportError::Form("zip"))?.into_inner())
    }
}
