//! `tuman policy`: the inventory of what is collected, and the notice for users.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::output;
use crate::policy::{Language, dictionary, digest, notice};

#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    /// The language
    #[arg(long, value_enum, default_value_t)]
    lang: Language,
    /// Print the notice that an app shows its user, in place of the inventory
    #[arg(long)]
    notice: bool,
    /// Print the whole dictionary as JSON
    #[arg(long, conflicts_with = "notice")]
    json: bool,
}

pub(super) fn run(args: &PolicyArgs) -> Result<ExitCode> {
    if args.notice {
        output::line(notice(args.lang).trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    if args.json {
        output::json(dictionary());
        return Ok(ExitCode::SUCCESS);
    }
    for field in &dictionary().fields {
        let (treatment, retention) = (field.treatment.word(args.lang), field.retention.word(args.lang));
        output::line(&format!("{} ({}): {treatment}; {retention}", field.path, field.clause));
        output::line(&format!("    {}", field.what(args.lang)));
    }
    output::line(&format!("sha256:{}", digest()));
    Ok(ExitCode::SUCCESS)
}
