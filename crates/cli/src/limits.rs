//! The operating system's limit on open files. Every connection is an open file, and the usual limit of 1,024 is lower
//! than the number of connections that the server admits.

/// Open files beside connections: the database, requests to providers, the log.
const BESIDE_CONNECTIONS: u64 = 256;

/// Returns the limits on this process's open files: the soft one, which holds now, and the hard one, which it may ask
/// for.
pub(crate) fn open_files() -> Option<(u64, u64)> {
    #[cfg(target_os = "linux")]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        // `None` means no limit.
        Some((limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX)))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Asks for as many files as `connections` need. Returns how many connections fit into the limit that was granted.
pub(crate) fn make_room(connections: usize) -> usize {
    let wanted = connections as u64 + BESIDE_CONNECTIONS;
    let Some((now, most)) = open_files() else { return connections };
    #[cfg(target_os = "linux")]
    if now < wanted {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = Rlimit { current: Some(wanted.min(most)), maximum: (most != u64::MAX).then_some(most) };
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "could not raise the limit on open files");
        }
    }
    fitting(open_files().map_or(now, |(now, _)| now), connections)
}

/// Returns how many connections fit into this many open files.
pub(crate) fn fitting(files: u64, connections: usize) -> usize {
    // Below twice the reserve, connections get half of the files: a server that admits nobody is useless.
    let room = files.saturating_sub(BESIDE_CONNECTIONS).max(files / 2);
    usize::try_from(room).map_or(connections, |room| room.min(connections))
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn connections_leave_room_for_the_files_beside_them() {
        assert_eq!(fitting(1024, 4096), 768);
        assert_eq!(fitting(65_536, 4096), 4096);
        assert_eq!(fitting(u64::MAX, 4096), 4096);
        assert_eq!(fitting(256, 4096), 128);
    }
}
