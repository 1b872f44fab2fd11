//! A real server over real sockets, on throw-away data, with a mock provider and a clock that tests move.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use alter_core::{
    AgentId, AppId, AppSettings, Clock, Grant, GrantFilter, IdentityProvider, Micros, Random, Recipe, Store,
    SystemRandom,
    secret::{hex, sha256},
    time::random_bytes,
};
use alter_egress::{Egress, EgressConfig, Resolve, SystemResolver};
use alter_flows::{
    Flows, FlowsConfig, NewAgent, Operator, ProviderSetting, REFRESH_PAUSE, SignInSetting, callers, connect,
    operate, ready,
};
use alter_mock_provider::MockProvider;
use alter_server::{Limits, Shared};
use alter_signing::{SignedParts, sign};
use alter_store_postgres::{Open as PostgresOpen, PostgresStore};
use alter_store_sqlite::{Open, SqliteStore};
use alter_test_postgres::Database;
use alter_vault::{RootKey, Vault};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{Reply, Sent, TestClock, http::send};

/// The client secret of every test provider. It is a canary: scans for secrets look for it.
pub const CLIENT_SECRET: &str = "canary-client-secret-5b1f0c";

/// An app with one provider.
#[derive(Debug, Clone)]
pub struct TestApp {
    /// The app's id.
    pub id: AppId,
    /// The app's own key.
    pub key: SecretString,
    /// The origin of the app's pages.
    pub origin: String,
    /// The callback URL of the app's provider.
    pub callback: String,
}

/// A running server with a mock provider and a test app.
pub struct TestServer {
    /// `localhost:PORT`: the `Host` of every request.
    pub host: String,
    /// `http://localhost:PORT`; after [`TestServer::start_https`] an https URL.
    pub public_url: String,
    /// The server's flows.
    pub flows: Flows,
    /// The server's storage.
    pub store: Arc<dyn Store>,
    /// The server's clock.
    pub clock: TestClock,
    /// The mock provider.
    pub mock: MockProvider,
    /// An app whose page is https://app.example, at binding level L2, with the provider `mock`.
    pub app: TestApp,
    root_key: SecretString,
    dir: PathBuf,
    /// `None` on SQLite.
    database: Option<Database<'static>>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _left_for_the_system_to_clean = std::fs::remove_dir_all(&self.dir);
    }
}

impl std::fmt::Debug for TestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestServer").field("host", &self.host).finish_non_exhaustive()
    }
}

impl TestServer {
    /// Starts on plain http, as on a developer's machine. The database is SQLite, or PostgreSQL with
    /// `ALTER_TEST_ENGINE=postgres`.
    pub async fn start() -> Self {
        Self::start_as("http", on_postgres()).await
    }

    /// Like [`Self::start`], but always on SQLite: for tests that look into the database file.
    pub async fn start_sqlite() -> Self {
        Self::start_as("http", false).await
    }

    /// Like [`Self::start`], but always on PostgreSQL.
    pub async fn start_postgres() -> Self {
        Self::start_as("http", true).await
    }

    /// Starts with an https public URL, as behind a TLS terminator: `Host` and cookies are those of https.
    pub async fn start_https() -> Self {
        Self::start_as("https", on_postgres()).await
    }

    async fn start_as(scheme: &str, postgres: bool) -> Self {
        let dir = std::env::temp_dir().join(format!("alter-test-{}", hex(&random_bytes::<8>(&SystemRandom))));
        std::fs::create_dir(&dir).expect("the temp folder can be written");
        let (_, root_key) = RootKey::generate(&|buffer| SystemRandom.fill(buffer));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let public_url = format!("{scheme}://localhost:{port}");
        let (clock, mock) = (TestClock::default(), MockProvider::start().await);
        mock.set(|switches| switches.auto_approve = true);
        let database = postgres.then(|| alter_test_postgres::filled_database(migrated));
        let store = open_store(&dir, database.as_ref(), true).await;
        let flows = build(&public_url, store.clone(), &root_key, &clock);
        ready::initialise(&flows).await.expect("a new database takes the key check");
        let mut settings = AppSettings::named("Test App");
        settings.website_url = Some("https://app.example".into());
        let app = make_app(&flows, &mock, settings).await;
        let host = format!("localhost:{port}");
        let mut server =
            Self { host, public_url, flows, store, clock, mock, app, root_key, dir, database, running: None };
        server.listen(listener);
        server
    }

