//! What the operating system says of processes: /proc, and nothing measured by ourselves.

use anyhow::Context;

/// Processor time of a process, user and system, in ticks.
pub(crate) fn cpu_ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name, in brackets, may hold anything; after it come the fields from the third on.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| -> anyhow::Result<u64> {
        Ok(fields.get(number - 3).context("a short /proc stat line")?.parse()?)
    };
    Ok(field(14)? + field(15)?)
}

/// Processor time that the whole machine has been busy, in ticks, time stolen by a hypervisor included.
pub(crate) fn machine_ticks() -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let fields: Vec<u64> = line.split_whitespace().skip(1).map_while(|f| f.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    Ok(fields.iter().take(8).enumerate().filter(|(i, _)| !matches!(i, 3 | 4)).map(|(_, ticks)| ticks).sum())
}

/// Microseconds of one tick.
pub(crate) fn tick_us() -> anyhow::Result<f64> {
    let output = std::process::Command::new("getconf").arg("CLK_TCK").output().context("getconf")?;
    let per_second: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    Ok(1_000_000.0 / per_second)
}

/// Resident memory in kibibytes: now (`VmRSS`), or at its highest (`VmHWM`).
pub(crate) fn memory_kib(pid: u32, which: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|l| l.strip_prefix(which)?.strip_prefix(':'));
    Ok(line.context("no such memory line")?.trim().trim_end_matches("kB").trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_our_own_process_are_readable() {
        let us = std::process::id();
        assert!(cpu_ticks(us).is_ok());
        assert!(machine_ticks().unwrap() >= cpu_ticks(us).unwrap());
        assert!(memory_kib(us, "VmRSS").unwrap() <= memory_kib(us, "VmHWM").unwrap());
        assert!(tick_us().unwrap() > 0.0);
    }
}
