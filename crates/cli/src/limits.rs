//! The operating system's limit on open files. Every connection is one, and the usual limit of 1,024 is less than the
//! connections that the server admits.

/// Files beside connections: the database's, those of requests to providers, the log.
const BESIDE_CONNECTIONS: u64 = 256;

/// Open files of this process: how many it may have now, and how many it may ask for.
pub(crate) fn open_files() -> Option<(u64, u64)> {
    #[cfg(target_os = "linux")]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        // None is no limit.
        Some((limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX)))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Asks for as many files as `connections` need; answers how many connections fit into what was granted.
pub(crate) fn make_room(connections: usize) -> usize {
    let wanted = connections as u64 + BESIDE_CONNECTIONS;
    let Some((now, most)) = open_files() else { return connections };
    #[cfg(target_os = "linux")]
    if now < wanted {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = Rlimit { current: Some(wanted.min(most)), maximum: (most != u64::MAX).then_some(most) };
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit on open files could not be raised");
        }
    }
    fitting(open_files().map_or(now, |(now, _)| now), connections)
}

/// Connections that fit into so many files.
pub(crate) fn fitting(files: u64, connections: usize) -> usize {
    // Below twice the reserve it is split in half: a server that admits nobody is of no use.
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
