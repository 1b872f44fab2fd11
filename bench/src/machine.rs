//! Describes the machine of a measurement and what else ran there: figures without these facts mean nothing.

use std::{
    fs::{File, read_to_string},
    io::Write,
    path::Path,
    process::Command,
    time::Instant,
};

use serde::Serialize;

/// How many writes the disk probe makes.
const PROBES: usize = 300;

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    /// Median of appending 4 KiB with `fdatasync`, in microseconds: the least that one durable write costs here.
    pub(crate) durable_write_us: f64,
}

impl Machine {
    /// The machine and what else ran there, for a report's heading.
    pub(crate) fn sentence(&self, before: &Load, after: &Load) -> String {
        format!(
            "{} x {}, {} MiB, Linux {}, data on {}; one durable 4 KiB write takes {:.0} us. Load average {} before and {} after.",
            self.processors,
            self.processor,
            self.memory_mib,
            self.kernel,
            self.file_system,
            self.durable_write_us,
            before.0,
            after.0,
        )
    }
}

/// The load averages over 1, 5 and 15 minutes.
#[derive(Debug, Serialize)]
pub(crate) struct Load(pub(crate) String);

impl Load {
    pub(crate) fn now() -> Self {
        let text = read_to_string("/proc/loadavg").unwrap_or_default();
        Self(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
    }
}

pub(crate) fn describe(data: &Path) -> anyhow::Result<Machine> {
    let first = |file: &str, name: &str| -> String {
        let text = read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let memory = first("/proc/meminfo", "MemTotal");
    let kib: u64 = memory.trim_end_matches("kB").trim().parse().unwrap_or_default();
    Ok(Machine {
        processor: first("/proc/cpuinfo", "model name"),
        processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory_mib: kib / 1024,
        kernel: read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        file_system: file_system(data),
        durable_write_us: durable_write(data)?,
    })
}

fn file_system(data: &Path) -> String {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(data).output();
    output.map_or_else(|_| "unknown".into(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

fn durable_write(data: &Path) -> anyhow::Result<f64> {
    let path = data.join("durable-write-probe");
    let mut file = File::create(&path)?;
    let mut taken = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        taken.push(begun.elapsed().as_secs_f64() * 1_000_000.0);
    }
    std::fs::remove_file(path)?;
    taken.sort_unstable_by(f64::total_cmp);
    Ok(taken[PROBES / 2])
}
