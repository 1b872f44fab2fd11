//! What nobody asks for and has to be done all the same: refreshing grants that are in use, or whose refresh token would
//! die of disuse; probing after a refusal; and finishing what a crash has broken off.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use alter_core::{
    AppId, Asked, AuditEntry, AuditKind, ConfigId, DiscardRefresh, Grant, ProviderConfig, RefreshAttempt,
    Saved, StoreError,
};

use super::{
    attempt::{Asking, replay},
    flight::{Landing, join, landed},
};
use crate::{Flows, fault::FlowFault, metrics};

/// An answer that could not be applied for this long never will be (its sealed value is damaged), seconds.
const REPLAYED_FOR: i64 = 24 * 3600;
/// Rows of each kind per round.
const BATCH: u32 = 500;
/// An answer that is older than this and not applied is not being applied by anybody, seconds.
const LEFT_AFTER: u32 = 60;

/// One round, to its end: everything that was due has been tried.
///
/// # Errors
/// The first failure of storage, after the whole round was tried.
pub async fn sweep(flows: &Flows) -> Result<(), StoreError> {
    let (begun, result) = begin_sweep(flows).await;
    for landing in begun {
        landed(landing).await;
    }
    result
}

/// Begins a round. Its refreshes run on in tasks of their own: a provider that hangs holds nobody up.
pub(crate) async fn begin_sweep(flows: &Flows) -> (Vec<Landing>, Result<(), StoreError>) {
    let mut configs = Configs::default();
    let left = finish_answers(flows, &mut configs).await;
    match refresh_due(flows, &mut configs).await {
        Ok(begun) => (begun, left),
        Err(error) => (Vec::new(), Err(error)),
    }
}

/// The provider configurations of one round, each read once.
#[derive(Default)]
struct Configs(HashMap<(AppId, ConfigId), Known>);

#[derive(Clone)]
enum Known {
    There(Box<ProviderConfig>),
    /// The operator removed it.
    Removed,
    /// Somebody without the root key changed it.
    Unproven,
}

impl Configs {
    async fn get(&mut self, flows: &Flows, grant: &Grant) -> Result<Known, StoreError> {
        let id = (grant.app_id, grant.config_id.clone());
        if let Some(known) = self.0.get(&id) {
            return Ok(known.clone());
        }
        let found = match flows.provider(id.0, &id.1).await {
            Ok(Some(config)) => Known::There(Box::new(config)),
            Ok(None) => Known::Removed,
            Err(FlowFault::Store(error)) => return Err(error),
            // One such row must not keep the others' grants from being refreshed.
            Err(error) => {
                tracing::error!(%error, "grants of a provider are not refreshed");
                Known::Unproven
            }
        };
        self.0.insert(id, found.clone());
        Ok(found)
    }
}

async fn finish_answers(flows: &Flows, configs: &mut Configs) -> Result<(), StoreError> {
    let after = alter_failpoint::seconds("ALTER_REFRESH_HOLD", LEFT_AFTER);
    let before = flows.now().plus_seconds(-i64::from(after));
    for attempt in flows.store().list_journalled_refreshes(before, BATCH).await? {
        let Some(grant) = flows.store().get_grant(attempt.app_id, attempt.grant_id).await? else { continue };
        let config = match configs.get(flows, &grant).await? {
            Known::There(config) => config,
            Known::Removed => {
                // The grant cannot be used any more, and its tokens are not to lie here for ever.
                give_up_answer(flows, &grant, attempt, "provider_removed").await?;
                continue;
            }
            Known::Unproven => continue,
        };
        let mut asking = Asking::of(&grant, &config, Asked::Clock);
        asking.generation = attempt.generation;
        let Err(error) = replay(flows, &asking, &attempt).await else { continue };
        let hopeless = flows.now() >= attempt.begun_at.plus_seconds(REPLAYED_FOR);
        tracing::error!(grant_id = %grant.id, %error, hopeless, "a journalled answer could not be applied");
        if hopeless {
            give_up_answer(flows, &grant, attempt, "unreadable").await?;
        }
    }
    Ok(())
}

/// Wipes an answer that can never be applied.
async fn give_up_answer(
    flows: &Flows,
    grant: &Grant,
    attempt: RefreshAttempt,
    why: &'static str,
) -> Result<(), StoreError> {
    let at = flows.now();
    let details = serde_json::json!({ "provider": grant.provider, "why": why });
    let entry = AuditEntry::new(grant.app_id, at, AuditKind::RefreshDiscarded, details);
    let discard = DiscardRefresh {
        attempt,
        outcome: why,
        request: None,
        at,
        audit: AuditEntry { grant_id: Some(grant.id), ..entry },
    };
    let (Saved::Done | Saved::Moved) = flows.store().discard_refresh(discard).await?;
    Ok(())
}

async fn refresh_due(flows: &Flows, configs: &mut Configs) -> Result<Vec<Landing>, StoreError> {
    let now = flows.now();
    let mut shunned = flows.inner.gates.shunned(now);
    shunned.extend(flows.inner.gone.list());
    let due = flows.store().list_due_refreshes(now, &shunned, BATCH).await?;
    let latest = due.first().and_then(|grant| grant.refresh_at).map_or(0, |at| now.since(at));
    metrics::refreshes_late(latest / 1_000_000, flows.inner.gates.closed(now));
    let mut begun = Vec::new();
    for grant in due {
        match configs.get(flows, &grant).await? {
            Known::There(config) => begun.push(join(flows, Asking::of(&grant, &config, Asked::Clock))),
            Known::Removed => flows.inner.gone.add(grant.config_id),
            Known::Unproven => flows.inner.gates.shun(&grant.config_id, now),
        }
    }
    Ok(begun)
}

/// Configurations that the operator removed: their grants stay due, and nobody can be asked. An id does not come back.
#[derive(Default)]
pub(crate) struct Gone(Mutex<HashSet<ConfigId>>);

impl Gone {
    fn list(&self) -> Vec<ConfigId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn add(&self, config: ConfigId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(config);
    }
}
