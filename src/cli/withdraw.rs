//! `tuman withdraw`: withdrawals of consent, for the officer.
//!
//! Guarantees: identifiers that come over the standard input are in memory alone and wiped; no message repeats one.
//! Does not: hide what was given as an argument, which the system shows to others.

use std::convert::Infallible;
use std::fmt;
use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args};
use jiff::civil::Date;
use zeroize::Zeroizing;

use super::commands::command_about;
use super::{ConfigArgs, output};
use crate::clock::Zone;
use crate::control::{Reply, Request};
use crate::policy::Language;
use crate::withdrawal::{Alarm, CaseNumber, Notice, Overview, Standing, State, letter};

/// More on the standard input is no list of one person's devices.
const LONGEST_INPUT: u64 = 32 << 10;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["case", "list", "status", "answered", "end_list"]))]
pub(super) struct WithdrawArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Withdraw a device under this number: letters A-Z a-z, digits, - / . _; no names, no personal data
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Read identifiers from the standard input, a line each: kind=value
    #[arg(long, value_name = "-", value_parser = ["-"], requires = "case")]
    ids: Option<String>,
    /// An identifier in an argument, which others on the machine can see; can be repeated
    #[arg(long = "id", value_name = "KIND=VALUE", requires = "case")]
    id: Vec<Spelt>,
    /// The local day on which the notice was received; today without it
    #[arg(long, value_name = "YYYY-MM-DD", requires = "case")]
    received: Option<Date>,
    /// Withdraw from this app alone
    #[arg(long, requires = "case")]
    app: Option<String>,
    /// List all cases, their deadlines, and what the suppression list costs
    #[arg(long)]
    list: bool,
    /// Print the answer to the device's owner, ready for a letter
    #[arg(long, value_name = "CASE")]
    status: Option<String>,
    /// The letter's language; all three without it
    #[arg(long, value_enum, requires = "status")]
    lang: Option<Language>,
    /// Note that the owner was told
    #[arg(long, value_name = "CASE")]
    answered: Option<String>,
    /// Destroy the suppression list and its key: withdrawn devices that still send are collected from again
    #[arg(long)]
    end_list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An identifier as it was typed.
#[derive(Clone)]
struct Spelt(Zeroizing<String>);

impl fmt::Debug for Spelt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spelt(redacted)")
    }
}

impl FromStr for Spelt {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Spelt, Infallible> {
        Ok(Spelt(Zeroizing::new(text.to_owned())))
    }
}