    fn listen(&mut self, listener: TcpListener) {
        let router =
            alter_server::router(Shared::new(self.flows.clone()).expect("the public URL is in order"));
        let (stop, stopped) = oneshot::channel();
        let limits = Limits::default();
        let task = tokio::spawn(async move {
            alter_server::serve(listener, router, limits, async {
                let _sender_gone_is_a_stop_too = stopped.await;
                std::time::Duration::ZERO
            })
            .await;
        });
        self.running = Some((stop, task));
    }

    /// Stops the server and starts it again on the same data and port, as a deploy does.
    pub async fn restart(&mut self) {
        if let Some((stop, task)) = self.running.take() {
            let _it_may_have_ended = stop.send(());
            task.await.expect("the server stops");
        }
        self.flows.drain().await;
        self.store = open_store(&self.dir, self.database.as_ref(), false).await;
        self.flows = build(&self.public_url, self.store.clone(), &self.root_key, &self.clock);
        let listener =
            TcpListener::bind(format!("127.0.0.1:{}", self.port())).await.expect("the port is free again");
        self.listen(listener);
    }

    /// Starts a second server on the same data, like another process, which runs until the test ends. Returns its flows
    /// and its address; requests to it need this server's `Host`. `root_key`: `None` = this server's.
    pub async fn replica(&self, root_key: Option<&SecretString>) -> (Flows, String) {
        let store = open_store(&self.dir, self.database.as_ref(), false).await;
        self.serve_also(store, root_key.unwrap_or(&self.root_key), &self.clock).await
    }

    /// Like [`Self::replica`], on a machine whose clock is another one.
    pub async fn replica_at(&self, clock: &TestClock) -> (Flows, String) {
        let store = open_store(&self.dir, self.database.as_ref(), false).await;
        self.serve_also(store, &self.root_key, clock).await
    }

    /// Like [`Self::replica`], over another way to the PostgreSQL database.
    pub async fn replica_over(&self, database_url: &str) -> (Flows, String) {
        let store = PostgresStore::open(database_url, PostgresOpen::Existing).await;
        self.serve_also(Arc::new(store.expect("the database opens")), &self.root_key, &self.clock).await
    }

    async fn serve_also(
        &self,
        store: Arc<dyn Store>,
        root_key: &SecretString,
        clock: &TestClock,
    ) -> (Flows, String) {
        let flows = build(&self.public_url, store, root_key, clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("localhost:{}", listener.local_addr().expect("it is bound").port());
        let router = alter_server::router(Shared::new(flows.clone()).expect("the public URL is in order"));
        tokio::spawn(alter_server::serve(listener, router, Limits::default(), std::future::pending()));
        (flows, address)
    }

    fn port(&self) -> &str {
        self.host.rsplit(':').next().unwrap_or_default()
    }

    /// The database on the test's PostgreSQL server; `None` on SQLite.
    pub fn postgres(&self) -> Option<&Database<'static>> {
        self.database.as_ref()
    }

    /// The path of the SQLite file.
    pub fn db_path(&self) -> PathBuf {
        self.dir.join("alter.db")
    }

    /// The root key as text, for commands on the same data.
    pub fn root_key(&self) -> &SecretString {
        &self.root_key
    }

    /// The folder with everything that the server stores.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Adds an app with its own configuration of the provider `mock`.
    pub async fn add_app(&self, settings: AppSettings) -> TestApp {
        make_app(&self.flows, &self.mock, settings).await
    }

