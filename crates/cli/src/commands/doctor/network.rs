//! Checks what only a request can tell: whether the public address leads here, and whether providers can be reached.
//! Requests to providers go through the same egress as the server's, so both refuse the same hosts.

use alter_flows::ready;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use alter_core::{
    Clock, ProviderConfig, SystemClock,
    recipe::{Recipe, Status},
};
use alter_egress::{Egress, EgressConfig, EgressError, Limits, Request, Response};
use alter_oauth::{Discovered, discover, look_at_idp, look_at_keys};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::task::JoinSet;
use url::Url;

use super::{
    database::Seen,
    problem::{
        CLOCK_SKEW, CLOCK_WRONG, Finding, IDP_UNUSABLE, PROVIDER_KEYS, PROVIDER_METADATA,
        PROVIDER_NOT_RESOLVED, PROVIDER_PRIVATE, PROVIDER_TLS, PROVIDER_UNREACHABLE, PUBLIC_URL_ELSEWHERE,
        PUBLIC_URL_HOST, PUBLIC_URL_SILENT,
    },
};
use crate::{commands::idp::no_key, config::Config, wiring};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn look(seen: Option<&Seen>, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let usable = config.known_public_url().is_some_and(|url| alter_server::Site::new(url).is_ok());
    if let (Some(seen), true) = (seen, usable) {
        findings.push(public_url(seen, config).await);
    }
    if let (Some(seen), Ok(egress)) = (seen, wiring::egress(config)) {
        findings.extend(providers(seen, &egress).await);
        findings.extend(descriptions(seen, &egress).await);
        findings.extend(identity_providers(seen, &egress).await);
    }
    findings
}

async fn get(egress: &Egress, url: Url) -> Result<Response, EgressError> {
    let limits = Limits { total: PATIENCE, ..Limits::default() };
    let request =
        Request { method: Method::GET, url, headers: HeaderMap::new(), body: Vec::new().into(), limits };
    egress.send(request).await
}

/// Egress without the address filter, for the operator's own public URL: from this machine it may lead to loopback or
/// into a private network.
fn anywhere() -> Result<Egress, EgressError> {
    let allow = ["0.0.0.0/0", "::/0"].iter().filter_map(|net| net.parse().ok()).collect();
    Egress::new(EgressConfig { allow, ..EgressConfig::default() })
}

/// Asks `/healthz` first, which answers under any Host and so tells which server this is. Then asks another path, which
/// tells whether the Host arrives unchanged.
async fn public_url(seen: &Seen, config: &Config) -> Finding {
    let ask = async |path: &str| {
        let url = Url::parse(&format!("{}{path}", config.public_url)).map_err(|error| error.to_string())?;
        get(&anywhere().map_err(|e| e.to_string())?, url).await.map_err(|error| error.to_string())
    };
    let health = match ask("/healthz").await {
        Ok(health) => health,
        Err(error) => return PUBLIC_URL_SILENT.found(error),
    };
    let said: serde_json::Value = serde_json::from_slice(&health.body).unwrap_or_default();
    let instance = said["instance"].as_str();
    if instance.is_none() || instance != ready::instance(&seen.flows) {
        let who = instance.map_or("no Connect server", |_| "a Connect server of another database");
        return PUBLIC_URL_ELSEWHERE.found(format!(
            "{}: {who} answered /healthz with {}",
            config.public_url,
            health.status.as_u16()
        ));
    }
    match ask("/openapi.json").await {
        Ok(answer) if answer.status == StatusCode::MISDIRECTED_REQUEST => {
            PUBLIC_URL_HOST.found(&config.public_url)
        }
        Ok(_) => Finding::ok("reach", format!("{} leads to this server", config.public_url)),
        Err(error) => PUBLIC_URL_SILENT.found(error),
    }
}

/// Asks every token endpoint once, all at the same time.
async fn providers(seen: &Seen, egress: &Egress) -> Vec<Finding> {
    let recipes = seen.apps.iter().flat_map(|(_, providers)| providers).map(|provider| &provider.recipe);
    // Where each customer has a host, there is none to ask.
    let recipes = recipes.filter(|recipe| recipe.parameters.is_empty());
    let endpoints: BTreeMap<&str, &Recipe> =
        recipes.map(|recipe| (recipe.token_url.as_str(), &**recipe)).collect();
    let mut asked = JoinSet::new();
    for (endpoint, recipe) in endpoints {
        let (egress, id, endpoint) = (egress.clone(), recipe.id.clone(), endpoint.to_owned());
        asked.spawn(async move { provider(&egress, &id, &endpoint).await });
    }
    let mut findings: Vec<_> = asked.join_all().await.into_iter().flatten().collect();
    findings.sort_by(|a, b| a.text.cmp(&b.text));
    findings
}

