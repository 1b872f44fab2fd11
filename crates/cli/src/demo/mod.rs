//! `alter demo`: everything in one process, with throw-away data. The server is on `localhost`, a mock provider and a
//! demo app are on 127.0.0.1: ports of one host share cookies, so the server needs a host name of its own. The app is a
//! real client: HTTP and HMAC, no shared memory. `--check` walks the whole flow without a browser.

mod app;
mod check;
mod client;
mod plain;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use alter_core::{AppSettings, ClientAuth, IdentityProvider, Level, Random, Recipe, SystemRandom};
use alter_egress::{Egress, EgressConfig};
use alter_flows::{Flows, NewAgent, Operator, ProviderSetting, callers, connect, operate, ready, reap};
use alter_mock_provider::MockProvider;
use alter_server::{Limits, Shared};
use alter_vault::{RootKey, Vault};
use anyhow::Context;
use clap::Args;
use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    commands::serve::Signals,
    config::{Config, Given, LogFilter, RootKeySource, environment},
    database::{Database, Open},
    logging,
    output::{Output, Usage},
    wiring,
};

/// The audience of the app's user tokens, and the app's client id at the mock provider: the same in the demo.
const APP: &str = "demo-reader";
const PROVIDER: &str = "acme-notes";
const AGENT: &str = "notes-helper";
/// How long the provider's access tokens work: short, so that one sees them refreshed.
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// The flags of `alter demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The server's port; the demo app and the mock provider take the next two. 0 takes any free ports.
    #[arg(long, default_value_t = 8700)]
    port: u16,
    /// Walk the whole flow without a browser, print each step, and exit 0 or 1.
    #[arg(long)]
    check: bool,
}

/// Removes the throw-away data when the demo ends.
struct TempDir(PathBuf);

