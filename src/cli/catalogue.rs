//! `tuman catalogue`: is it right, what is declared, what is missing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::commands::PlainArgs;
use super::{ConfigArgs, output};
use crate::catalogue::{Amount, Catalogues};
use crate::control::{Reply, Request, Suggested, ask};

#[derive(Debug, Subcommand)]
pub(super) enum CatalogueCommand {
    /// Check catalogues as a whole: all that is wrong at once, with lines; exit code 2 where something is
    #[command(
        after_help = "Examples:\n  tuman catalogue check\n  tuman catalogue check catalogue/kz.example.shop.toml --json\nNeeds no running collector. SIGHUP makes a running one read catalogues anew; wrong ones leave the old ones in force."
    )]
    Check(CheckArgs),
    /// List the catalogues of the configuration and what they amount to
    #[command(after_help = "Example:\n  tuman catalogue list --json")]
    List(PlainArgs),
    /// Name events and properties that apps send and their catalogues do not declare, as TOML to paste
    #[command(
        after_help = "Example:\n  tuman catalogue suggest --app kz.example.shop\nAsks the running collector. It gives out names only, never values, and only those that at least 50 devices sent within one day, so that no name with a person in it comes out. It keeps them in memory: they are gone when it restarts."
    )]
    Suggest(SuggestArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Catalogues, or folders of them; without, the folder of the configuration
    #[arg(value_name = "FILE or FOLDER")]
    paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SuggestArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The app; all, if none is named
    #[arg(long)]
    app: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(asked: &CatalogueCommand) -> Result<ExitCode> {
    match asked {
        CatalogueCommand::Check(args) => check(args),
        CatalogueCommand::List(args) => list(args),
        CatalogueCommand::Suggest(args) => suggest(args),
    }
}

fn check(args: &CheckArgs) -> Result<ExitCode> {
    let paths = match args.paths.as_slice() {
        [] => vec![args.config.load(Vec::new())?.paths.catalogue],
        paths => paths.to_vec(),
    };
    let catalogues = match Catalogues::read_all(&paths) {
        Ok(catalogues) => catalogues,
        Err(errors) if args.json => {
            output::json(&json!({ "well": false, "problems": errors.0 }));
            return Ok(ExitCode::from(2));
        }
        Err(errors) => return Err(errors.into()),
    };
    let amounts = amounts(&catalogues);
    if args.json {
        output::json(&json!({ "well": true, "catalogues": amounts }));
    } else {
        table(&amounts);
        output::line("All is well.");
    }
    Ok(ExitCode::SUCCESS)
}

fn list(args: &PlainArgs) -> Result<ExitCode> {
    let config = args.config.load(Vec::new())?;
    let amounts = amounts(&Catalogues::read(&config.paths.catalogue)?);
    if args.json {
        output::json(&amounts);
    } else {
        table(&amounts);
    }
    Ok(ExitCode::SUCCESS)
}

fn amounts(catalogues: &Catalogues) -> Vec<Amount> {
    catalogues.all().iter().map(|catalogue| catalogue.amount()).collect()
}

fn table(amounts: &[Amount]) {
    let heads = [
        "app",
        "name",
        "platforms",
        "versions",
        "policies",
        "events",
        "properties",
        "values",
        "releases",
        "cells",
        "epsilon",
        "digest",
    ];
    let mut rows: Vec<Vec<String>> = vec![heads.map(String::from).into()];
    for amount in amounts {
        let numbers = [
            amount.platforms,
            amount.versions,
            amount.policies,
            amount.events,
            amount.properties,
            amount.values,
            amount.releases,
            amount.cells,
        ];
        let mut row = vec![amount.app.clone(), amount.name.clone()];
        row.extend(numbers.map(|number| number.to_string()));
        row.push(format!("{:.2} of {:.2}", amount.epsilon, amount.daily_epsilon));
        row.push(amount.digest.chars().take(12).collect());
        rows.push(row);
    }
    output::table(&rows);
}

fn suggest(args: &SuggestArgs) -> Result<ExitCode> {
    let config = args.config.load(Vec::new())?;
    let request = Request::Suggest { app: args.app.clone() };
    let reply = ask(&config.paths.data, &request).context("the running collector did not answer")?;
    let suggested = match reply {
        Some(Reply::Suggestions(suggested)) => suggested,
        Some(Reply::Failed(why)) => bail!(why),
        Some(_) => bail!("the collector answered something else"),
        None => bail!("no collector runs on this folder: names are kept in the memory of a running one alone"),
    };
    if args.json {
        output::json(&suggested);
    } else {
        output::line(toml_of(&suggested).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Suggestions as TOML: events as tables of their own, properties as lines for the table of their event.
fn toml_of(suggested: &[Suggested]) -> String {
    if suggested.is_empty() {
        return "# No undeclared name was sent by 50 devices within one day since the collector started.".into();
    }
    let mut text = String::from(
        "# Sent by at least 50 devices within one day, and not declared. Declare what is needed, and no more.\n",
    );
    let mut place = None;
    for Suggested { app, event, name } in suggested {
        if place != Some((app, event)) {
            text.push_str(&match event {
                None => format!("\n# {app}\n"),
                Some(event) => format!("\n# {app}: for [events.{event}.props]\n"),
            });
            place = Some((app, event));
        }
        text.push_str(&match event {
            None => format!("[events.{name}]\n"),
            Some(_) => format!("{name} = {{ boolean = true }} # or {{ enum = [\"a\"] }}, {{ buckets = [10] }}\n"),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggested(event: Option<&str>, name: &str) -> Suggested {
        Suggested { app: "kz.a".into(), event: event.map(str::to_owned), name: name.to_owned() }
    }

    #[test]
    fn suggestions_can_be_pasted() {
        let events = toml_of(&[suggested(None, "wish_list"), suggested(None, "wish_sent")]);
        let catalogue = "[app]\nid = \"kz.a\"\n[[policy]]\nversion = \"1\"\npurposes = [\"usage\"]\n";
        let of_events = crate::catalogue::Catalogue::parse(&format!("{catalogue}{events}")).unwrap();
        assert_eq!(of_events.amount().events, 2);
        let properties = toml_of(&[suggested(Some("open"), "theme"), suggested(Some("open"), "zoom")]);
        assert!(properties.contains("for [events.open.props]"));
        let text = format!("{catalogue}[events.open.props]\n{properties}");
        assert_eq!(crate::catalogue::Catalogue::parse(&text).unwrap().amount().properties, 2);
    }
}