/// Sends a GET to a token endpoint, which answers with some error. Any answer shows that it can be reached.
async fn provider(egress: &Egress, id: &str, endpoint: &str) -> Vec<Finding> {
    let Ok(url) = Url::parse(endpoint) else { return Vec::new() };
    match get(egress, url).await {
        Ok(answer) => {
            let reached = Finding::ok("reach", format!("{id}: its token endpoint answers"));
            [Some(reached), skew(id, &answer.headers)].into_iter().flatten().collect()
        }
        Err(error) => {
            let problem = match error {
                EgressError::Resolve { .. } => PROVIDER_NOT_RESOLVED,
                EgressError::BlockedDestination { .. } => PROVIDER_PRIVATE,
                EgressError::Tls { .. } => PROVIDER_TLS,
                _ => PROVIDER_UNREACHABLE,
            };
            vec![problem.found(format!("{id}: {error}"))]
        }
    }
}

/// Asks each provider for its keys, and for its metadata where they were pinned, all at the same time.
async fn descriptions(seen: &Seen, egress: &Egress) -> Vec<Finding> {
    let (mut asked, mut known) = (JoinSet::new(), BTreeSet::new());
    for provider in seen.apps.iter().flat_map(|(_, providers)| providers) {
        let recipe = &provider.recipe;
        let nowhere = recipe.jwks_url.is_none() || !recipe.parameters.is_empty();
        if nowhere || !known.insert((&recipe.jwks_url, &recipe.issuer, &recipe.token_url)) {
            continue;
        }
        let (egress, provider) = (egress.clone(), provider.clone());
        asked.spawn(async move {
            let (keys, metadata) = tokio::join!(keys(&egress, &provider), metadata(&egress, &provider));
            [keys, metadata].into_iter().flatten().collect::<Vec<_>>()
        });
    }
    let mut findings: Vec<_> = asked.join_all().await.into_iter().flatten().collect();
    findings.sort_by(|a, b| a.text.cmp(&b.text));
    findings
}

async fn keys(egress: &Egress, provider: &ProviderConfig) -> Option<Finding> {
    let (recipe, app) = (&provider.recipe, provider.app_id.to_string());
    let url = recipe.jwks_url.as_deref()?;
    let mend = |why: String| PROVIDER_KEYS.on_provider(&app, &recipe.id, format!("{}: {why}", recipe.id));
    Some(match look_at_keys(egress, url).await {
        Ok(0) => mend(format!("no key at {url} can verify a signature")),
        Ok(keys) => Finding::ok("reach", format!("{}: {keys} keys at {url}", recipe.id)),
        Err(error) => mend(format!("{url}: {error}")),
    })
}

/// A catalog entry was written from the documentation; only what discovery found can have moved since.
async fn metadata(egress: &Egress, provider: &ProviderConfig) -> Option<Finding> {
    let (recipe, app) = (&provider.recipe, provider.app_id.to_string());
    let issuer = recipe.issuer.as_deref().filter(|_| recipe.status == Status::Operator)?;
    let why = match discover(egress, issuer).await {
        Ok(found) => format!("its metadata name another {}", moved(&found, recipe)?),
        Err(error) => error.to_string(),
    };
    Some(PROVIDER_METADATA.on_provider(&app, &recipe.id, format!("{}: {why}", recipe.id)))
}

/// Returns an endpoint that is another one than the pinned, where discovery gave the pinned one.
fn moved(found: &Discovered, recipe: &Recipe) -> Option<&'static str> {
    let pinned = [
        ("authorization_endpoint", Some(&found.authorization_endpoint), Some(&recipe.authorize_url)),
        ("token_endpoint", Some(&found.token_endpoint), Some(&recipe.token_url)),
        ("jwks_uri", found.jwks_uri.as_ref(), recipe.jwks_url.as_ref()),
    ];
    pinned.into_iter().find(|(_, found, pinned)| found != pinned).map(|(name, ..)| name)
}

/// Asks each identity provider for its keys, as the next user token would.
async fn identity_providers(seen: &Seen, egress: &Egress) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (app, _) in &seen.apps {
        let Some(idp) = &app.settings.identity_provider else { continue };
        let (name, id) = (&app.settings.name, app.id.to_string());
        let found = look_at_idp(egress, idp).await.map_err(|error| error.to_string());
        let usable = found.and_then(|found| no_key(found.keys).map_or(Ok(found), Err));
        findings.push(match usable {
            Ok(found) => Finding::ok("idp", format!("{name}: {} keys at {}", found.keys, found.jwks_url)),
            Err(problem) => IDP_UNUSABLE.on_app(&id, format!("{name}: {problem}")),
        });
    }
    findings
}

fn skew(id: &str, headers: &HeaderMap) -> Option<Finding> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second();
    let seconds = SystemClock.now().as_seconds() - theirs;
    let text = format!("{id}: {} s {}", seconds.abs(), if seconds > 0 { "ahead of it" } else { "behind it" });
    match seconds.abs() {
        0..=60 => None,
        61..=240 => Some(CLOCK_SKEW.found(text)),
        _ => Some(CLOCK_WRONG.found(text)),
    }
}
