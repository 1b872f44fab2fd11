//! By popup, as on a desktop: and then all that the app does with its grant.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::walker::{Opened, Walker, location};
use crate::demo::TOKEN_LIFE;

/// How long the first access token works here, so that nobody has to wait for a minute.
const FIRST_TOKEN: Duration = Duration::from_secs(2);

pub(super) async fn walk(walker: &mut Walker<'_>) -> anyhow::Result<String> {
    let app = walker.app;
    let session = walker.post_json(app, "/api/session", app, &json!({ "page": "/" })).await?;
    let token = session["sessionToken"].as_str().context("no session token")?.to_owned();
    walker.step("the app's backend minted a session for its user and an agent");

    let opened = walker.open(&token, "p").await?;
    walker.step("the popup proved its origin and claimed the session (L2)");

    let status = status(walker, &token, &opened).await?;
    ensure!(status["status"] == "open", "the status is {}", status["status"]);
    let authorize = walker.consent(&opened.page).await?;
    walker.step("the consent page named user and agent, and was approved");

    let callback = walker.approve_at_provider(&authorize).await?;
    walker.step("the provider's consent form was shown and approved");
    walker.provider.set(|switches| switches.access_token_life = FIRST_TOKEN);
    let back = walker.get(&callback).await?;
    ensure!(location(&back)? == opened.page, "the callback led to {}", location(&back)?);
    walker.step("the code was exchanged, the credential sealed, the grant stored");

    let done = self::status(walker, &token, &opened).await?;
    ensure!(done["status"] == "completed", "the status is {}", done["status"]);
    let grant = done["connections"][0]["grant_id"].as_str().context("no grant id")?.to_owned();
    walker.provider.set(|switches| switches.access_token_life = TOKEN_LIFE);
    let over = Instant::now() + FIRST_TOKEN;
    walker.step("the status channel told the app page");

    use_it(walker, over).await?;
    disconnect(walker, &grant).await?;
    Ok(grant)
}

async fn use_it(walker: &mut Walker<'_>, over: Instant) -> anyhow::Result<()> {
    walker.read("/api/notes").await?;
    walker.step("the app's backend read the provider's API for its user");
    walker.read("/api/agent").await?;
    walker.step("the agent read it with its own key");
    tokio::time::sleep_until(over).await;
    walker.read("/api/notes").await?;
    ensure!(walker.provider.refresh_counts().honoured > 0, "the provider has refreshed no token");
    walker.step("the access token ran out, and the next call got a refreshed one");
    Ok(())
}

async fn disconnect(walker: &mut Walker<'_>, grant: &str) -> anyhow::Result<()> {
    let app = walker.app;
    walker.post_json(app, "/api/disconnect", app, &json!({ "grant_id": grant })).await?;
    let Err(refused) = walker.read("/api/agent").await else {
        bail!("the agent can still read after the disconnect")
    };
    ensure!(format!("{refused:#}").contains("no_delegated_grant"), "the agent was told {refused:#}");
    walker.step("the user disconnected the account, and the agent is refused");
    Ok(())
}

async fn status(walker: &mut Walker<'_>, token: &str, opened: &Opened) -> anyhow::Result<Value> {
    let body = json!({ "session_token": token, "cb": opened.cb, "cursor": 0 });
    walker.ask("/connect/status", &body).await
}
