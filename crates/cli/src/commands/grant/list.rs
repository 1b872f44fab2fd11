//! `alter grant list APP`.

use alter_core::{Grant, ListedGrant, Micros, User};
use alter_flows::{Flows, grants, needs_reconnect};
use serde_json::{Value, json};

use crate::{commands::find_app, output::Output};

pub(super) async fn run(flows: &Flows, app: &str, page: (u32, u32), output: Output) -> anyhow::Result<()> {
    let app = find_app(flows, app).await?;
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    let now = flows.now();
    for (ListedGrant { grant, agents, .. }, user) in
        grants::list_grants_as_operator(flows, app.id, page).await?
    {
        lines.push(line(&grant, user.as_ref(), now));
        let mut row = row(&grant, user.as_ref(), now);
        row["delegated_agent_ids"] = agents.iter().map(ToString::to_string).collect();
        rows.push(row);
    }
    output.list(&lines, "No grants.", &json!({ "grants": rows }));
    Ok(())
}

fn line(grant: &Grant, user: Option<&User>, now: Micros) -> String {
    let connected = grant.updated_at.to_rfc3339();
    format!(
        "{}  {:<12} {:<9} {}  {connected}  {}  of {}",
        grant.id,
        grant.provider,
        if needs_reconnect(grant, now) { "reconnect" } else { grant.state(now).as_str() },
        grant.level.as_str(),
        account(grant),
        whose(user),
    )
}

/// The account's name, and that its owner may have made it up.
pub(super) fn account(grant: &Grant) -> String {
    let unverified = if grant.account_verified { "" } else { " (not verified)" };
    format!("{}{unverified}", grant.account_identifier)
}

/// The owner in words.
pub(super) fn whose(user: Option<&User>) -> &str {
    user.map_or("the app", |user| &user.label)
}

/// What `--json` prints about a grant.
pub(super) fn row(grant: &Grant, user: Option<&User>, now: Micros) -> Value {
    let reconnect = grant.reconnect(now).filter(|_| needs_reconnect(grant, now));
    json!({
        "grant_id": grant.id.to_string(), "provider_id": grant.provider, "status": grant.state(now).as_str(),
        "principal": user.map(|u| json!({ "app_user_id": u.id.to_string(), "iss": u.issuer, "sub": u.subject, "label": u.label })),
        "account_id": grant.subject, "account_identifier": grant.account_identifier,
        "account_verified": grant.account_verified, "account_display_name": grant.account_display_name,
        "label": grant.label, "scopes": grant.shown_scopes(), "missing_scopes": grant.missing_scopes,
        "customer": grant.filled, "provider_metadata": grant.metadata,
        "binding": grant.level.as_str(), "signed_in": grant.signed_in, "created_at": grant.created_at.to_rfc3339(),
        "updated_at": grant.updated_at.to_rfc3339(), "last_used_at": grant.last_used_at.map(Micros::to_rfc3339),
        "expires_at": grant.credential.expires_at.map(Micros::to_rfc3339),
        "grant_expires_at": grant.ends_at.map(Micros::to_rfc3339),
        "needs_reconnect": reconnect.is_some(),
        "reason": reconnect.map(|(reason, _)| reason.as_str()),
        "reconnect_since": reconnect.map(|(_, since)| since.to_rfc3339()),
        "revoked_at": grant.revoked.as_ref().map(|r| r.at.to_rfc3339()),
        "revocation": grant.revoked.as_ref().map(|r| r.outcome.as_str()),
    })
}
