//! What the operator has to know about refreshing as a whole.

use alter_core::{Micros, ReconnectCount, RefusedClient, StoreError};

use crate::Flows;

/// A refused client is asked about again within this time, unless the provider wants a longer pause, seconds.
const ASKED_AGAIN: i64 = 300;

/// How refreshing goes.
#[derive(Debug)]
pub struct Health {
    /// The grants that only their users can help, by app, provider and reason.
    pub reconnects: Vec<ReconnectCount>,
    /// The grants that wait because the provider does not accept the app's client.
    pub refused_clients: Vec<RefusedClient>,
    /// How late the oldest grant is that has to be looked at, seconds.
    pub late: Option<i64>,
}

/// Reads how refreshing goes.
///
/// # Errors
/// Storage failed.
pub async fn health(flows: &Flows) -> Result<Health, StoreError> {
    let (store, now) = (flows.store(), flows.now());
    Ok(Health {
        reconnects: store.count_reconnects().await?,
        refused_clients: store.count_refused_clients(now.plus_seconds(ASKED_AGAIN)).await?,
        late: oldest_due(flows, now).await?.map(|at| now.since(at) / 1_000_000),
    })
}

/// When the oldest refresh became due for which somebody can be asked: grants of a removed provider stay due.
async fn oldest_due(flows: &Flows, now: Micros) -> Result<Option<Micros>, StoreError> {
    let mut removed = Vec::new();
    loop {
        let oldest = flows.store().list_due_refreshes(now, &removed, 1).await?.pop();
        let Some(grant) = oldest else { return Ok(None) };
        if flows.store().get_provider(&grant.config_id).await?.is_some() {
            return Ok(grant.refresh_at);
        }
        removed.push(grant.config_id);
    }
}