    /// Configures the same mock as one more provider of an app, under another id. Returns the callback URL.
    pub async fn add_provider(&self, app: &TestApp, id: &str, change: impl FnOnce(&mut Recipe)) -> String {
        let mut recipe = mock_recipe(&self.mock.issuer());
        recipe.id = id.to_owned();
        recipe.name = format!("Provider {id}");
        change(&mut recipe);
        set_provider(&self.flows, &self.mock, app.id, recipe).await
    }

    /// Makes the mock the identity provider of an app. `audience`: `None` = any.
    pub async fn set_idp(&self, app: &TestApp, audience: Option<&str>) {
        let idp = IdentityProvider {
            issuer: self.mock.issuer(),
            audience: audience.map(Into::into),
            ..IdentityProvider::default()
        };
        let stored = self.store.get_app(app.id).await.expect("the store answers").expect("the app is there");
        let settings = AppSettings { identity_provider: Some(idp), ..stored.settings };
        operate::change_app(&self.flows, &operator(), app.id, settings)
            .await
            .expect("the settings are in order");
    }

    /// Makes the mock the identity provider of an app, with a client by which users sign in. Returns its callback URL.
    pub async fn set_sign_in(&self, app: &TestApp, audience: Option<&str>) -> String {
        let mut recipe = mock_recipe(&self.mock.issuer());
        recipe.id = alter_core::provider::SIGN_IN.to_owned();
        let client_id = sign_in_client(app);
        let setting = SignInSetting {
            recipe,
            client_id: client_id.clone(),
            client_secret: Some(SecretString::from(CLIENT_SECRET)),
        };
        let idp = IdentityProvider {
            issuer: self.mock.issuer(),
            audience: audience.map(Into::into),
            ..IdentityProvider::default()
        };
        let stored =
            operate::set_identity_provider(&self.flows, &operator(), app.id, idp, Some(setting)).await;
        let callback = connect::callback_url(&self.flows, &stored.expect("in order").expect("a client"));
        self.mock.register_client(&client_id, Some(CLIENT_SECRET), &[&callback]);
        callback
    }

    /// Adds an agent to an app. Returns the agent's id and key.
    pub async fn add_agent(&self, app: &TestApp, name: &str) -> (AgentId, SecretString) {
        let stored = self.store.get_app(app.id).await.expect("the store answers").expect("the app is there");
        let new = NewAgent { name: name.to_owned(), ..NewAgent::default() };
        let made = callers::create_agent_as_operator(&self.flows, &operator(), stored, new)
            .await
            .expect("the name is free");
        (made.agent.id, made.key.expect("a new agent has a key").secret)
    }

    /// Sends a request as it is.
    pub async fn send(&self, sent: Sent) -> Reply {
        send(&self.host, sent).await
    }

    /// Sends a GET without cookies.
    pub async fn get(&self, target: &str) -> Reply {
        self.send(Sent::new("GET", target)).await
    }

    /// A correctly signed POST, not sent yet, for a test to tamper with.
    pub fn signed(&self, key: &SecretString, target: &str, body: &Value) -> Sent {
        self.signed_raw(key, "POST", target, body.to_string().as_bytes())
    }

    /// A correctly signed request, not sent yet.
    pub fn signed_raw(&self, key: &SecretString, method: &str, target: &str, body: &[u8]) -> Sent {
        signed(key, method, target, body, self.clock.now())
    }

