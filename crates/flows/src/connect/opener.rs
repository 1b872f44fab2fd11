//! What the flows of a configuration teach about its provider's pages ([`alter_core::opener`]).

use alter_core::{Attempt, ConfigId, Coop, ProviderConfig, Session, Shown, StoreError};

use crate::Flows;

/// What is known of the pages of a configuration's provider.
pub(super) async fn coop_of(flows: &Flows, config: &ProviderConfig) -> Result<Coop, StoreError> {
    let opener = flows.store().get_opener(&config.config_id).await?.unwrap_or_default();
    Ok(opener.coop(config.recipe.coop))
}

/// The browser has come back: if its popup looked closed at the provider, the provider severs. That counts also when the
/// flow is over, all the more if it was ended because of that popup.
pub(super) async fn learn_from_return(flows: &Flows, session: &Session, attempt: &Attempt) {
    if session.is_severed_at(attempt) {
        learn(flows, &attempt.config_id, Shown::Severs).await;
    }
}

/// Counts what a flow has shown. A lesson that cannot be stored is lost: the flow does not fail for it.
pub(super) async fn learn(flows: &Flows, config: &ConfigId, shown: Shown) {
    if let Err(error) = try_learn(flows, config, shown).await {
        tracing::warn!(%config, %error, "what a flow has shown of its provider's pages is not stored");
    }
}

async fn try_learn(flows: &Flows, config: &ConfigId, shown: Shown) -> Result<(), StoreError> {
    let Some(opener) = flows.store().get_opener(config).await? else { return Ok(()) };
    if opener.has(shown) {
        return Ok(());
    }
    flows.store().learn_opener(config, shown).await?;
    if shown == Shown::Severs {
        tracing::info!(%config, "a provider's page cuts the popup off: there, only the session's time ends a closed one");
    }
    Ok(())
}
