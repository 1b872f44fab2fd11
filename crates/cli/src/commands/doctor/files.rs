//! Checks the root key's file, the data directory, and the disk that holds them.

use std::path::Path;

use super::problem::{
    DATA_DIR_OPEN, DATA_DIR_OWNER, DATABASE_ON_NETWORK, DATABASE_OPEN, DISK_FULL, DISK_LOW, Finding,
    ROOT_KEY_MISSING, ROOT_KEY_READABLE,
};
use crate::config::{Config, Exposed, Kind, RootKeySource};

const MIB: u64 = 1024 * 1024;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let open = config.exposed();
    let is_open = |kind| open.iter().any(|exposed| exposed.kind == kind);
    let mut findings: Vec<_> = root_key(config, is_open(Kind::RootKey)).into_iter().collect();
    if config.data_dir.is_dir() {
        findings.extend(data_dir(&config.data_dir, is_open(Kind::DataDir)));
    }
    findings.extend(open.iter().map(exposed));
    let folder = config.database.file().and_then(Path::parent).filter(|folder| folder.is_dir());
    findings.extend(folder.into_iter().flat_map(disk));
    findings
}

/// `None` = it is readable by others, which is a finding of its own.
fn root_key(config: &Config, is_open: bool) -> Option<Finding> {
    match (&config.root_key, config.root_key.load()) {
        (_, Err(error)) => Some(ROOT_KEY_MISSING.found(format!("{error:#}"))),
        (RootKeySource::Environment(_), Ok(_)) => Some(Finding::ok("root-key", "from ALTER_ROOT_KEY")),
        (RootKeySource::File(_), Ok(_)) if is_open => None,
        (RootKeySource::File(path), Ok(_)) => Some(Finding::ok("root-key", path.display().to_string())),
    }
}

/// `None` = others can enter it, which is a finding of its own.
fn data_dir(path: &Path, is_open: bool) -> Option<Finding> {
    if let Some((owner, us)) = owner_and_us(path)
        && owner != us
    {
        let text = format!("{} belongs to user {owner}, but this is user {us}", path.display());
        return Some(DATA_DIR_OWNER.found(text));
    }
    (!is_open).then(|| Finding::ok("data-dir", path.display().to_string()))
}

fn exposed(exposed: &Exposed) -> Finding {
    let problem = match exposed.kind {
        Kind::DataDir => DATA_DIR_OPEN,
        Kind::RootKey => ROOT_KEY_READABLE,
        Kind::DatabaseDir | Kind::File => DATABASE_OPEN,
    };
    Finding { fix: Some(exposed.mend()), ..problem.found(exposed.text()) }
}

fn owner_and_us(path: &Path) -> Option<(u32, u32)> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata(path).ok()?.uid();
        Some((owner, rustix::process::geteuid().as_raw()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _unknown_here = path;
        None
    }
}

fn disk(folder: &Path) -> Vec<Finding> {
    #[cfg(target_os = "linux")]
    {
        let mut findings = Vec::new();
        if let Ok(kind) = rustix::fs::statfs(folder) {
            let name = network_file_system(kind.f_type);
            findings
                .extend(name.map(|n| DATABASE_ON_NETWORK.found(format!("{} is on {n}", folder.display()))));
        }
        if let Ok(space) = rustix::fs::statvfs(folder) {
            findings.push(space_left(space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize));
        }
        findings
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _not_known_here = folder;
        Vec::new()
    }
}

/// Names a network file system by its magic number from statfs(2).
#[cfg(any(test, target_os = "linux"))]
fn network_file_system(magic: i64) -> Option<&'static str> {
    // Some kernels return 32 signed bits, which some of these numbers do not fit into.
    match magic & 0xFFFF_FFFF {
        0x6969 => Some("NFS"),
        0x517B => Some("SMB"),
        0xFF53_4D42 => Some("CIFS"),
        0xFE53_4D42 => Some("SMB2"),
        0x00C3_6400 => Some("Ceph"),
        0x0102_1997 => Some("9p"),
        0x5346_414F => Some("AFS"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x4750_4653 => Some("GPFS"),
        0x0116_1970 => Some("GFS2"),
        _ => None,
    }
}

fn space_left(free: u64, total: u64) -> Finding {
    let text = format!("{} MiB of {} MiB are free", free / MIB, total / MIB);
    match free {
        _ if free < 100 * MIB => DISK_FULL.found(text),
        _ if free < 1024 * MIB || free < total / 20 => DISK_LOW.found(text),
        _ => Finding::ok("disk", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_before_it_is_full() {
        let id = |free, total| space_left(free * MIB, total * MIB).id;
        assert_eq!(id(50_000, 100_000), "disk");
        assert_eq!(id(4_000, 100_000), "disk-low");
        assert_eq!(id(1_000, 2_000), "disk-low");
        assert_eq!(id(99, 2_000), "disk-full");
    }

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(i64::from(0xFF53_4D42_u32 as i32)), Some("CIFS"));
        for local in [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630] {
            assert_eq!(network_file_system(local), None, "ext4, xfs, btrfs, tmpfs, overlay");
        }
    }

    #[test]
    fn another_owner_is_found() {
        // Root may use every directory, but the owner can be seen all the same.
        let (_, us) = owner_and_us(Path::new("/")).unwrap();
        let finding = data_dir(Path::new("/proc/1"), false).unwrap();
        assert_eq!(finding.id == "data-dir-owner", us != 0, "{finding:?}");
    }
}