pub(super) fn run(args: WithdrawArgs) -> Result<ExitCode> {
    let config = args.config.load(Vec::new())?;
    let zone = Zone::named(&config.privacy.zone).context("the time zone is unknown")?;
    let mut identifiers = Zeroizing::new(String::new());
    // Read here and not by the parser of arguments, which would repeat a wrong one: it may be someone's number.
    let number = |text: &str| CaseNumber::parse(text);
    let request = if let Some(case) = args.case {
        let case = number(&case)?;
        identifiers = read(args.ids.is_some(), &args.id)?;
        Request::Withdraw(Notice { case, received: args.received, app: args.app })
    } else if let Some(case) = &args.status {
        Request::Withdrawal { case: number(case)? }
    } else if let Some(case) = args.answered {
        Request::Answered { case: number(&case)? }
    } else if args.end_list {
        Request::EndSuppression
    } else {
        Request::Withdrawals
    };
    match command_about(config, &request, &identifiers)? {
        Reply::Withdrawals(overview) if args.json => output::json(&overview),
        Reply::Withdrawals(overview) => list(&overview),
        Reply::Withdrawal(standing) if args.json => output::json(&standing),
        Reply::Withdrawal(standing) if args.status.is_some() => letters(&standing, args.lang, &zone)?,
        Reply::Withdrawal(standing) => tell(&standing),
        Reply::Ended(ended) if args.json => output::json(&ended),
        Reply::Ended(ended) => output::line(&format!(
            "The suppression list of {:.0} with {} tags is destroyed, and its key with it. Devices that were on it are collected from again, if they send.",
            ended.begun_at, ended.tags
        )),
        _ => bail!("the collector answered something else"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The identifiers, a line each.
fn read(from_input: bool, arguments: &[Spelt]) -> Result<Zeroizing<String>> {
    // Of its full size from the start: what it would outgrow would not be wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_INPUT as usize + 1));
    if from_input {
        if std::io::stdin().is_terminal() {
            output::note("Identifiers, one kind=value a line; end with Ctrl-D.");
        }
        std::io::stdin().lock().take(LONGEST_INPUT + 1).read_to_end(&mut bytes).context("the standard input")?;
        if bytes.len() as u64 > LONGEST_INPUT {
            bail!("the standard input is too long: one kind=value a line");
        }
    }
    let input = std::str::from_utf8(&bytes).ok().context("the standard input is not text")?;
    let all = arguments.iter().flat_map(|spelt| spelt.0.lines()).chain(input.lines());
    let room = bytes.len() + arguments.iter().map(|spelt| spelt.0.len() + 1).sum::<usize>();
    let mut lines = Zeroizing::new(String::with_capacity(room));
    for line in all.map(str::trim).filter(|line| !line.is_empty()) {
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(line);
    }
    if lines.is_empty() {
        bail!("no identifier was given: --ids - reads them from the standard input");
    }
    Ok(lines)
}

fn tell(standing: &Standing) {
    let case = &standing.case;
    let found = match (case.usage, case.places) {
        (true, true) => "rows of use and of places were found and erased",
        (true, false) => "rows of use were found and erased",
        (false, true) => "rows of places were found and erased",
        (false, false) => "no rows were found",
    };
    let days: Vec<String> = case.open_days.iter().map(ToString::to_string).collect();
    let days = if days.is_empty() { "no day was open".to_owned() } else { format!("open days {}", days.join(", ")) };
    output::line(&format!("Case {}: the device is on the suppression list; {days}: {found}.", case.case));
    match case.state {
        State::Answered => output::line("It is answered."),
        _ => output::line(&format!(
            "Answer its owner by {}: tuman withdraw --status {case} prints the letter, --answered {case} ends the case.",
            case.due,
            case = case.case
        )),
    }
}

fn list(overview: &Overview) {
    let mut rows: Vec<Vec<String>> =
        vec![["case", "received", "due", "app", "state", "alarm", "listed"].map(String::from).into()];
    for standing in &overview.cases {
        let case = &standing.case;
        let state = match case.state {
            State::Registered => "registered",
            State::Erased => "erased",
            State::Answered => "answered",
        };
        let alarm = match standing.alarm {
            Some(Alarm::Overdue) => "OVERDUE",
            Some(Alarm::Unfinished) => "not erased: give it again",
            Some(Alarm::Due) => "due",
            None => "",
        };
        let app = case.app.clone().unwrap_or_else(|| "all".into());
        let (received, due) = (case.received.to_string(), case.due.to_string());
        let listed = if standing.listed { "yes" } else { "no" };
        rows.push([case.case.as_str(), &received, &due, &app, state, alarm, listed].map(String::from).into());
    }
    output::table(&rows);
    output::line(&format!("\n{overview}."));
}

fn letters(standing: &Standing, language: Option<Language>, zone: &Zone) -> Result<()> {
    let all = [Language::Kk, Language::Ru, Language::En];
    let mut letters = Vec::new();
    for language in all.into_iter().filter(|one| language.is_none_or(|wanted| wanted == *one)) {
        let text = letter(standing, language, zone.time_zone());
        letters.push(text.context("the case is registered and not erased: give its withdrawal again first")?);
    }
    output::line(letters.join(&format!("\n{}\n\n", "-".repeat(72))).trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        args: WithdrawArgs,
    }

    #[test]
    fn one_thing_is_asked_at_a_time() {
        for right in [&["--list"][..], &["--case", "17", "--ids", "-"], &["--status", "17", "--lang", "ru"]] {
            assert!(Alone::try_parse_from(["x"].iter().chain(right)).is_ok(), "{right:?}");
        }
        for wrong in [&[][..], &["--list", "--end-list"], &["--id", "imei=1"], &["--lang", "kk"]] {
            assert!(Alone::try_parse_from(["x"].iter().chain(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn identifiers_of_arguments_become_lines() {
        let spelt = ["imei=1", " mac=2 \n\n"].map(|text| text.parse().unwrap());
        assert_eq!(*read(false, &spelt).unwrap(), "imei=1\nmac=2");
        assert_eq!(format!("{spelt:?}"), "[Spelt(redacted), Spelt(redacted)]");
        assert!(read(false, &[]).is_err());
    }
}
