//! A server on throw-away data, set up by its own commands with default settings.

use std::{
    fs::OpenOptions,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use alter_core::{SystemRandom, id::base32_text};
use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::client::{Connection, request};

/// How long a server may take to become ready before the measurement fails.
const READY_MAX: Duration = Duration::from_secs(20);

/// Data, port and, while it runs, the process. Dropping it ends the process and removes the data.
pub(crate) struct Alter {
    binary: PathBuf,
    dir: PathBuf,
    pub(crate) port: u16,
    database: Option<String>,
    running: Option<Child>,
}

impl Alter {
    /// Runs `alter init` in a new folder below `parent`.
    pub(crate) fn init(binary: &Path, parent: &Path) -> anyhow::Result<Self> {
        Self::init_on(binary, parent, None)
    }

    /// Like [`Self::init`]; `database` is another database URL than the file in that folder.
    pub(crate) fn init_on(binary: &Path, parent: &Path, database: Option<String>) -> anyhow::Result<Self> {
        let dir = parent.join(format!("data-{}", base32_text(&SystemRandom, 12)));
        // The port is free now, and nothing else here takes ports before the server does.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let alter = Self { binary: binary.to_owned(), dir, port, database, running: None };
        alter.cli(&["init"], "")?;
        Ok(alter)
    }

    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    pub(crate) fn public_url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// A command with our own settings only: nothing of the caller's environment.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ALTER_") {
                command.env_remove(name);
            }
        }
        command
            .env("ALTER_DATA_DIR", &self.dir)
            .env("ALTER_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("ALTER_PUBLIC_URL", self.public_url())
            .env("ALTER_EGRESS_ALLOW", "127.0.0.0/8");
        if let Some(url) = &self.database {
            command.env("ALTER_DATABASE_URL", url);
        }
        command
    }

    /// Runs one command with `--json` and returns what it printed.
    pub(crate) fn cli(&self, arguments: &[&str], input: &str) -> anyhow::Result<Value> {
        let mut child = self
            .command()
            .args(arguments)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} did not start", self.binary.display()))?;
        child.stdin.take().context("the input was piped")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "alter {} failed: {}",
            arguments.first().unwrap_or(&""),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Runs `alter serve`. Returns the time from its start to the first 200 of `/readyz`.
    pub(crate) async fn serve(&mut self) -> anyhow::Result<Duration> {
        self.serve_with(&[]).await
    }

    /// Like [`Self::serve`], with these variables beside the settings.
    pub(crate) async fn serve_with(&mut self, variables: &[(&str, &str)]) -> anyhow::Result<Duration> {
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let begun = Instant::now();
        let mut command = self.command();
        command.envs(variables.iter().copied());
        command.arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running = Some(command.spawn().context("alter serve did not start")?);
        let ask = request("GET", "/readyz", &self.host(), &[], "");
        loop {
            if let Ok(mut connection) = Connection::open(self.port).await
                && connection.exchange(&ask).await.is_ok_and(|reply| reply.status == 200)
            {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > READY_MAX || !self.lives()? {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                bail!("alter serve did not become ready: {log}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The path of the database file on SQLite.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join("alter.db")
    }

    /// The database's URL on PostgreSQL; `None` on SQLite.
    pub(crate) fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The log of every server on this data.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("serve.log")
    }

    /// Kills the server with SIGKILL. Returns `false` if it was already dead.
    pub(crate) fn kill(&mut self) -> anyhow::Result<bool> {
        let mut child = self.running.take().context("the server does not run")?;
        let alive = child.try_wait()?.is_none();
        if alive {
            child.kill()?;
        }
        child.wait()?;
        Ok(alive)
    }

    /// Whether the server runs.
    pub(crate) fn lives(&mut self) -> anyhow::Result<bool> {
        Ok(match &mut self.running {
            Some(child) => child.try_wait()?.is_none(),
            None => false,
        })
    }

    /// The process id of the running server.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.running.as_ref().map(Child::id).context("the server does not run")
    }

    /// Stops the server as Ctrl-C does: a SIGTERM would wait for what clients may still send over open connections.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.running.take() {
            let told = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
            ensure!(told.success(), "could not tell the server to stop");
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Alter {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _it_may_have_ended = child.kill();
            let _reaped = child.wait();
        }
        let _a_leftover_below_the_data_folder = std::fs::remove_dir_all(&self.dir);
    }
}

/// Makes an empty database on a PostgreSQL server. Returns its URL.
pub(crate) fn new_database(server: &str) -> anyhow::Result<String> {
    let name = format!("bench_{}", base32_text(&SystemRandom, 12));
    let made =
        Command::new("psql").args(["-XqAt", server, "-c", &format!("CREATE DATABASE {name}")]).output()?;
    ensure!(made.status.success(), "no database: {}", String::from_utf8_lossy(&made.stderr));
    let mut url = url::Url::parse(server)?;
    url.set_path(&name);
    Ok(url.into())
}
