//! A throw-away PostgreSQL cluster, made with the installed binaries. Store nothing that matters in it: it trusts
//! everybody who reaches its socket, and does not wait for the disk. A dev-dependency only.
//!
//! A test process has one cluster ([`database`]); a test that kills its server makes its own ([`Cluster::new`]). The
//! server listens on a Unix socket in its directory, so there is no port to race for. A shell supervises the server and
//! holds the reading end of a pipe from this process. When this process ends, in whatever way, the shell stops the
//! server and removes the directory.
//!
//! Text is sorted by a language's rules and not byte by byte, so that tests notice a column without `COLLATE "C"`.

mod pooler;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use alter_core::{AppId, SystemRandom};

/// How long a server may take to accept connections, including recovery after a crash.
const START: Duration = Duration::from_secs(60);

/// Only our own processes are killed here, never the machine: nothing waits for the disk, and no page is written to the log
/// for the case that half of it got there. Databases do not live long enough to be vacuumed.
const SETTINGS: [&str; 6] = [
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_connections=400",
    "shared_buffers=64MB",
];

/// Starts and kills the server on order, and cleans up when nobody is left to give orders. The server is the shell's
/// own child, so its process id cannot pass to another process. A crash also waits for the server's children: a new
/// server refuses to start while one of them still holds the shared memory. `$1`: the directory; the rest: the command
/// that starts the server.
const SUPERVISOR: &str = r#"
trap '' PIPE INT TERM HUP
dir=$1; shift
server=
gone() { while [ -n "$(tr -d '\0' <"/proc/$1/cmdline")" ]; do sleep 0.01; done; }
while read -r order; do
    case $order in
    start) "$@" >>"$dir/log" 2>&1 & server=$! ;;
    crash)
        killed="$server $(cat /proc/$server/task/$server/children)"
        kill -9 $killed; wait $server; server=
        for process in $killed; do gone $process; done
        ;;
    esac
    echo done
done
if [ -n "$server" ]; then kill -QUIT $server; wait $server; fi
rm -rf "$dir"
"#;

/// Makes an empty database in this process's own cluster.
pub fn database() -> Database<'static> {
    shared().database()
}

/// Makes a database with what `fill` puts into an empty one, which is done once in this process: every database is a copy.
/// `fill` gets the URL, and leaves no connection open. A copy takes a third of the time of our migrations.
pub fn filled_database<F: Future>(fill: impl FnOnce(String) -> F + Send) -> Database<'static> {
    static FILLED: OnceLock<String> = OnceLock::new();
    let filled = FILLED.get_or_init(|| shared().fill(fill));
    shared().copy(filled)
}

fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::new)
}

/// A database that is dropped with this value, even while somebody is connected to it.
#[derive(Debug)]
pub struct Database<'c> {
    cluster: &'c Cluster,
    name: String,
    /// The connection URL: `postgres://...`.
    pub url: String,
}

impl Database<'_> {
    /// Runs statements as a superuser and returns their rows: one per line, `|` between columns.
    pub fn sql(&self, statements: &str) -> String {
        self.cluster.sql(&self.name, statements)
    }

    /// The URL through a pooler, pgbouncer, which gives each transaction to another server process.
    ///
    /// # Panics
    /// pgbouncer is missing or fails.
    pub fn pooled_url(&self) -> String {
        pooler::of(&self.cluster.directory).url(&self.name)
    }

    /// The database's name, unique in its cluster.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // The database goes with its cluster anyway. Dropping it now keeps hundreds of tests from filling the disk.
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let _gone_anyway = self.cluster.psql("postgres", &statement).output();
    }
}

/// A cluster; its server runs until [`Cluster::crash`].
#[derive(Debug)]
pub struct Cluster {
    binaries: PathBuf,
    directory: PathBuf,
    databases: AtomicU64,
    supervisor: Mutex<Supervisor>,
}