impl Drop for TempDir {
    fn drop(&mut self) {
        let _a_leftover_in_the_temp_folder = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn run(demo: Demo, output: Output) -> anyhow::Result<()> {
    let log = log_filter().map_err(|e| Usage(format!("{e:#}")))?;
    logging::start(&log)?;
    let port = if demo.check { 0 } else { demo.port };
    let next = |offset: u16| if port == 0 { 0 } else { port.saturating_add(offset) };
    let server = listen(port).await?;
    let app = listen(next(1)).await?;
    let provider = MockProvider::start_on(loopback(next(2))).await;
    let provider = Arc::new(provider.context("the mock provider did not start")?);
    provider.set(|switches| switches.access_token_life = TOKEN_LIFE);

    let data = TempDir(temp_dir()?);
    let config = demo_config(&data, server.local_addr()?.port())?;
    let flows = initialise(&config).await?;
    let app_origin = format!("http://127.0.0.1:{}", app.local_addr()?.port());
    let (app_key, agent_key) = set_up(&flows, &provider, &app_origin).await?;

    let router = alter_server::router(Shared::new(flows.clone()).map_err(anyhow::Error::msg)?);
    tokio::spawn(reap::reap_forever(flows.clone()));
    tokio::spawn(connect::beat_forever(flows.clone()));
    tokio::spawn(alter_server::serve(server, router, Limits::default(), std::future::pending()));
    let http = Egress::new(local_egress()?)?;
    let client = |key| client::AlterClient::new(http.clone(), &config.public_url, key);
    tokio::spawn(app::serve(app, client(app_key), client(agent_key), Arc::clone(&provider)));

    if demo.check {
        return check::walk(&config.public_url, &app_origin, &provider, output).await;
    }
    greet(&config.public_url, &app_origin, &provider.issuer(), output);
    Signals::new()?.next().await;
    flows.drain().await;
    Ok(())
}

/// The demo reads no other setting, but it refuses a misspelt one as every command does.
fn log_filter() -> anyhow::Result<LogFilter> {
    let env = environment()?;
    env.get("ALTER_LOG").filter(|filter| !filter.is_empty()).map_or("warn", String::as_str).parse()
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(loopback(port)).await.with_context(|| {
        format!("port {port} is taken: alter demo --port N (or --port 0 for any free ports)")
    })
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn local_egress() -> anyhow::Result<EgressConfig> {
    Ok(EgressConfig { allow: vec!["127.0.0.0/8".parse()?, "::1/128".parse()?], ..EgressConfig::default() })
}

fn temp_dir() -> anyhow::Result<PathBuf> {
    let path =
        std::env::temp_dir().join(format!("alter-demo-{}", alter_core::id::base32_text(&SystemRandom, 12)));
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

fn demo_config(data: &TempDir, port: u16) -> anyhow::Result<Config> {
    Ok(Config {
        listen: loopback(port),
        public_url: format!("http://localhost:{port}"),
        database: Database::Sqlite(data.0.join("alter.db")),
        root_key: RootKeySource::File(data.0.join("root.key")),
        root_key_old: None,
        log: log_filter()?,
        egress_allow: local_egress()?.allow,
        metrics_listen: None,
        connections: alter_server::Limits::default().connections,
        trusted_proxies: Vec::new(),
        data_dir: data.0.clone(),
        given: Given::default(),
    })
}

/// A demo's root key lives only in memory: once the process ends, nobody can decrypt the data.
async fn initialise(config: &Config) -> anyhow::Result<Flows> {
    let (root_key, _text) = RootKey::generate(&|buffer| SystemRandom.fill(buffer));
    let flows = wiring::assemble(config, config.database.open(Open::Create).await?, Vault::new(root_key))?;
    ready::initialise(&flows).await?;
    Ok(flows)
}

/// Creates the app with its agent, its identity provider and its provider. Returns the keys of app and agent.
async fn set_up(
    flows: &Flows,
    provider: &MockProvider,
    app_origin: &str,
) -> anyhow::Result<(Arc<SecretString>, Arc<SecretString>)> {
    let mut settings = AppSettings::named("Demo Reader");
    settings.website_url = Some(app_origin.to_owned());
    settings.min_binding = Some(Level::L2);
    let jwks_url = Some(format!("{}/jwks", provider.issuer()));
    settings.identity_provider = Some(IdentityProvider {
        issuer: provider.issuer(),
        audience: Some(APP.to_owned()),
        jwks_url,
        ..IdentityProvider::default()
    });
    let made = operate::create_app(flows, &Operator::named("demo"), settings).await?;
    let secret = SecretString::from(alter_core::id::base32_text(&SystemRandom, 32));
    let config = operate::set_provider(
        flows,
        &Operator::named("demo"),
        made.app.id,
        ProviderSetting {
            recipe: acme_notes(&provider.issuer())?,
            client_id: APP.into(),
            client_secret: Some(secret.clone()),
            scopes: None,
        },
    )
    .await?;
    let callback = connect::callback_url(flows, &config);
    provider.register_client(APP, Some(secrecy::ExposeSecret::expose_secret(&secret)), &[&callback]);
    let agent =
        NewAgent { name: AGENT.into(), display_name: Some("Notes helper".into()), ..NewAgent::default() };
    let agent = callers::create_agent_as_operator(flows, &Operator::named("demo"), made.app, agent).await?;
    let agent_key = agent.key.context("a new agent has a key")?;
    Ok((Arc::new(made.key.secret), Arc::new(agent_key.secret)))
}

fn acme_notes(issuer: &str) -> anyhow::Result<Recipe> {
    let mut recipe: Recipe = serde_json::from_value(json!({
        "id": PROVIDER, "name": "Acme Notes", "issuer": issuer, "iss_parameter": true,
        "authorize_url": format!("{issuer}/authorize"), "token_url": format!("{issuer}/token"),
        "userinfo_url": format!("{issuer}/userinfo"), "jwks_url": format!("{issuer}/jwks"),
        "revoke_url": format!("{issuer}/revoke"),
        "default_scopes": ["openid", "email", "profile", "notes.read"],
        "scopes": {
            "openid": "Know who you are at Acme Notes", "email": "See your e-mail address",
            "profile": "See your name", "notes.read": "Read your notes"
        },
        "api_hosts": [issuer.trim_start_matches("http://")],
        "coop": "keeps"
    }))?;
    recipe.client_auth = ClientAuth::Basic;
    Ok(recipe)
}

fn greet(server: &str, app: &str, provider: &str, output: Output) {
    let ports: Vec<&str> = [server, app, provider].iter().filter_map(|url| url.rsplit(':').next()).collect();
    let forwards: Vec<String> = ports.iter().map(|p| format!("-L {p}:localhost:{p}")).collect();
    let text = format!(
        "Open the demo app:  {app}\n\n  the Connect server  {server}\n  the mock provider   {provider}\n\n\
         Working over ssh?   ssh {} YOUR-MACHINE\nCtrl-C ends it; nothing is kept.",
        forwards.join(" ")
    );
    output.answer(&text, &json!({ "app": app, "server": server, "provider": provider }));
}
