//! One installation with one app and one provider.

use std::{sync::Arc, time::Duration};

use alter_core::{
    App, AppId, AppSettings, Attempt, Clock, Grant, GrantFilter, Micros, Random, Recipe, Store,
    recipe::Refresh,
    secret::{hex, sha256},
    time::random_bytes,
};
use alter_egress::{Egress, EgressConfig};
use alter_flows::{
    Caller, Flows, FlowsConfig, Operator, PresentedCall, ProviderSetting, REFRESH_PAUSE, callers, connect,
    operate, ready,
};
use alter_mock_provider::MockProvider;
use alter_signing::{Signature, SignedParts, sign};
use alter_store_sqlite::{Open, SqliteStore};
use alter_vault::{RootKey, Vault};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{calls::REQUEST, clock::StoppedClock, directory::Directory, random::SeededRandom};

/// The origin of the app's page.
pub(crate) const ORIGIN: &str = "https://app.example";

pub(crate) const CLIENT_SECRET: &str = "a-client-secret";

pub(crate) struct World {
    pub(crate) flows: Flows,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: StoppedClock,
    pub(crate) mock: MockProvider,
    pub(crate) app: AppId,
    pub(crate) random: Arc<SeededRandom>,
    key: SecretString,
    directory: Directory,
}

impl World {
    /// An app at [`ORIGIN`] whose only provider is `mock`, which approves every user at once.
    pub(crate) async fn new() -> Self {
        Self::waiting(REFRESH_PAUSE).await
    }

    /// A world in which no call waits for the pause after a failed refresh.
    pub(crate) async fn impatient() -> Self {
        Self::waiting(Duration::ZERO).await
    }

    async fn waiting(refresh_pause: Duration) -> Self {
        let (directory, clock) = (Directory::new(), StoppedClock::new());
        let (random, mock) = (Arc::new(SeededRandom::default()), MockProvider::start().await);
        mock.set(|switches| switches.auto_approve = true);
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&directory.file(), Open::Create).unwrap());
        let flows = flows(store.clone(), &clock, &random, refresh_pause);
        ready::initialise(&flows).await.unwrap();
        let mut settings = AppSettings::named("Test App");
        settings.website_url = Some(ORIGIN.to_owned());
        let made = operate::create_app(&flows, &Operator::named("test"), settings).await.unwrap();
        let world =
            Self { flows, store, clock, mock, app: made.app.id, random, key: made.key.secret, directory };
        world.add_provider("mock").await;
        world
    }

    /// Adds one more configuration of the same provider, under another id.
    pub(crate) async fn add_provider(&self, id: &str) {
        let client_id = format!("client-{id}");
        let setting = ProviderSetting {
            recipe: recipe(id, &self.mock.issuer()),
            client_id: client_id.clone(),
            client_secret: Some(SecretString::from(CLIENT_SECRET)),
            scopes: None,
        };
        let config =
            operate::set_provider(&self.flows, &Operator::named("test"), self.app, setting).await.unwrap();
        self.mock.register_client(
            &client_id,
            Some(CLIENT_SECRET),
            &[&connect::callback_url(&self.flows, &config)],
        );
    }

    /// Lets the operator say what is known about refreshing at the provider.
    pub(crate) async fn know(&self, facts: Refresh) {
        let mut recipe = recipe("mock", &self.mock.issuer());
        recipe.refresh = facts;
        let setting = ProviderSetting {
            recipe,
            client_id: "client-mock".into(),
            client_secret: Some(SecretString::from(CLIENT_SECRET)),
            scopes: None,
        };
        operate::set_provider(&self.flows, &Operator::named("test"), self.app, setting).await.unwrap();
    }

    /// The app as a caller, authenticated by a newly signed call.
    pub(crate) async fn caller(&self) -> Caller {
        let timestamp = self.clock.now().as_seconds().to_string();
        let nonce = hex(&random_bytes::<16>(&*self.random));
        let parts =
            SignedParts { method: "POST", timestamp: &timestamp, nonce: &nonce, ..SignedParts::default() };
        let (content_sha256, signature) = (hex(&sha256(b"")), sign(self.key.expose_secret(), &parts));
        let signature =
            Signature { content_sha256: &content_sha256, signature: &signature, signature_v2: None };
        let call = PresentedCall {
            api_key: Some(self.key.clone()),
            parts,
            signature: Some(signature),
            request_id: REQUEST,
        };
        let known = callers::recognize(&self.flows, &call).await.unwrap();
        callers::authenticate(&self.flows, known, &call).await.unwrap()
    }

    pub(crate) async fn stored_app(&self) -> App {
        self.store.get_app(self.app).await.unwrap().unwrap()
    }

    /// Sessions that have not ended.
    pub(crate) async fn open_sessions(&self) -> usize {
        self.store.list_lapsed_sessions(Micros(i64::MAX), 100).await.unwrap().len()
    }

    /// The attempt to which an authorization URL belongs.
    pub(crate) async fn attempt(&self, authorize: &url::Url) -> Attempt {
        let (_, state) = authorize.query_pairs().find(|(name, _)| name == "state").unwrap();
        self.store.find_attempt(&sha256(state.as_bytes())).await.unwrap().unwrap()
    }

    pub(crate) async fn grants(&self) -> Vec<Grant> {
        let listed = self.store.list_grants(self.app, &GrantFilter::default(), 100, 0).await.unwrap();
        listed.into_iter().map(|listed| listed.grant).collect()
    }

    /// The database's file.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.directory.file()
    }

    /// How many audit entries have this name.
    pub(crate) async fn audited(&self, name: &str) -> usize {
        let entries = self.store.list_audit(self.app, 1000).await.unwrap();
        entries.iter().filter(|(kind, _)| kind == name).count()
    }

    /// How many token requests the provider has received.
    pub(crate) fn token_requests(&self) -> usize {
        self.mock.seen().token.len()
    }
}

