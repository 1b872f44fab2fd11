//! The operating system's figures about processes (/proc); this file measures nothing itself.

use anyhow::Context;

/// Returns a process's processor time, user and system, in ticks.
pub(crate) fn cpu_ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The process name, in brackets, may hold anything. The fields from the third on follow it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| -> anyhow::Result<u64> {
        Ok(fields.get(number - 3).context("a short /proc stat line")?.parse()?)
    };
    Ok(field(14)? + field(15)?)
}

/// Returns the busy time of all processors of the machine, in ticks, including time stolen by a hypervisor.
pub(crate) fn machine_ticks() -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let fields: Vec<u64> = line.split_whitespace().skip(1).map_while(|f| f.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    Ok(fields.iter().take(8).enumerate().filter(|(i, _)| !matches!(i, 3 | 4)).map(|(_, ticks)| ticks).sum())
}

/// Returns the length of a tick in microseconds.
pub(crate) fn tick_us() -> anyhow::Result<f64> {
    let output = std::process::Command::new("getconf").arg("CLK_TCK").output().context("getconf")?;
    let per_second: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    Ok(1_000_000.0 / per_second)
}

/// Returns a process's resident memory in kibibytes: the current (`VmRSS`) or the highest (`VmHWM`).
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
