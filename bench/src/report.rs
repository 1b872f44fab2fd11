//! Writes the figures as JSON (every run) and as markdown (medians, beside the targets).

use std::{fmt::Write as _, path::Path};

use alter_core::{Clock, SystemClock};
use serde::Serialize;

use crate::{
    machine::{Load, Machine},
    rates::{Rates, Run, Workload},
    sizes::Sizes,
    start::Start,
};

/// Target: processor time per request is at most this many times the floor's, at [`BUSY`] or more connections.
const RATIO_MAX: f64 = 5.0;
/// Target for the 99th percentile in milliseconds, at [`BUSY`] or more connections.
const P99_MAX: f64 = 25.0;
/// The two targets above hold from this many connections on. With fewer, each request pays for waking up idle threads.
const BUSY: usize = 16;
/// Target: milliseconds from the start until ready.
const READY_MAX: f64 = 100.0;
/// Target: resident memory of an idle server, in mebibytes.
const IDLE_MAX: f64 = 30.0;
/// Target: size of each SDK format after `gzip -9`, in bytes.
const SDK_MAX: usize = 2560;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) at: String,
    pub(crate) commit: String,
    pub(crate) seconds: u64,
    pub(crate) repetitions: u32,
    pub(crate) engine: &'static str,
    pub(crate) machine: Machine,
    pub(crate) load_before: Load,
    pub(crate) load_after: Load,
    pub(crate) sizes: Sizes,
    pub(crate) start: Start,
    pub(crate) rates: Rates,
}

/// Returns the time in RFC 3339.
pub(crate) fn now() -> String {
    SystemClock.now().to_rfc3339()
}

impl Report {
    /// Writes `DATE.md` and `DATE.json`; replaces those of the same day.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let date = self.at.get(..10).unwrap_or("undated");
        let date = if self.engine == "SQLite" { date.to_owned() } else { format!("{date}-postgres") };
        std::fs::write(folder.join(format!("{date}.md")), self.markdown())?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        Ok(std::fs::write(folder.join(format!("{date}.json")), json)?)
    }

    pub(crate) fn markdown(&self) -> String {
        [self.heading(), self.rate_table(), self.facts(), self.timing_table()].join("\n")
    }

    fn heading(&self) -> String {
        let machine = self.machine.sentence(&self.load_before, &self.load_after);
        format!(
            "# {}, {}\n\nBuild {}. {machine} {} repetitions of {} s, medians; client and server share the machine.\n",
            self.at, self.engine, self.commit, self.repetitions, self.seconds,
        )
    }

    fn rate_table(&self) -> String {
        let mut text = "| What | Connections | Requests/s | p50 ms | p99 ms | Server CPU us/request | x floor | x floor, same bytes | Others' CPU | Targets |\n|---|---|---|---|---|---|---|---|---|---|\n".to_owned();
        for (workload, connections) in self.rows() {
            let runs = self.runs(workload, connections);
            let of = |pick: fn(&Run) -> f64| median(runs.iter().map(|r| pick(r)).collect());
            let p99 = of(|r| f64::from(r.p99_us)) / 1000.0;
            let ratio = self.ratio(&runs, Workload::Hello);
            let same = self.ratio(&runs, Workload::HelloSameBytes);
            let verdict = if workload.is_product() && connections >= BUSY {
                met(ratio <= RATIO_MAX && p99 < P99_MAX)
            } else {
                ""
            };
            let row = writeln!(
                text,
                "| {} | {connections} | {:.0} | {:.2} | {p99:.2} | {:.1} | {ratio:.1} | {same:.1} | {:.0} % | {verdict} |",
                workload.name(),
                of(|r| r.per_second),
                of(|r| f64::from(r.p50_us)) / 1000.0,
                of(|r| r.cpu_us),
                of(|r| r.others_percent),
            );
            row.expect("writing to a string does not fail");
        }
        text
    }

    /// The table's rows, in the order in which they were run.
    fn rows(&self) -> Vec<(Workload, usize)> {
        let first = self.rates.runs.iter().filter(|r| r.repetition == 1);
        first.map(|r| (r.workload, r.connections)).collect()
    }

    fn runs(&self, workload: Workload, connections: usize) -> Vec<&Run> {
        let same = |r: &&Run| r.workload == workload && r.connections == connections;
        self.rates.runs.iter().filter(same).collect()
    }

    /// Divides each run by the floor of its own repetition. Returns the median of the quotients.
    fn ratio(&self, runs: &[&Run], floor: Workload) -> f64 {
        let against = |run: &&Run| {
            let floors = self.runs(floor, run.connections);
            let floor = floors.iter().find(|f| f.repetition == run.repetition);
            floor.map_or(f64::NAN, |f| run.cpu_us / f.cpu_us)
        };
        median(runs.iter().map(against).collect())
    }

    fn facts(&self) -> String {
        let mib = |kib: &[u64]| median(kib.iter().map(|k| *k as f64 / 1024.0).collect());
        let ready = median(self.start.ready_ms.clone());
        let slowest = self.start.ready_ms.iter().copied().fold(0.0, f64::max);
        let idle = mib(&[self.start.idle_kib]);
        let mut text = format!(
            "| What | Figure | Target | |\n|---|---|---|---|\n\
             | `alter serve` to the first 200 of `/readyz`, median of {} | {ready:.1} ms (slowest {slowest:.1}) | < {READY_MAX:.0} ms | {} |\n\
             | resident memory, idle | {idle:.1} MiB | < {IDLE_MAX:.0} MiB | {} |\n\
             | resident memory after the last run | {:.1} MiB (highest {:.1}) | | |\n\
             | binary | {:.1} MiB | | |\n",
            self.start.ready_ms.len(),
            met(ready < READY_MAX),
            met(idle < IDLE_MAX),
            mib(&self.rates.loaded_kib),
            mib(&self.rates.highest_kib),
            self.sizes.binary as f64 / 1_048_576.0,
        );
        for (name, bytes) in &self.sizes.sdk_gzip {
            text += &format!(
                "| `{name}`, gzip -9 | {bytes} bytes | <= {SDK_MAX} bytes | {} |\n",
                met(*bytes <= SDK_MAX)
            );
        }
        text
    }

    fn timing_table(&self) -> String {
        let mut text = "What the time of a refusal reveals (one connection, kinds taking turns; printed, not asserted):\n\n| Threat | Refused | Status | p50 us | p90 us |\n|---|---|---|---|---|\n".to_owned();
        for t in &self.start.timing {
            text += &format!(
                "| {} | {} | {} | {:.1} | {:.1} |\n",
                t.threat, t.what, t.status, t.p50_us, t.p90_us
            );
        }
        text
    }
}

fn met(yes: bool) -> &'static str {
    if yes { "met" } else { "**missed**" }
}

/// Returns the middle value, or for an even number of values the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (n, middle) if n % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_and_of_two_the_mean() {
        assert!((median(vec![9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 2.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }
}
