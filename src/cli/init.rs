//! `tuman init`: a folder to begin with.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::output;
use crate::access::{Role, file_of, issue};
use crate::catalogue::Catalogue;

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The folder; made if missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The id of the first app
    #[arg(long, value_name = "ID", default_value = "kz.example.app")]
    app: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Tokens, as they are shown once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    pub(super) app_key: String,
    pub(super) analyst_token: String,
    pub(super) operator_token: String,
    pub(super) officer_token: String,
    pub(super) config: PathBuf,
}

pub(super) fn run(args: &InitArgs) -> Result<ExitCode> {
    let catalogue = include_str!("init/catalogue.toml").replace("kz.example.app", &args.app);
    let tokens = make(&args.folder, &args.app, &catalogue, include_str!("init/tuman.toml"))?;
    if args.json {
        output::json(&tokens);
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("Made {}: configuration, catalogue, tokens.\n", args.folder.display()));
    output::table(&[
        vec!["App key (write only)".into(), tokens.app_key.clone()],
        vec!["Analyst's token".into(), tokens.analyst_token.clone()],
        vec!["Operator's token".into(), tokens.operator_token.clone()],
        vec!["Officer's token".into(), tokens.officer_token.clone()],
    ]);
    output::line("\nThey are shown this once: the folder keeps their hashes. Next:");
    output::line(&format!("  tuman serve --config {}", tokens.config.display()));
    Ok(ExitCode::SUCCESS)
}

/// Makes the folder. Refuses to overwrite one that is there.
pub(super) fn make(folder: &Path, app: &str, catalogue: &str, config: &str) -> Result<Tokens> {
    if let Err(errors) = Catalogue::parse(catalogue) {
        let lines: Vec<String> = errors.into_iter().map(|(_, what)| what).collect();
        bail!("the catalogue would be wrong: {}", lines.join("; "));
    }
    let file = folder.join("tuman.toml");
    if file.exists() {
        bail!("{} is there already: choose another folder, or run `tuman serve`", file.display());
    }
    let folders = [folder.to_path_buf(), folder.join("catalogue")];
    for folder in &folders {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let (app_key, app_grant) = issue("first app", Role::App, Some(app))?;
    let (analyst_token, analyst_grant) = issue("first analyst", Role::Analyst, None)?;
    let (operator_token, operator_grant) = issue("first operator", Role::Operator, None)?;
    let (officer_token, officer_grant) = issue("first officer", Role::Officer, None)?;
    write(&folder.join("catalogue").join(format!("{app}.toml")), catalogue)?;
    let grants = vec![app_grant, analyst_grant, operator_grant, officer_grant];
    write(&folder.join("access.toml"), &file_of(grants))?;
    // Last: while it is missing, the folder can be made again.
    write(&file, config)?;
    Ok(Tokens { app_key, analyst_token, operator_token, officer_token, config: file })
}

pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600);
    let wrong = || format!("{} cannot be written", file.display());
    open.open(file).and_then(|mut out| out.write_all(text.as_bytes())).with_context(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, load};

    #[test]
    fn what_is_made_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = include_str!("init/catalogue.toml");
        let tokens = make(folder.path(), "kz.example.app", catalogue, include_str!("init/tuman.toml")).unwrap();
        let config = load(&Layers { file: Some(tokens.config), ..Layers::default() }).unwrap();
        let declared = crate::app::Declared::read(&config).unwrap();
        assert!(declared.catalogues.get("kz.example.app").is_some());
        assert!(declared.access.grant(&tokens.analyst_token, 0).is_some());
        assert!(make(folder.path(), "kz.example.app", catalogue, "").is_err());
    }

    #[test]
    fn the_sample_configuration_shows_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tuman.toml");
        // The sample has every key, commented out, with its default.
        let sample = include_str!("init/tuman.toml").replace("\n# ", "\n");
        fs::write(
            &file,
            sample
                .lines()
                .filter(|line| line.contains(" = ") || line.starts_with('['))
                .collect::<Vec<_>>()
                .join("\n"),
        )
        .unwrap();
        let mut default = crate::config::Config::default();
        default.anchor(folder.path());
        assert_eq!(load(&Layers { file: Some(file), ..Layers::default() }).unwrap(), default);
    }
}
