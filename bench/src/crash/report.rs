//! Writes the figures as a table, and the same as JSON.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

use super::{
    campaign::Campaign,
    death::Death,
    window::{Spread, Window},
};
use crate::machine::{Load, Machine};

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) at: String,
    pub(crate) commit: String,
    pub(crate) seed: u64,
    pub(crate) machine: Machine,
    pub(crate) load_before: Load,
    pub(crate) load_after: Load,
    pub(crate) results: Vec<Result>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Result {
    pub(crate) engine: String,
    pub(crate) window: Window,
    pub(crate) campaign: Campaign,
}

impl Report {
    /// Whether nothing was lost, used twice, stuck or untrue.
    pub(crate) fn is_good(&self) -> bool {
        self.results.iter().all(|result| result.campaign.verdict.is_good())
    }

    /// Writes `DATE-crash.md` and `DATE-crash.json`; replaces those of the same day.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let date = self.at.get(..10).unwrap_or("undated");
        std::fs::write(folder.join(format!("{date}-crash.md")), self.markdown())?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        Ok(std::fs::write(folder.join(format!("{date}-crash.json")), json)?)
    }

    pub(crate) fn markdown(&self) -> String {
        [self.heading(), self.kills(), self.verdicts(), self.windows()].join("\n")
    }

    fn heading(&self) -> String {
        let machine = self.machine.sentence(&self.load_before, &self.load_after);
        format!(
            "# {}: killed in the middle of callbacks\n\nBuild {}, seed {}. {machine}\n",
            self.at, self.commit, self.seed,
        )
    }

    /// A table with one column per database.
    fn table(&self, first: &str, rows: Vec<(String, Vec<String>)>) -> String {
        let mut text = format!("| {first} |");
        for result in &self.results {
            let _infallible = write!(text, " {} |", result.engine);
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

    fn verdicts(&self) -> String {
        let rows = vec![
            self.row("visits", |r| r.campaign.verdict.visits.to_string()),
            self.row("acknowledged before the kill", |r| r.campaign.verdict.acknowledged.to_string()),
            self.row("connected in the end, token works", |r| r.campaign.verdict.connected.to_string()),
            self.row("interrupted, code never sent", |r| r.campaign.verdict.interrupted_unsent.to_string()),
            self.row("interrupted, outcome at the provider unknown", |r| {
                r.campaign.verdict.interrupted_unknown.to_string()
            }),
            self.row("ended otherwise (0)", |r| r.campaign.verdict.otherwise.len().to_string()),
            self.row("**lost** (0)", |r| r.campaign.verdict.lost.to_string()),
            self.row("**codes used twice** (0)", |r| r.campaign.verdict.codes_twice.to_string()),
            self.row("**sessions stuck** (0)", |r| r.campaign.verdict.stuck.to_string()),
            self.row("**page, poll and status disagree** (0)", |r| {
                r.campaign.verdict.untrue.len().to_string()
            }),
        ];
        self.table("What became of them", rows)
    }

    fn windows(&self) -> String {
        let spread =
            |s: &Spread| format!("{:.1} / {:.1} / {:.1} ({})", s.median, s.p99, s.highest, s.samples);
        let whole = |s: &Spread| format!("{:.0} / {:.0} / {:.0} ({})", s.median, s.p99, s.highest, s.samples);
        let calls = |c: [f64; 3]| format!("{:.1}, {:.1}, {:.1}", c[0], c[1], c[2]);
        let rows = vec![
            self.row("crash window, one callback at a time, us", |r| whole(&r.window.alone)),
            self.row("crash window, 50 at once, us", |r| whole(&r.window.crowded)),
            self.row("callback to stored grant, one at a time, ms", |r| spread(&r.window.callback_alone)),
            self.row("callback to stored grant, 50 at once, ms", |r| spread(&r.window.callback_crowded)),
            self.row("the same, first 50 of a new server, ms", |r| spread(&r.window.callback_first)),
            self.row("until all 50 are stored, median, ms", |r| format!("{:.1}", r.window.all_fifty_ms)),
            self.row("calls to the provider for 50: token, keys, userinfo", |r| {
                calls(r.window.calls_following)
            }),
            self.row("the same, first 50 of a new server", |r| {
                calls(r.window.calls_first.map(|count| count as f64))
            }),
        ];
        let title = "Undisturbed (median / p99 / highest, number)";
        self.table(title, rows)
    }
}