fn flows(
    store: Arc<dyn Store>,
    clock: &StoppedClock,
    random: &Arc<SeededRandom>,
    refresh_pause: Duration,
) -> Flows {
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    let egress = Egress::new(EgressConfig { allow, ..EgressConfig::default() }).unwrap();
    let (root_key, _) = RootKey::generate(&|buffer| random.fill(buffer));
    let config = FlowsConfig { public_url: "https://alter.example".to_owned(), refresh_pause };
    Flows::new(config, store, Vault::new(root_key), egress, Arc::new(clock.clone()), random.clone())
}

pub(crate) fn recipe(id: &str, issuer: &str) -> Recipe {
    serde_json::from_value(json!({
        "id": id, "name": "Mock Provider", "issuer": issuer, "iss_parameter": true,
        "authorize_url": format!("{issuer}/authorize"), "token_url": format!("{issuer}/token"),
        "userinfo_url": format!("{issuer}/userinfo"), "jwks_url": format!("{issuer}/jwks"),
        "revoke_url": format!("{issuer}/revoke"),
        "default_scopes": ["openid", "email", "profile"],
        "api_hosts": [issuer.trim_start_matches("http://")]
    }))
    .unwrap()
}

/// Sends a GET to a URL on loopback. Returns status line, headers and body as they came.
pub(crate) async fn get(url: &url::Url, header: &str) -> String {
    let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let target = &url[url::Position::BeforePath..];
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{header}Connection: close\r\n\r\n");
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Calls the provider's API with a released token. Returns the status line.
pub(crate) async fn api_answer(world: &World, token: &SecretString) -> String {
    let url = world.mock.url("/api/me").parse().unwrap();
    let answer = get(&url, &format!("Authorization: Bearer {}\r\n", token.expose_secret())).await;
    answer.lines().next().unwrap_or_default().to_owned()
}