/// The supervising shell, and our ends of its pipes.
#[derive(Debug)]
struct Supervisor {
    shell: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// Makes a cluster and starts its server, in about two seconds.
    ///
    /// # Panics
    /// The binaries are missing or fail.
    #[expect(
        clippy::new_without_default,
        reason = "a default value should not take two seconds and a server process"
    )]
    pub fn new() -> Self {
        let binaries = binaries();
        let directory = make_directory("alter-postgres");
        let supervisor = Supervisor::start(&binaries, &directory);
        initialise(&binaries, &directory);
        let cluster =
            Self { binaries, directory, databases: AtomicU64::new(0), supervisor: Mutex::new(supervisor) };
        cluster.start();
        cluster
    }

    /// Makes an empty database.
    pub fn database(&self) -> Database<'_> {
        self.copy("template1")
    }

    /// Copies a database that nobody is connected to. The files are copied as they are: by way of the log, which is the
    /// server's own choice, the same takes ten times the processor's time.
    fn copy(&self, from: &str) -> Database<'_> {
        let name = format!("t_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {from} STRATEGY FILE_COPY"));
        let url = self.url(&name);
        Database { cluster: self, name, url }
    }

    /// Makes a database for [`Self::copy`] and fills it, in a runtime of its own: whoever asks may be in one that must not
    /// wait. Returns its name.
    fn fill<F: Future>(&self, fill: impl FnOnce(String) -> F + Send) -> String {
        self.sql("postgres", "CREATE DATABASE filled STRATEGY FILE_COPY");
        let url = self.url("filled");
        let work = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(fill(url));
        };
        std::thread::scope(|scope| scope.spawn(work).join().expect("the database is filled"));
        "filled".to_owned()
    }

    /// Kills every process of the server at once, as a power cut would.
    pub fn crash(&self) {
        self.order("crash");
    }

    /// Starts a server that was killed and waits until it has recovered.
    pub fn start(&self) {
        self.order("start");
        let started = Instant::now();
        while !self.is_ready() {
            assert!(started.elapsed() < START, "PostgreSQL did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn order(&self, order: &str) {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).obey(order);
    }

    fn is_ready(&self) -> bool {
        let mut asked = tool(&self.binaries, "pg_isready");
        asked.arg("-q").arg("-h").arg(&self.directory).args(["-U", "postgres", "-d", "postgres"]);
        asked.status().is_ok_and(|status| status.success())
    }

    fn url(&self, database: &str) -> String {
        url_at(&self.directory, database)
    }

    fn sql(&self, database: &str, statements: &str) -> String {
        let output = self.psql(database, statements).output().expect("psql runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statements}: {errors}{}", self.log());
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn psql(&self, database: &str, statements: &str) -> Command {
        let mut psql = tool(&self.binaries, "psql");
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", statements]);
        psql.arg("-h").arg(&self.directory);
        psql
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let supervisor = self.supervisor.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(supervisor.orders.take());
        let _cleaned_up = supervisor.shell.wait();
    }
}

impl Supervisor {
    fn start(binaries: &Path, directory: &Path) -> Self {
        let mut server = as_non_root(&binaries.join("postgres"));
        server.arg("-D").arg(directory.join("data")).arg("-k").arg(directory);
        for setting in SETTINGS {
            server.arg("-c").arg(setting);
        }
        let mut shell = quiet("sh");
        // A process group of its own: Ctrl-C in a terminal must stop the tests, but not the shell that cleans up after
        // them.
        shell.process_group(0).args(["-c", SUPERVISOR, "supervisor"]).arg(directory);
        shell.arg(server.get_program()).args(server.get_args());
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("its output is a pipe"));
        Self { shell, orders, answers }
    }

    fn obey(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("the orders are there until the drop");
        writeln!(orders, "{order}").expect("the supervisor reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the supervisor answers");
        assert_eq!(answer, "done\n", "the supervisor carried out the order");
    }
}

/// Returns the folder of the server's programs: `PG_BIN`, or the newest version that Debian installs.
fn binaries() -> PathBuf {
    let named = std::env::var_os("PG_BIN").map(PathBuf::from);
    let found = named.or_else(newest).filter(|bin| bin.join("initdb").exists() && bin.join("psql").exists());
    found.expect(
        "PostgreSQL's server is not installed: apt-get install postgresql-15 (or set PG_BIN to the directory of its \
         programs)",
    )
}

fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let numbered =
        versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    numbered.max().map(|(_, path)| path.join("bin"))
}

/// The URL of a database whose server, or pooler, has its socket in `directory`.
fn url_at(directory: &Path, database: &str) -> String {
    let base = format!("postgres://postgres@localhost/{database}");
    let host = directory.to_str().expect("the temporary directory's path is UTF-8");
    url::Url::parse_with_params(&base, [("host", host)]).expect("it is a URL").into()
}

/// A command under the server's user. The server refuses to run as root, so root runs it as the package's own user.
fn as_non_root(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return quiet(program);
    }
    let mut command = quiet("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    command
}

fn tool(binaries: &Path, name: &str) -> Command {
    quiet(binaries.join(name))
}

/// A command without the variables that would send PostgreSQL's programs elsewhere, in a directory that everybody may
/// enter.
fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

fn make_directory(prefix: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("{prefix}-{}", AppId::new(&SystemRandom)));
    fs::create_dir(&directory).expect("the temporary directory can be written to");
    if rustix::process::geteuid().is_root() {
        expect_success(quiet("chown").arg("postgres").arg(&directory));
    }
    expect_success(quiet("chmod").arg("0700").arg(&directory));
    directory
}

fn initialise(binaries: &Path, directory: &Path) {
    let mut initdb = as_non_root(&binaries.join("initdb"));
    initdb.args(["--no-sync", "--no-instructions", "-A", "trust", "-U", "postgres", "-E", "UTF8"]);
    initdb.args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]);
    expect_success(initdb.arg("-D").arg(directory.join("data")));
}

fn expect_success(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_new_and_empty_and_is_dropped_with_its_guard() {
        let (first, second) = (database(), database());
        assert_ne!(first.url, second.url);
        first.sql("CREATE TABLE t (a BIGINT)");
        assert_eq!(second.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
        let name = first.name().to_owned();
        drop(first);
        let left = second.sql(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"));
        assert_eq!(left, "0");
    }

    #[test]
    fn a_killed_cluster_starts_again_and_a_dropped_one_leaves_nothing() {
        let cluster = Cluster::new();
        let database = cluster.database();
        database.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (7)");
        cluster.crash();
        assert!(!cluster.is_ready());
        cluster.start();
        assert_eq!(database.sql("SELECT a FROM t"), "7");
        drop(database);
        let directory = cluster.directory.clone();
        drop(cluster);
        assert!(!directory.exists());
    }

    /// Not a test of its own: the next test kills it.
    #[test]
    #[ignore = "waits to be killed"]
    fn a_process_that_waits_to_be_killed() {
        let cluster = Cluster::new();
        println!("\nat {}", cluster.directory.display());
        std::thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn a_cluster_is_removed_with_its_process_even_if_that_is_killed() {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "tests::a_process_that_waits_to_be_killed"]);
        let mut process = process.args(["--ignored", "--nocapture"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let named = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("at ").map(PathBuf::from));
        let directory = named.unwrap();
        assert!(directory.exists());
        process.kill().unwrap();
        process.wait().unwrap();
        let killed = Instant::now();
        while directory.exists() {
            assert!(killed.elapsed() < Duration::from_secs(60), "{} is still there", directory.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
