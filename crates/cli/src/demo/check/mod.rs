//! `alter demo --check`: walks every way to connect without a browser, step by step, over real sockets.

mod phone;
mod plain;
mod popup;
mod walker;

use alter_egress::Egress;
use alter_mock_provider::MockProvider;
use anyhow::Context;
use serde_json::json;

use crate::output::Output;
use walker::Walker;

pub(super) async fn walk(
    server: &str,
    app: &str,
    provider: &MockProvider,
    output: Output,
) -> anyhow::Result<()> {
    let http = Egress::new(super::local_egress()?)?;
    let mut walker = Walker::new(http, server, app, provider, output);
    let grant = every_way(&mut walker).await.context("the demo flow failed")?;
    output.answer("The whole flow works.", &json!({ "ok": true, "grant_id": grant }));
    Ok(())
}

/// Returns the grant that the popup made.
async fn every_way(walker: &mut Walker<'_>) -> anyhow::Result<String> {
    let grant = popup::walk(walker).await?;
    phone::walk(walker).await.context("on a phone")?;
    plain::walk(walker).await.context("without a script")?;
    Ok(grant)
}
