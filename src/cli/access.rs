//! `tuman access`: tokens of apps and people.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::serve::now_ms;
use super::{ConfigArgs, output};
use crate::access::{Access, Basis, Grant, Role, file, issue};
use crate::clock::{Zone, timestamp};
use crate::config::Config;
use crate::control::{Reply, Request, ask};

/// How long a person's token lasts where nothing else is said, in days.
const LASTS_DAYS: i64 = 365;

#[derive(Debug, Subcommand)]
pub(super) enum AccessCommand {
    /// Make a token; it is shown this once
    Add(AddArgs),
    /// List all tokens, but never the tokens themselves
    List(ListArgs),
    /// Take a token away; the sessions that it opened end with it
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What people call it, such as who has it
    #[arg(long)]
    name: String,
    /// What it is for
    #[arg(long, value_enum)]
    role: Role,
    /// The one app that it reaches; all without it. The key of an app needs it
    #[arg(long)]
    app: Option<String>,
    /// Of a partner: the clause of the privacy policy under which releases may go to it
    #[arg(long, value_name = "CLAUSE", value_parser = basis, required_if_eq("role", "partner"))]
    basis: Option<Basis>,
    /// The last local day on which it is in force, as YYYY-MM-DD, or never. Without it: an app's key lasts, others a year
    #[arg(long, value_name = "DAY", value_parser = expiry)]
    expires: Option<Expiry>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Its name
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// When a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    Never,
    After(Date),
}

fn expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry::Never),
        text => text.parse().map(Expiry::After).map_err(|_| "expected YYYY-MM-DD or never".into()),
    }
}

/// The basis of a clause, as an argument.
pub(super) fn basis(text: &str) -> Result<Basis, String> {
    Basis::of_clause(text).ok_or_else(|| format!("expected one of {}", Basis::ALL.map(Basis::clause).join(", ")))
}

/// A token, as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    role: Role,
    app: Option<&'a str>,
    basis: Option<Basis>,
    expires: Option<Timestamp>,
    in_force: bool,
    sha256: &'a str,
}

pub(super) fn run(command: &AccessCommand) -> Result<ExitCode> {
    match command {
        AccessCommand::Add(args) => add(args),
        AccessCommand::List(args) => list(args),
        AccessCommand::Revoke(args) => revoke(args),
    }
}

fn add(args: &AddArgs) -> Result<ExitCode> {
    let config = args.config.load(Vec::new())?;
    if args.role == Role::App && args.app.is_none() {
        bail!("the key of an app names its app: --app");
    }
    if args.role != Role::Partner && args.basis.is_some() {
        bail!("--basis is for partners alone");
    }
    let (token, grant) = issue(&args.name, args.role, args.app.as_deref())?;
    let grant = Grant { basis: args.basis, expires: expires(args, &config)?, ..grant };
    if !grant.is_in_force(now_ms()) {
        bail!("--expires is in the past");
    }
    file::add(&config.paths.access, &grant)?;
    // The token is shown whatever the collector says: it is in the file.
    if args.json {
        output::json(&serde_json::json!({
            "name": grant.name, "role": grant.role, "app": grant.app, "expires": grant.expires, "token": token,
        }));
    } else {
        output::line(&token);
        output::line("\nIt is shown this once: the access file keeps its hash.");
    }
    tell(&config)
}

/// The end of the last day, in the zone of the configuration.
fn expires(args: &AddArgs, config: &Config) -> Result<Option<Timestamp>> {
    let zone = Zone::named(&config.privacy.zone).context("the time zone is unknown")?;
    let last = match (args.expires, args.role) {
        (Some(Expiry::Never), _) | (None, Role::App) => return Ok(None),
        (Some(Expiry::After(day)), _) => day,
        (None, _) => {
            let today = timestamp(now_ms()).to_zoned(zone.time_zone().clone()).date();
            today.saturating_add(LASTS_DAYS.days())
        }
    };
    let end = last.saturating_add(1.day()).to_zoned(zone.time_zone().clone()).context("the last day")?;
    Ok(Some(end.timestamp()))
}

fn list(args: &ListArgs) -> Result<ExitCode> {
    let config = args.config.load(Vec::new())?;
    let access = Access::read(&config.paths.access)?;
    let now_ms = now_ms();
    let listed: Vec<Listed<'_>> = access.all().into_iter().map(|grant| Listed::of(grant, now_ms)).collect();
    if args.json {
        output::json(&listed);
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows: Vec<Vec<String>> =
        vec![["name", "role", "app", "basis", "expires", "sha256"].map(String::from).into()];
    rows.extend(listed.iter().map(Listed::row));
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

impl<'a> Listed<'a> {
    fn of(grant: &'a Grant, now_ms: i64) -> Listed<'a> {
        Listed {
            name: &grant.name,
            role: grant.role,
            app: grant.app.as_deref(),
            basis: grant.basis,
            expires: grant.expires,
            in_force: grant.is_in_force(now_ms),
            sha256: &grant.sha256,
        }
    }

    fn row(&self) -> Vec<String> {
        let expires = match self.expires {
            Some(at) if self.in_force => format!("{at:.0}"),
            Some(_) => "expired".to_owned(),
            None => "never".to_owned(),
        };
        let role = serde_json::to_value(self.role).ok().and_then(|word| word.as_str().map(str::to_owned));
        // The first digits tell tokens of one name apart.
        let first = self.sha256.get(..12).unwrap_or_default().to_owned();
        let app = self.app.unwrap_or("all").to_owned();
        let basis = self.basis.map_or("", Basis::clause).to_owned();
        vec![self.name.to_owned(), role.unwrap_or_default(), app, basis, expires, first]
    }
}

fn revoke(args: &RevokeArgs) -> Result<ExitCode> {
    let config = args.config.load(Vec::new())?;
    let revoked = file::revoke(&config.paths.access, &args.name)?;
    if args.json {
        output::json(&serde_json::json!({ "revoked": revoked }));
    } else {
        output::line(&format!("Tokens taken away: {revoked}."));
    }
    tell(&config)
}

/// Has a running collector read its tokens anew.
fn tell(config: &Config) -> Result<ExitCode> {
    let asked = ask(&config.paths.data, &Request::ReloadAccess);
    match asked.context("the file is changed; the running collector did not answer")? {
        None => output::note("No collector runs here: it counts from the next start."),
        Some(Reply::Reloaded) => output::note("The running collector knows."),
        Some(Reply::Failed(why)) => bail!("the file is changed, and the running collector says: {why}"),
        Some(_) => bail!("the file is changed; the running collector answered something else"),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::issue_partner;

    #[test]
    fn a_list_shows_on_which_basis_a_partner_has_releases() {
        let (_, partner) = issue_partner("ministry", Basis::Law, None).unwrap();
        let row = Listed::of(&partner, 0).row();
        assert_eq!(row[..5], ["ministry", "partner", "all", "4.2.3", "never"]);
    }

    #[test]
    fn an_expiry_is_a_day_or_never() {
        assert_eq!(expiry("never"), Ok(Expiry::Never));
        assert_eq!(expiry("2027-01-31"), Ok(Expiry::After(jiff::civil::date(2027, 1, 31))));
        assert!(expiry("in a year").is_err());
    }
}
