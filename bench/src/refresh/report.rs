//! Writes the figures as tables, and the same as JSON.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

use super::{latency::Latency, storm::Storm};
use crate::machine::{Load, Machine};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) at: String,
    pub(super) commit: String,
    pub(super) machine: Machine,
    pub(super) load_before: Load,
    pub(super) load_after: Load,
    pub(super) latency: Latency,
    pub(super) storm: Option<Storm>,
}

impl Report {
    /// Writes `DATE-refresh.md` and `DATE-refresh.json`; replaces those of the same day.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let date = self.at.get(..10).unwrap_or("undated");
        std::fs::write(folder.join(format!("{date}-refresh.md")), self.markdown())?;
        Ok(std::fs::write(folder.join(format!("{date}-refresh.json")), serde_json::to_string(self)? + "\n")?)
    }

    pub(super) fn markdown(&self) -> String {
        let storm = self.storm.as_ref().map(storm_table);
        [self.heading(), self.latency_table(), storm.unwrap_or_default()].join("\n")
    }

    fn heading(&self) -> String {
        let machine = self.machine.sentence(&self.load_before, &self.load_after);
        format!(
            "# {}: refreshing, SQLite\n\nBuild {}. {machine} Provider, client and server share the machine.\n",
            self.at, self.commit,
        )
    }

    fn latency_table(&self) -> String {
        let Latency { provider_us, plain_us, refreshing_us } = &self.latency;
        let mut text = String::from("| One after another | times | p50 ms | p99 ms |\n|---|---|---|---|\n");
        for (name, times) in [
            ("floor: the refresh at the provider alone", provider_us),
            ("a call that needs no refresh", plain_us),
            ("a call that refreshes", refreshing_us),
        ] {
            let (p50, p99) = (at(times, 50), at(times, 99));
            let _infallible = writeln!(text, "| {name} | {} | {p50:.2} | {p99:.2} |", times.len());
        }
        let added = |percent| at(refreshing_us, percent) - at(provider_us, percent);
        let _infallible =
            writeln!(text, "| **added to the provider's own** | | {:.2} | {:.2} |", added(50), added(99));
        text
    }
}

fn storm_table(storm: &Storm) -> String {
    let rows = [
        ("grants whose tokens end in one second", storm.grants.to_string()),
        ("refreshes that the provider allows in a second", storm.limit.to_string()),
        ("seconds from the first refresh to the last", format!("{:.0}", storm.seconds)),
        ("seconds that the old tokens had left then", format!("{:.0}", storm.to_spare)),
        ("refreshed", storm.refreshed.to_string()),
        ("most refreshes of one grant (1)", storm.most_of_one.to_string()),
        ("most sendings of one refresh token", storm.most_sent.to_string()),
        ("requests over the limit", storm.over_limit.to_string()),
        ("most requests in one second", storm.most_in_a_second.to_string()),
        ("calls meanwhile, all given a token", storm.calls_us.len().to_string()),
        ("their p50, ms", format!("{:.2}", at(&storm.calls_us, 50))),
        ("their p99, ms", format!("{:.2}", at(&storm.calls_us, 99))),
    ];
    let mut text = String::from("| Storm | |\n|---|---|\n");
    for (name, value) in rows {
        let _infallible = writeln!(text, "| {name} | {value} |");
    }
    text
}

/// A percentile of sorted times, in milliseconds.
fn at(sorted_us: &[u32], percent: usize) -> f64 {
    let index = (sorted_us.len() * percent / 100).min(sorted_us.len().saturating_sub(1));
    sorted_us.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
}
