//! As on a phone: the page itself leaves, and comes back with a ticket.

use anyhow::{Context, ensure};
use serde_json::json;
use url::Url;

use super::walker::Walker;
use crate::demo::app::PHONE_PATH;

pub(super) async fn walk(walker: &mut Walker<'_>) -> anyhow::Result<()> {
    let app = walker.app;
    let session = walker.post_json(app, "/api/session", app, &json!({ "page": PHONE_PATH })).await?;
    let token = session["sessionToken"].as_str().context("no session token")?.to_owned();
    let opened = walker.open(&token, "r").await?;
    let back = Url::parse(&walker.there_and_back(&opened.page).await?)?;
    ensure!(back.as_str().starts_with(&format!("{app}{PHONE_PATH}?")), "the way back led to {back}");
    walker.step("a phone's page left for the Connect page and the provider, and came back");

    let (_, ticket) = back.query_pairs().next().context("the way back has no ticket")?;
    let redeemed = walker.ask("/connect/result", &json!({ "result_code": ticket, "v": opened.v })).await?;
    ensure!(redeemed["status"] == "completed", "the result is {}", redeemed["status"]);
    walker.read("/api/notes").await?;
    walker.step("it redeemed its ticket, and the backend read the provider's API");
    Ok(())
}
