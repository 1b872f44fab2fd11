//! Writes the figures as a table, and the same as JSON.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

use super::{campaign::Campaign, death::Death};
use crate::machine::{Load, Machine};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) at: String,
    pub(super) commit: String,
    pub(super) seed: u64,
    pub(super) machine: Machine,
    pub(super) load_before: Load,
    pub(super) load_after: Load,
    pub(super) results: Vec<Result>,
}

#[derive(Debug, Serialize)]
pub(super) struct Result {
    /// The database, and what the provider does with a refresh token that comes back.
    pub(super) name: String,
    pub(super) campaign: Campaign,
}

impl Result {
    /// Calls that were told something that is no part of refreshing, or got a token that does not work. A grant that is
    /// ended by reuse takes its access token along, so there the token says nothing.
    fn surprises(&self) -> u64 {
        let told = &self.campaign.told;
        let bad = if self.name.contains("window") { told.bad_token } else { 0 };
        told.otherwise.values().sum::<u64>() + bad
    }
}

impl Report {
    pub(super) fn is_good(&self) -> bool {
        self.results.iter().all(|result| result.campaign.tally.is_good() && result.surprises() == 0)
    }

    /// Writes `DATE-crash-refresh.md` and `DATE-crash-refresh.json`; replaces those of the same day.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let date = self.at.get(..10).unwrap_or("undated");
        std::fs::write(folder.join(format!("{date}-crash-refresh.md")), self.markdown())?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        Ok(std::fs::write(folder.join(format!("{date}-crash-refresh.json")), json)?)
    }

    pub(super) fn markdown(&self) -> String {
        [self.heading(), self.kills(), self.ends()].join("\n")
    }

    fn heading(&self) -> String {
        let machine = self.machine.sentence(&self.load_before, &self.load_after);
        format!(
            "# {}: killed while calls refresh\n\nBuild {}, seed {}. {machine}\n",
            self.at, self.commit, self.seed,
        )
    }

    /// A table with one column per campaign.
    fn table(&self, first: &str, rows: Vec<(String, Vec<String>)>) -> String {
        let mut text = format!("| {first} |");
        for result in &self.results {
            let _infallible = write!(text, " {} |", result.name);
        }
        let _infallible = writeln!(text, "\n|---|{}", "---|".repeat(self.results.len()));
        for (name, cells) in rows {
            let _infallible = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
        text
    }

    fn row(&self, name: &str, cell: impl Fn(&Result) -> String) -> (String, Vec<String>) {
        (name.to_owned(), self.results.iter().map(cell).collect())
    }

    fn kills(&self) -> String {
        let of = |name: &'static str| {
            self.row(name, |r| r.campaign.kills.get(name).copied().unwrap_or_default().to_string())
        };
        let mut rows: Vec<_> = Death::names().into_iter().map(of).collect();
        rows.push(self.row("all", |r| r.campaign.kills.values().sum::<u32>().to_string()));
        rows.push(self.row("of these, killed although the point was not passed", |r| {
            r.campaign.not_passed.to_string()
        }));
        rows.push(self.row("seconds", |r| format!("{:.0}", r.campaign.seconds)));
        self.table("Kills", rows)
    }

    fn ends(&self) -> String {
        let ended = |reason: &'static str| {
            move |r: &Result| r.campaign.tally.ended.get(reason).copied().unwrap_or_default().to_string()
        };
        let rows = vec![
            self.row("grants", |r| r.campaign.people.to_string()),
            self.row("calls that got a token", |r| r.campaign.told.token.to_string()),
            self.row("calls told to try again later", |r| r.campaign.told.later.to_string()),
            self.row("calls told that the user must connect again", |r| {
                r.campaign.told.reconnect.to_string()
            }),
            self.row("refreshes that the provider carried out", |r| r.campaign.tally.honoured.to_string()),
            self.row("answers found in the journal of a dead server", |r| {
                r.campaign.tally.journalled.to_string()
            }),
            self.row("attempts whose outcome is unknown", |r| r.campaign.tally.unknown.to_string()),
            self.row("generations recovered after one", |r| r.campaign.tally.recovered.to_string()),
            self.row("grants set aside after two, probed at the end", |r| {
                r.campaign.tally.set_aside.to_string()
            }),
            self.row("`rotation_lost`", ended("rotation_lost")),
            self.row("`outcome_unknown`", ended("outcome_unknown")),
            self.row("`refresh_refused`", ended("refresh_refused")),
            self.row("**lost although the answer was durable** (0)", |r| {
                r.campaign.tally.lost_durable.len().to_string()
            }),
            self.row("**lost although the provider has a reuse window** (0)", |r| {
                r.campaign.tally.lost_in_window.to_string()
            }),
            self.row("**refresh tokens sent more often than the rule** (0)", |r| {
                r.campaign.tally.sent_too_often.to_string()
            }),
            self.row("**grants stuck** (0)", |r| r.campaign.tally.stuck.len().to_string()),
            self.row("**calls told anything else, or given a token that does not work** (0)", |r| {
                r.surprises().to_string()
            }),
        ];
        self.table("What became of them", rows)
    }
}
