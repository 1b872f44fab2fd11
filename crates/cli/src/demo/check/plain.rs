//! Without a script: the app's server redirects, and confirms at the end.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use url::Url;

use super::walker::{Walker, location};
use crate::demo::plain::PATH;

pub(super) async fn walk(walker: &mut Walker<'_>) -> anyhow::Result<()> {
    let (app, server) = (walker.app, walker.server);
    let sent = walker.post_form(&format!("{app}/plain/connect"), app, &[]).await?;
    let link = Url::parse(&location(&sent)?)?;
    let token = link.fragment().and_then(|fragment| fragment.strip_prefix("session="));
    let token = token.context("the redirect has no session")?;
    walker.step("the app's server redirected a form without a script, and kept a verifier");

    let claimed = walker.post_json(server, "/connect/api/claim", server, &claim(token)).await?;
    let page = claimed["location"].as_str().context("the claim led nowhere")?;
    let page = page.split('?').next().unwrap_or_default().to_owned();
    let back = walker.there_and_back(&page).await?;

    let mut stranger = walker.without_cookies();
    stranger.get(&back).await?;
    ensure!(
        !shown(&mut stranger).await?.contains("<dt>Account</dt>"),
        "a stranger's visit connected something"
    );
    walker.step("the way back connected nothing for somebody else");

    walker.get(&back).await?;
    let text = shown(walker).await?;
    ensure!(text.contains("<dt>Account</dt>") && text.contains("&quot;notes&quot;"), "the page says: {text}");
    walker.step("the app's server confirmed with the verifier, and read the provider's API");

    walker.post_form(&format!("{app}/plain/disconnect"), app, &[]).await?;
    ensure!(!shown(walker).await?.contains("<dt>Account</dt>"), "the page still shows a connection");
    walker.step("the user disconnected the account there too");
    Ok(())
}

/// What the Connect page knows of a browser that a server's redirect has brought.
fn claim(token: &str) -> Value {
    let marks = json!({ "opener": false, "name": "", "referrer": "", "site": "cross-site", "history": 2 });
    json!({ "token": token, "marks": marks })
}

async fn shown(walker: &mut Walker<'_>) -> anyhow::Result<String> {
    let page = walker.get(&format!("{}{PATH}", walker.app)).await?;
    Ok(String::from_utf8_lossy(&page.body).into_owned())
}
