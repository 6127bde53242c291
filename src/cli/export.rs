//! `tuman export`: sealed releases into a folder, a zip, or one file.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::access::basis;
use super::commands::command;
use super::{ConfigArgs, output};
use crate::access::Basis;
use crate::control::{Reply, Request};
use crate::export::Format;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The app; not needed where there is one
    #[arg(long)]
    app: Option<String>,
    /// today, yesterday, last_7_days, last_30_days, last_90_days or YYYY-MM-DD..YYYY-MM-DD
    #[arg(long)]
    period: Option<String>,
    /// One release; all, if none is named
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// The form of the files
    #[arg(long, value_parser = Format::ALL.map(Format::extension), default_value = Format::Csv.extension())]
    format: String,
    /// Write releases, how they were sealed, datapackage.json and SHA256SUMS into this folder, which must be empty or new
    #[arg(long, value_name = "FOLDER", conflicts_with = "zip")]
    folder: Option<PathBuf>,
    /// Write the same as a zip
    #[arg(long, value_name = "FILE")]
    zip: Option<PathBuf>,
    /// The clause of the policy on which it goes to a partner: 4.2.1, 4.2.2, 4.2.3 or 4.2.4
    #[arg(long, value_name = "CLAUSE", value_parser = basis)]
    basis: Option<Basis>,
    /// Print the names and sums of what is written as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &ExportArgs) -> Result<ExitCode> {
    let is_file = args.folder.is_none() && args.zip.is_none();
    if is_file && args.release.is_none() {
        bail!("where to? Name a --folder, a --zip, or a --release, which goes to the standard output");
    }
    if let Some(folder) = &args.folder {
        make_empty(folder)?;
    }
    let (sha256, bytes) = ask(args, is_file)?;
    if let Some(folder) = &args.folder {
        let files = unpack(&bytes, folder)?;
        show(args, &files);
    } else if let Some(file) = &args.zip {
        fs::write(file, &bytes).with_context(|| format!("{} cannot be written", file.display()))?;
        show(args, &[(file.display().to_string(), sha256)]);
    } else {
        output::bytes(&bytes).context("the standard output is closed")?;
        output::note(&format!("SHA-256 {sha256}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes and their sum, which is looked at once more.
fn ask(args: &ExportArgs, is_file: bool) -> Result<(String, Vec<u8>)> {
    let release = if is_file { &None } else { &args.release };
    let format = Some(args.format.clone());
    let parameters = [("app", &args.app), ("period", &args.period), ("release", release), ("format", &format)];
    let parameters =
        parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
    let file = args.release.clone().filter(|_| is_file);
    let request = Request::Export { file, parameters, basis: args.basis };
    let Reply::Exported { sha256, base64, .. } = command(&args.config, &request)? else {
        bail!("the collector answered something else");
    };
    let bytes = BASE64_STANDARD.decode(base64).context("the collector's answer is damaged")?;
    if hex::encode(Sha256::digest(&bytes)) != sha256 {
        bail!("the collector's answer is damaged");
    }
    Ok((sha256, bytes))
}

/// Files of another export between those of this one would belong to neither.
fn make_empty(folder: &Path) -> Result<()> {
    let wrong = || format!("{} cannot be made", folder.display());
    fs::create_dir_all(folder).with_context(wrong)?;
    if fs::read_dir(folder).with_context(wrong)?.next().is_some() {
        bail!("{} is not empty: choose another folder", folder.display());
    }
    Ok(())
}

/// Writes what is in the zip, and answers names and sums.
fn unpack(bytes: &[u8], folder: &Path) -> Result<Vec<(String, String)>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).context("the collector's answer is damaged")?;
    let mut files = Vec::new();
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).context("the collector's answer is damaged")?;
        let name = entry.enclosed_name().context("the collector's answer is damaged")?;
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).context("the collector's answer is damaged")?;
        let path = folder.join(&name);
        let wrong = || format!("{} cannot be written", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(wrong)?;
        }
        fs::write(&path, &contents).with_context(wrong)?;
        files.push((name.display().to_string(), hex::encode(Sha256::digest(&contents))));
    }
    Ok(files)
}

fn show(args: &ExportArgs, files: &[(String, String)]) {
    if args.json {
        let files: Vec<_> = files.iter().map(|(name, sha256)| json!({ "name": name, "sha256": sha256 })).collect();
        output::json(&files);
        return;
    }
    // As sha256sum prints it.
    for (name, sha256) in files {
        output::line(&format!("{sha256}  {name}"));
    }
}