    /// A correctly signed POST from a caller that names itself (`X-Alter-Caller`).
    pub fn signed_by(&self, key: &SecretString, target: &str, body: &Value, caller: &str) -> Sent {
        let (body, caller_type) = (body.to_string(), "service");
        let sent = self.signed_raw(key, "POST", target, body.as_bytes());
        let header = |name: &str| {
            let found = sent.headers.iter().find(|(n, _)| n == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let (timestamp, nonce) = (header("x-alter-timestamp"), header("x-alter-nonce"));
        let parts = SignedParts {
            method: "POST",
            target,
            timestamp: &timestamp,
            nonce: &nonce,
            body: body.as_bytes(),
            caller,
            caller_type,
            ..SignedParts::default()
        };
        let signature = sign(key.expose_secret(), &parts);
        sent.header("x-alter-caller", caller)
            .header("x-alter-caller-type", caller_type)
            .set("x-alter-signature", &signature)
            .header("x-alter-signature-v2", &signature)
    }

    /// Sends a signed request without a body.
    pub async fn call_empty(&self, key: &SecretString, method: &str, target: &str) -> Reply {
        self.send(self.signed_raw(key, method, target, b"").without("content-type")).await
    }

    /// Sends a signed request with a JSON body.
    pub async fn call_as(&self, key: &SecretString, method: &str, target: &str, body: &Value) -> Reply {
        self.send(self.signed_raw(key, method, target, body.to_string().as_bytes())).await
    }

    /// Sends a signed POST from the test app.
    pub async fn call(&self, target: &str, body: &Value) -> Reply {
        self.send(self.signed(&self.app.key, target, body)).await
    }

    /// Mints a session for the test app. Returns its token.
    pub async fn mint(&self, body: &Value) -> String {
        self.mint_for(&self.app, body).await
    }

    /// Mints a session for an app. Returns its token.
    pub async fn mint_for(&self, app: &TestApp, body: &Value) -> String {
        let reply = self.send(self.signed(&app.key, "/sdk/oauth/connect/session", body)).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["session_token"].as_str().expect("a minted session has a token").to_owned()
    }

    /// Asks the status channel, as a page of `origin` does; `more` replaces fields, also `cb`.
    pub async fn status(&self, token: &str, origin: &str, more: Value) -> Reply {
        let mut body = json!({ "session_token": token, "cb": crate::TestBrowser::cb_of(token), "cursor": 0 });
        for (name, value) in more.as_object().cloned().unwrap_or_default() {
            body[name] = value;
        }
        let sent = Sent::new("POST", "/connect/status")
            .header("origin", origin)
            .header("content-type", "text/plain");
        self.send(sent.body(body.to_string())).await
    }

    /// Fetches what became of a redirect flow, as a page of `origin` does.
    pub async fn result(&self, origin: &str, body: &Value) -> Reply {
        let sent = Sent::new("POST", "/connect/result")
            .header("origin", origin)
            .header("content-type", "text/plain");
        self.send(sent.body(body.to_string())).await
    }

    /// All grants of an app, newest first.
    pub async fn grants(&self, app: AppId) -> Vec<Grant> {
        let found = self.store.list_grants(app, &GrantFilter::default(), 1000, 0).await;
        found.expect("storage answers").into_iter().map(|listed| listed.grant).collect()
    }

    /// Asks for the access token of a grant, for the mock's API.
    pub async fn token(&self, grant_id: &str) -> Reply {
        let url = self.mock.url("/api/me");
        self.call("/sdk/token", &json!({ "grant_id": grant_id, "request": { "method": "GET", "url": url } }))
            .await
    }
}

/// Whether the tests of the server run on PostgreSQL.
fn on_postgres() -> bool {
    std::env::var("ALTER_TEST_ENGINE").is_ok_and(|engine| engine == "postgres")
}

/// Makes our tables in an empty database.
async fn migrated(url: String) {
    PostgresStore::open(&url, PostgresOpen::Create).await.expect("the database opens");
}

async fn open_store(dir: &Path, database: Option<&Database<'static>>, new: bool) -> Arc<dyn Store> {
    match database {
        None => {
            let mode = if new { Open::Create } else { Open::Existing };
            Arc::new(SqliteStore::open(&dir.join("alter.db"), mode).expect("the database opens"))
        }
        Some(database) => {
            let mode = if new { PostgresOpen::Create } else { PostgresOpen::Existing };
            Arc::new(PostgresStore::open(&database.url, mode).await.expect("the database opens"))
        }
    }
}

/// A request that is correctly signed at this time.
pub fn signed(key: &SecretString, method: &str, target: &str, body: &[u8], at: Micros) -> Sent {
    let timestamp = at.as_seconds().to_string();
    let nonce = hex(&random_bytes::<16>(&SystemRandom));
    let parts =
        SignedParts { method, target, timestamp: &timestamp, nonce: &nonce, body, ..SignedParts::default() };
    let signature = sign(key.expose_secret(), &parts);
    Sent::new(method, target)
        .header("x-api-key", key.expose_secret())
        .header("x-alter-timestamp", &timestamp)
        .header("x-alter-nonce", &nonce)
        .header("x-alter-content-sha256", &hex(&sha256(body)))
        .header("x-alter-signature", &signature)
        .header("content-type", "application/json")
        .body(body)
}

fn build(public_url: &str, store: Arc<dyn Store>, root_key: &SecretString, clock: &TestClock) -> Flows {
    let allow = vec!["127.0.0.0/8".parse().expect("a network")];
    let config = EgressConfig { allow, ..EgressConfig::default() };
    let egress = Egress::with_resolver(config, Arc::new(Localhost)).expect("the client starts");
    let vault = Vault::new(RootKey::from_base64(root_key.expose_secret()).expect("the key was just made"));
    let config = FlowsConfig { public_url: public_url.to_owned(), refresh_pause: REFRESH_PAUSE };
    Flows::new(config, store, vault, egress, Arc::new(clock.clone()), Arc::new(SystemRandom))
}

/// Resolves names below `localhost`, which not every machine does: a mock provider then has hosts for its customers.
struct Localhost;

impl Resolve for Localhost {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        if host.ends_with(".localhost") {
            return Box::pin(async move { Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]) });
        }
        SystemResolver.resolve(host, port)
    }
}

