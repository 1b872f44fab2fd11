//! A pgbouncer in transaction mode in front of a cluster. It has few server processes for each database and lends them in
//! turn, so that two transactions of one connection hardly ever meet the same process.

use std::{
    fs,
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::{as_non_root, make_directory, quiet, url_at};

/// Where Debian's package puts it.
const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// How long it may take to listen.
const START: Duration = Duration::from_secs(60);
/// PostgreSQL's own number, so that a URL names a directory alone.
const SOCKET: &str = ".s.PGSQL.5432";

/// Runs the pooler until the pipe from this process is closed, and cleans up. `$1`: the directory; the rest: the command.
const KEEPER: &str = r#"
trap '' PIPE INT TERM HUP
dir=$1; shift
"$@" >"$dir/log" 2>&1 &
cat >/dev/null
kill -9 $!
rm -rf "$dir"
"#;

pub(crate) struct Pooler {
    directory: PathBuf,
    /// Its standard input is the pipe.
    _keeper: Child,
}

/// The pooler of this process, in front of the cluster that listens in `cluster`.
pub(crate) fn of(cluster: &Path) -> &'static Pooler {
    static SHARED: OnceLock<(PathBuf, Pooler)> = OnceLock::new();
    let (first, pooler) = SHARED.get_or_init(|| (cluster.to_owned(), Pooler::start(cluster)));
    assert_eq!(first, cluster, "only the shared cluster has a pooler");
    pooler
}

impl Pooler {
    fn start(cluster: &Path) -> Self {
        assert!(Path::new(PROGRAM).exists(), "pgbouncer is not installed: scripts/setup-postgres");
        let directory = make_directory("alter-pooler");
        let settings = directory.join("pgbouncer.ini");
        fs::write(&settings, text(cluster, &directory)).expect("the directory can be written to");
        fs::write(directory.join("users"), "\"postgres\" \"\"\n").expect("the directory can be written to");
        let pooler = as_non_root(Path::new(PROGRAM));
        let mut keeper = quiet("sh");
        keeper.process_group(0).args(["-c", KEEPER, "keeper"]).arg(&directory);
        keeper.arg(pooler.get_program()).args(pooler.get_args()).arg(settings);
        let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let pooler = Self { _keeper: keeper.spawn().expect("sh runs"), directory };
        pooler.wait();
        pooler
    }

    fn wait(&self) {
        let started = Instant::now();
        while UnixStream::connect(self.directory.join(SOCKET)).is_err() {
            let log = || fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(started.elapsed() < START, "pgbouncer did not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        url_at(&self.directory, database)
    }
}

fn text(cluster: &Path, own: &Path) -> String {
    let (cluster, own) = (cluster.display(), own.display());
    format!(
        "[databases]
* = host={cluster} port=5432
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = {own}
auth_type = trust
auth_file = {own}/users
pool_mode = transaction
default_pool_size = 4
server_round_robin = 1
max_client_conn = 2000
"
    )
}
