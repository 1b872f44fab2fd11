//! Runs `alter serve` as a process of its own on throw-away data. Commands set it up, and its mock provider lives in
//! the test process and so survives every crash.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use alter_core::{AppId, Clock, Store, SystemClock, SystemRandom, secret::hex, time::random_bytes};
use alter_mock_provider::{MockProvider, Raw};
use alter_testkit::{
    Reply, Sent, TestBrowser, free_port,
    http::{send, send_raw},
    server::{CLIENT_SECRET, signed},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::Database;

/// How long a test waits for anything before it fails. Long, because the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the reaper look every second for attempts that have been silent for a second; by default both are a minute.
pub(crate) const HURRY: &[(&str, &str)] = &[("ALTER_LOST_AFTER", "1"), ("ALTER_REAP_EVERY", "1")];

/// The tokens that the mock provider issues: canaries, so that a scan for secrets can find them.
pub(crate) const ACCESS_TOKEN: &str = "canary-access-token-8f2c61";
pub(crate) const REFRESH_TOKEN: &str = "canary-refresh-token-3d90ae";

/// A data directory, an app with providers, and the serving process while it runs.
pub(crate) struct Alter {
    pub(crate) database: Database,
    pub(crate) mock: MockProvider,
    pub(crate) app: AppId,
    pub(crate) port: u16,
    key: SecretString,
    dir: PathBuf,
    running: Option<Child>,
}

impl Drop for Alter {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _it_may_be_dead = child.kill();
            let _reaped = child.wait();
        }
        let _best_effort = std::fs::remove_dir_all(&self.dir);
    }
}

impl Alter {
    /// Initialises the data, with an app and the provider `mock`. Does not serve yet.
    pub(crate) async fn new(database: Database) -> Self {
        let dir =
            std::env::temp_dir().join(format!("alter-crash-{}", hex(&random_bytes::<8>(&SystemRandom))));
        std::fs::create_dir(&dir).unwrap();
        let mock = MockProvider::start().await;
        let answer = json!({
            "access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "id_token": "{{id_token}}",
            "token_type": "Bearer", "expires_in": 3600,
        });
        mock.set(|s| (s.auto_approve, s.token_response) = (true, Some(Raw::json(200, &answer))));
        let (key, app) = (SecretString::from(String::new()), AppId::new(&SystemRandom));
        let mut alter = Self { database, mock, app, port: free_port(), key, dir, running: None };
        alter.cli(&["init"], "");
        let made = alter.cli(&["app", "create", "Crash", "--website-url", "https://app.example"], "");
        alter.key = SecretString::from(made["api_key"].as_str().unwrap().to_owned());
        alter.app = AppId::parse(made["app_id"].as_str().unwrap()).unwrap();
        alter.add_provider("mock", &[]);
        alter
    }