/// The client id by which an app's users sign in ([`TestServer::set_sign_in`]).
pub fn sign_in_client(app: &TestApp) -> String {
    format!("client-{}-sign-in", app.id)
}

async fn make_app(flows: &Flows, mock: &MockProvider, settings: AppSettings) -> TestApp {
    let origin = settings.website_url.clone().unwrap_or_else(|| "https://app.example".into());
    let made = operate::create_app(flows, &operator(), settings).await.expect("the settings are in order");
    let callback = set_provider(flows, mock, made.app.id, mock_recipe(&mock.issuer())).await;
    TestApp { id: made.app.id, key: made.key.secret, origin, callback }
}

async fn set_provider(flows: &Flows, mock: &MockProvider, app: AppId, recipe: Recipe) -> String {
    let client_id = format!("client-{}-{}", app, recipe.id);
    let setting = ProviderSetting {
        recipe,
        client_id: client_id.clone(),
        client_secret: Some(SecretString::from(CLIENT_SECRET)),
        scopes: None,
    };
    let config =
        operate::set_provider(flows, &operator(), app, setting).await.expect("the provider is in order");
    let callback = connect::callback_url(flows, &config);
    mock.register_client(&client_id, Some(CLIENT_SECRET), &[&callback]);
    callback
}

/// The recipe of the mock provider.
pub fn mock_recipe(issuer: &str) -> Recipe {
    serde_json::from_value(json!({
        "id": "mock", "name": "Mock Provider", "issuer": issuer, "iss_parameter": true,
        "authorize_url": format!("{issuer}/authorize"), "token_url": format!("{issuer}/token"),
        "userinfo_url": format!("{issuer}/userinfo"), "jwks_url": format!("{issuer}/jwks"),
        "revoke_url": format!("{issuer}/revoke"),
        "default_scopes": ["openid", "email", "profile"],
        "api_hosts": [issuer.trim_start_matches("http://")]
    }))
    .expect("the recipe has all it needs")
}

/// The operator that a test's commands name.
pub fn operator() -> Operator {
    Operator::named("test")
}
