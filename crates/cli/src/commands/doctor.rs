//! `alter doctor`: checks what an operator most often gets wrong, and says what to do. Exit status 1 when something
//! must be mended.

use alter_core::{App, Level};
use alter_oauth::look_at_idp;
use serde_json::json;

use super::{idp::no_key, store_of};
use crate::{
    config::{Config, RootKeySource, is_private},
    output::Output,
    wiring,
};

/// One finding.
struct Finding {
    check: &'static str,
    ok: bool,
    text: String,
}

pub(crate) async fn run(config: &Config, output: Output) -> anyhow::Result<()> {
    let mut findings = vec![public_url(config), root_key(config)];
    match wiring::flows(config).await {
        Ok(flows) => {
            findings.push(finding("database", true, "opens, and the root key fits it"));
            let ready = flows.ready().await;
            let text = ready.as_ref().map_or_else(ToString::to_string, |()| "writes and reads".into());
            findings.push(finding("storage", ready.is_ok(), text));
            findings.extend(apps(config).await?);
        }
        Err(error) => findings.push(finding("database", false, format!("{error:#}"))),
    }
    let mark = |ok| if ok { "ok  " } else { "MEND" };
    let lines: Vec<_> =
        findings.iter().map(|f| format!("{}  {:<14} {}", mark(f.ok), f.check, f.text)).collect();
    let rows: Vec<_> =
        findings.iter().map(|f| json!({ "check": f.check, "ok": f.ok, "text": f.text })).collect();
    output.answer(&lines.join("\n"), &json!({ "findings": rows }));
    let bad = findings.iter().filter(|f| !f.ok).count();
    if bad > 0 {
        anyhow::bail!("{bad} of {} checks need mending", findings.len());
    }
    Ok(())
}

fn finding(check: &'static str, ok: bool, text: impl Into<String>) -> Finding {
    Finding { check, ok, text: text.into() }
}

fn public_url(config: &Config) -> Finding {
    match alter_server::Site::new(&config.public_url) {
        Ok(site) if site.secure => finding("public_url", true, &config.public_url),
        Ok(_) => {
            finding("public_url", true, format!("{} (plain http: for this machine only)", config.public_url))
        }
        Err(text) => finding("public_url", false, text),
    }
}

fn root_key(config: &Config) -> Finding {
    match (&config.root_key, config.root_key.load()) {
        (_, Err(error)) => finding("root key", false, format!("{error:#}")),
        (RootKeySource::Environment(_), Ok(_)) => finding("root key", true, "from ALTER_ROOT_KEY"),
        (RootKeySource::File(path), Ok(_)) if is_private(path) => {
            finding("root key", true, path.display().to_string())
        }
        (RootKeySource::File(path), Ok(_)) => finding(
            "root key",
            false,
            format!("{0} can be read by other users: chmod 600 {0}", path.display()),
        ),
    }
}

async fn apps(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let store = store_of(config).await?;
    let apps = store.list_apps().await?;
    if apps.is_empty() {
        return Ok(vec![finding("apps", true, "none yet: alter app create NAME")]);
    }
    let mut findings = Vec::new();
    for app in apps {
        let name = &app.settings.name;
        if matches!(app.min_binding(), Level::L0 | Level::L3) {
            let text = format!(
                "{name}: can mint no session (binding level not built): alter app set {} --website-url URL",
                app.id
            );
            findings.push(finding("app", false, text));
        }
        findings.extend(identity_provider(&app, config).await?);
        let providers = store.list_providers(app.id).await?;
        if providers.is_empty() {
            findings.push(finding(
                "app",
                false,
                format!("{name}: no provider: alter provider set {} ID ...", app.id),
            ));
        }
        for provider in providers {
            let id = &provider.recipe.id;
            let (ok, text) = match provider.recipe.api_hosts.is_empty() {
                true => {
                    (false, format!("{name}/{id}: no API host, so no token can be used: --api-host HOST"))
                }
                false => (
                    true,
                    format!(
                        "{name}/{id}: callback {}/oauth/callback/{}",
                        config.public_url, provider.config_id
                    ),
                ),
            };
            findings.push(finding("provider", ok, text));
        }
    }
    Ok(findings)
}

/// Asked now, as the next user token would have it asked.
async fn identity_provider(app: &App, config: &Config) -> anyhow::Result<Option<Finding>> {
    let Some(idp) = &app.settings.identity_provider else { return Ok(None) };
    let name = &app.settings.name;
    let found = look_at_idp(&wiring::egress(config)?, idp).await;
    let problem = found.as_ref().map_or_else(|error| Some(error.to_string()), |found| no_key(found.keys));
    let (ok, text) = match (problem, found) {
        (Some(problem), _) => (false, format!("{name}: {problem}: every user token is refused")),
        (None, Ok(found)) => (true, format!("{name}: {} keys at {}", found.keys, found.jwks_url)),
        (None, Err(error)) => (false, format!("{name}: {error}")),
    };
    Ok(Some(finding("idp", ok, text)))
}
