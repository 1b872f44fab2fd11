//! Checks how refreshing goes: grants that need their users, clients that providers refuse, refreshes that are late.

use alter_core::{AppId, ReconnectCount, RefusedClient};
use alter_flows::refresh;

use super::{
    database::Seen,
    problem::{CLIENT_REFUSED, DATABASE_UNUSABLE, Finding, GRANTS_RECONNECT, REFRESH_LATE},
};

/// A refresh that is due for longer than this is late, seconds. The server looks every few seconds.
const LATE: i64 = 300;

pub(super) async fn look(seen: &Seen) -> Vec<Finding> {
    let health = match refresh::health(&seen.flows).await {
        Ok(health) => health,
        Err(error) => return vec![DATABASE_UNUSABLE.found(error.to_string())],
    };
    let reconnects = health.reconnects.iter().map(|count| to_reconnect(seen, count));
    let clients = health.refused_clients.iter().map(|count| refused_client(seen, count));
    let late = health.late.filter(|late| *late > LATE);
    let late = late.map(|late| REFRESH_LATE.found(format!("the oldest is due for {} minutes", late / 60)));
    let mut findings: Vec<_> = reconnects.chain(clients).chain(late).collect();
    if findings.is_empty() {
        findings.push(Finding::ok("grants", "none needs its user, and no refresh is late"));
    }
    findings
}

fn to_reconnect(seen: &Seen, count: &ReconnectCount) -> Finding {
    let ReconnectCount { app_id, provider, reason, grants } = count;
    let text = format!("{}: {}, {}", name(seen, *app_id, provider), reason.as_str(), counted(*grants));
    GRANTS_RECONNECT.on_provider(&app_id.to_string(), provider, text)
}

fn refused_client(seen: &Seen, count: &RefusedClient) -> Finding {
    let RefusedClient { app_id, provider, grants } = count;
    let text = format!("{}: {}", name(seen, *app_id, provider), counted(*grants));
    CLIENT_REFUSED.on_provider(&app_id.to_string(), provider, text)
}

fn counted(grants: u64) -> String {
    if grants == 1 { "1 grant".to_owned() } else { format!("{grants} grants") }
}

fn name(seen: &Seen, id: AppId, provider: &str) -> String {
    let app = seen.apps.iter().find(|(app, _)| app.id == id);
    format!("{}/{provider}", app.map_or("?", |(app, _)| &app.settings.name))
}