    /// Adds a provider to the app: at the same mock, or elsewhere as the arguments in `more` say.
    pub(crate) fn add_provider(&self, id: &str, more: &[&str]) {
        let (issuer, host) = (self.mock.issuer(), self.mock.issuer().replace("http://", ""));
        let (app, client) = (self.app.to_string(), format!("client-{id}"));
        let mut args = vec!["provider", "set", &app, id, "--client-id", &client, "--client-secret-stdin"];
        args.extend(["--issuer", &issuer, "--api-host", &host]);
        args.extend(more);
        let set = self.cli(&args, CLIENT_SECRET);
        let callback = set["callback_url"].as_str().unwrap();
        self.mock.register_client(&client, Some(CLIENT_SECRET), &[callback]);
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// A command of the binary with this test's settings and no other environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alter"));
        command
            .args(args)
            .env_clear()
            .env("ALTER_DATA_DIR", self.data())
            .env("ALTER_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("ALTER_PUBLIC_URL", format!("http://{}", self.host()))
            .env("ALTER_DATABASE_URL", self.database.url())
            .env("ALTER_EGRESS_ALLOW", "127.0.0.0/8");
        command
    }

    /// Runs one command with `--json` and returns what it printed.
    pub(crate) fn cli(&self, args: &[&str], input: &str) -> Value {
        let mut command = self.command(args);
        command.arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts the server, with these variables beside the settings, and waits until it is ready.
    pub(crate) async fn serve(&mut self, variables: &[(&str, &str)]) {
        let mut command = self.command(&["serve"]);
        command.envs(variables.iter().copied());
        self.run(command).await;
    }

    /// Like [`Self::serve`], with a command that the caller has made.
    pub(crate) async fn run(&mut self, mut command: Command) {
        assert!(self.running.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running = Some(command.spawn().unwrap());
        self.wait_until_ready(self.port).await;
    }

    /// Waits until `/readyz` on this port answers 200.
    pub(crate) async fn wait_until_ready(&self, port: u16) {
        let begun = Instant::now();
        loop {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                let ask = Sent::new("GET", "/readyz").header("host", &self.host());
                if send(&format!("localhost:{port}"), ask).await.status == 200 {
                    return;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process id of the server.
    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().unwrap().id()
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.running.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let mut child = self.running.take().unwrap();
        let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(told.success());
        child.wait().unwrap()
    }

    /// Waits until the server has killed itself at a failpoint; panics if it ends in another way.
    pub(crate) async fn wait_for_death(&mut self) {
        let mut child = self.running.take().unwrap();
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the failpoint was never passed: {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(status.signal(), Some(9), "{status}: {}", self.log());
    }

    /// Starts a second server on the same data and public URL, on a port of its own.
    pub(crate) async fn peer(&self, variables: &[(&str, &str)]) -> Peer {
        let port = free_port();
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.command(&["serve"]);
        command.env("ALTER_LISTEN", format!("127.0.0.1:{port}")).envs(variables.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let peer = Peer { port, child };
        self.wait_until_ready(port).await;
        peer
    }

    /// The log of all processes of this test.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The path of that log.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The folder with the data directory and the log: everything that the processes may have written to a disk.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens the storage beside the server.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        self.database.open(&self.data()).await
    }

    pub(crate) async fn send(&self, sent: Sent) -> Reply {
        send(&self.host(), sent).await
    }

    /// Sends a signed call, as the app's backend.
    pub(crate) async fn call(&self, target: &str, body: &Value) -> Reply {
        let sent = signed(&self.key, "POST", target, body.to_string().as_bytes(), SystemClock.now());
        self.send(sent).await
    }

    /// Mints a session for these providers and returns its token.
    pub(crate) async fn mint(&self, providers: &[&str]) -> String {
        self.mint_with(&json!({ "allowed_providers": providers })).await
    }

    /// Mints a session with this body and returns its token.
    pub(crate) async fn mint_with(&self, body: &Value) -> String {
        let minted = self.call("/sdk/oauth/connect/session", body).await;
        assert_eq!(minted.status, 201, "{}", minted.text());
        minted.json()["session_token"].as_str().unwrap().to_owned()
    }

    /// Asks the status channel, as the app's page does.
    pub(crate) async fn status(&self, token: &str) -> Value {
        let body = json!({ "session_token": token, "cb": TestBrowser::cb_of(token), "cursor": 0, "wait": 0 });
        let sent = Sent::new("POST", "/connect/status")
            .header("origin", "https://app.example")
            .header("content-type", "text/plain");
        self.send(sent.body(body.to_string())).await.json()
    }

    /// Polls the session, as the app's backend does.
    pub(crate) async fn poll(&self, token: &str) -> Value {
        self.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await.json()
    }

    /// Asks for a grant's token, for the mock's API.
    pub(crate) async fn release(&self, grant_id: &str) -> Reply {
        self.send(self.release_call(grant_id)).await
    }

    /// The same at a server that may die while handling it. Returns what came back, as text; empty for nothing.
    pub(crate) async fn try_release(&self, grant_id: &str) -> String {
        self.try_release_at(grant_id, self.port).await
    }

    /// Like [`Self::try_release`], at another server of the same deployment.
    pub(crate) async fn try_release_at(&self, grant_id: &str, port: u16) -> String {
        self.try_send(self.release_call(grant_id), port).await
    }

    /// Sends a signed call to a server that may die while handling it. Returns what came back, as text; empty for nothing.
    pub(crate) async fn try_call(&self, target: &str, body: &Value) -> String {
        let sent = signed(&self.key, "POST", target, body.to_string().as_bytes(), SystemClock.now());
        self.try_send(sent, self.port).await
    }

    async fn try_send(&self, sent: Sent, port: u16) -> String {
        let sent = sent.header("host", &self.host()).header("connection", "close");
        let mut text = format!("{} {} HTTP/1.1\r\n", sent.method, sent.target);
        for (name, value) in &sent.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\n\r\n", sent.body.len());
        let bytes = [text.as_bytes(), &sent.body].concat();
        send_raw(&format!("localhost:{port}"), &bytes).await
    }

    fn release_call(&self, grant_id: &str) -> Sent {
        let request = json!({ "method": "GET", "url": self.mock.url("/api/me") });
        let body = json!({ "grant_id": grant_id, "request": request }).to_string();
        signed(&self.key, "POST", "/sdk/token", body.as_bytes(), SystemClock.now())
    }
}

/// A second server process.
pub(crate) struct Peer {
    pub(crate) port: u16,
    child: Child,
}

impl Peer {
    /// Waits until the process has killed itself at a failpoint.
    pub(crate) fn wait_for_death(&mut self) {
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _it_may_be_dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}
