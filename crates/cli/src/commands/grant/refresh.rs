//! `alter grant refresh APP ID`.

use alter_core::{App, Grant, GrantId, GrantState, Micros};
use alter_flows::{Flows, NotUsable, RefreshError, refresh};
use anyhow::anyhow;
use serde_json::json;

use super::words;
use crate::{commands::operator, output::Output};

pub(super) async fn run(flows: &Flows, app: &App, id: GrantId, output: Output) -> anyhow::Result<()> {
    match refresh::refresh_as_operator(flows, &operator(), app.id, id).await {
        Ok(grant) => {
            done(&grant, output);
            Ok(())
        }
        Err(error) => Err(refused(error, app, id, flows.now())),
    }
}

fn done(grant: &Grant, output: Output) {
    let until = grant.credential.expires_at.map(Micros::to_rfc3339);
    let text = match &until {
        Some(until) => format!("Refreshed: the new access token works until {until}."),
        None => "Refreshed: the provider did not say how long the new access token works.".to_owned(),
    };
    let value = json!({
        "grant_id": grant.id.to_string(), "refreshed": true, "expires_at": until,
        "missing_scopes": grant.missing_scopes,
    });
    output.answer(&text, &value);
}

fn refused(error: RefreshError, app: &App, id: GrantId, now: Micros) -> anyhow::Error {
    let app = app.id.to_string();
    match error {
        RefreshError::NotFound => anyhow!("the app has no grant {id} (alter grant list {app})"),
        RefreshError::Ended(GrantState::Expired) => {
            anyhow!("the grant has come to its end: only the user can help, by connecting the account again")
        }
        RefreshError::Ended(state) => {
            anyhow!("the grant is {}: nothing can refresh it (alter grant list {app})", state.as_str())
        }
        RefreshError::NoProvider(provider) => anyhow!(
            "{provider} was removed from the app, so its grants can no longer be used: set it again \
             (alter provider set {app} {provider}), and let the user connect the account again"
        ),
        RefreshError::NotUsable(error) => anyhow!("not refreshed: {}", not_usable(&error, &app, now)),
    }
}

fn not_usable(error: &NotUsable, app: &str, now: Micros) -> String {
    match error {
        NotUsable::Reconnect { reason, since, .. } => words::reconnect(*reason, *since, now),
        NotUsable::InProgress(_) => {
            "another process is refreshing this grant just now: look again in a minute (alter grant show)"
                .into()
        }
        NotUsable::Later { provider, trouble, .. } => words::trouble(*trouble, app, provider),
        NotUsable::Fault(fault) => format!("{fault} (alter doctor)"),
    }
}
