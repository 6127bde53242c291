//! `tuman budget`: what an app's releases cost, and how wide their margins are.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use tuman_privacy::place::Region;

use super::{ConfigArgs, output};
use crate::catalogue::{Catalogue, Catalogues};
use crate::seal::release::{Breakdown, Release, rounded, spent};

/// Days that a month is stated for.
const MONTH: u32 = 30;

#[derive(Debug, Args)]
pub(super) struct BudgetArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The app; all, if none is named
    #[arg(long)]
    app: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What an app's releases spend.
#[derive(Serialize)]
struct Budget {
    app: String,
    daily_epsilon: f64,
    spent: f64,
    days_of_a_month: u32,
    spent_in_a_month: f64,
    without_noise: Vec<String>,
    releases: Vec<Cost>,
}

/// What one release costs, and what is to be expected of it.
#[derive(Serialize)]
struct Cost {
    name: String,
    epsilon: Option<f64>,
    bound: u32,
    /// In how many hours of a day one device counts, where every hour is sealed.
    windows: Option<u32>,
    scale: Option<f64>,
    threshold: Option<i64>,
    domain: usize,
    breakdowns: Vec<Expected>,
}

/// The values of a breakdown.
#[derive(Serialize)]
struct Expected {
    breakdown: String,
    values: usize,
    margin: f64,
    margin_of_a_month: f64,
}

pub(super) fn run(args: &BudgetArgs) -> Result<ExitCode> {
    let config = args.config.load(Vec::new())?;
    let catalogues = Catalogues::read(&config.paths.catalogue)?;
    let region = crate::app::region(&config)?;
    let asked = catalogues.all().into_iter();
    let asked = asked.filter(|catalogue| args.app.as_ref().is_none_or(|app| *app == catalogue.declaration.app));
    let budgets: Vec<Budget> = asked.map(|catalogue| budget(&catalogue, &region)).collect();
    if budgets.is_empty() {
        let apps: Vec<String> = catalogues.all().iter().map(|catalogue| catalogue.declaration.app.clone()).collect();
        bail!("no catalogue declares this app; there are {}", apps.join(", "));
    }
    if args.json {
        output::json(&budgets);
    } else {
        budgets.iter().for_each(show);
    }
    Ok(ExitCode::SUCCESS)
}

fn budget(catalogue: &Catalogue, region: &Region) -> Budget {
    let spent = spent(&catalogue.releases);
    let public = catalogue.public(region);
    let cost = |release: &Release| {
        let breakdowns = release.breakdowns(&public);
        Cost {
            name: release.name.to_string(),
            epsilon: release.epsilon,
            bound: release.bound,
            windows: release.windows,
            scale: release.scale(),
            threshold: (release.threshold != i64::MIN).then_some(release.threshold),
            domain: breakdowns.last().map_or(0, |finest| finest.values),
            breakdowns: breakdowns.into_iter().map(|breakdown| expected(release, breakdown)).collect(),
        }
    };
    let bare = catalogue.releases.iter().filter(|release| release.epsilon.is_none());
    Budget {
        app: catalogue.declaration.app.clone(),
        daily_epsilon: catalogue.daily_epsilon,
        spent: rounded(spent),
        days_of_a_month: MONTH,
        spent_in_a_month: rounded(spent * f64::from(MONTH)),
        without_noise: bare.map(|release| release.name.to_string()).collect(),
        releases: catalogue.releases.iter().map(cost).collect(),
    }
}

fn expected(release: &Release, breakdown: Breakdown) -> Expected {
    let month = match release.scale() {
        Some(_) => release.margin(breakdown.draws.saturating_mul(MONTH)),
        None => release.margin(0) * f64::from(MONTH),
    };
    let name = if breakdown.name.is_empty() { "none".into() } else { breakdown.name };
    Expected {
        breakdown: name,
        values: breakdown.values,
        margin: release.margin(breakdown.draws),
        margin_of_a_month: month,
    }
}

fn show(budget: &Budget) {
    output::line(&format!("{}\n", budget.app));
    let heads = ["release", "epsilon", "bound", "scale", "threshold", "breakdown", "values", "margin", "of 30 days"];
    let mut rows: Vec<Vec<String>> = vec![heads.map(String::from).into()];
    for cost in &budget.releases {
        for (at, expected) in cost.breakdowns.iter().enumerate() {
            let mut row = if at == 0 {
                vec![
                    cost.name.clone(),
                    cost.epsilon.map_or_else(|| "off".into(), |epsilon| format!("{epsilon:.2}")),
                    cost.windows.map_or_else(
                        || cost.bound.to_string(),
                        |windows| format!("{} in {windows} hours", cost.bound),
                    ),
                    cost.scale.map_or_else(|| "none".into(), |scale| format!("{scale:.1}")),
                    cost.threshold.map_or_else(|| "none".into(), |threshold| threshold.to_string()),
                ]
            } else {
                vec![String::new(); 5]
            };
            row.push(expected.breakdown.clone());
            row.push(expected.values.to_string());
            row.extend([expected.margin, expected.margin_of_a_month].map(|margin| format!("± {margin:.0}")));
            rows.push(row);
        }
    }
    output::table(&rows);
    output::line(&format!(
        "\nOne device spends {:.2} of {:.2} a day; {} days of it add up to {:.1}.",
        budget.spent, budget.daily_epsilon, budget.days_of_a_month, budget.spent_in_a_month
    ));
    if !budget.without_noise.is_empty() {
        output::line(&format!(
            "Without noise, and with no epsilon that could be stated: {}.",
            budget.without_noise.join(", ")
        ));
    }
    output::line(
        "A margin is that of a value at a day, with 95 % probability; of 30 days, that of their sum. Cells of 4 and 5 characters are drawn below published ones only: their values are the most there can be.\n",
    );
}
