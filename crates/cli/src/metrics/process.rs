//! Memory and open files of the process, read from `/proc` at each scrape; nothing on other systems. The names are
//! those of Prometheus' own clients, so that ready-made dashboards find them.

use std::fmt::Error;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process));
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut gauge = |name, help, value: Option<i64>| match value {
            Some(value) => {
                let descriptor = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(value).encode(descriptor)
            }
            None => Ok(()),
        };
        gauge("process_resident_memory_bytes", "Memory in use", resident_bytes())?;
        gauge("process_open_fds", "Open file descriptors", open_descriptors())?;
        gauge("process_max_fds", "File descriptors that may be open", max_descriptors())
    }
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Not counting the descriptor that the listing itself opens.
fn open_descriptors() -> Option<i64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(count).ok().map(|count| count - 1)
}

fn max_descriptors() -> Option<i64> {
    crate::limits::open_files().and_then(|(soft, _)| i64::try_from(soft).ok())
}
