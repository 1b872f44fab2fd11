//! Whose account was connected (step 4 of [`super::exchange`]): read from the verified id_token, or from userinfo where
//! the recipe needs it.

use std::time::Duration;

use alter_core::{Attempt, Cause, Micros, ProviderConfig};
use alter_oauth::{IdTokenRefused, Identity, TokenSet};
use serde_json::Value;

use super::stop::{Stop, refused};
use crate::Flows;

/// Pauses before asking userinfo again: the code is spent, so after a hiccup here the user would have to consent anew.
const USERINFO_PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1000)];

pub(super) async fn read_identity(
    flows: &Flows,
    attempt: &Attempt,
    config: &ProviderConfig,
    tokens: &TokenSet,
    received_at: Micros,
) -> Result<Identity, Stop> {
    let recipe = &config.recipe;
    let asked_openid = attempt.scopes.iter().any(|s| s == "openid");
    let claims = match &tokens.id_token {
        Some(id_token) if asked_openid && recipe.jwks_url.is_some() => {
            let verified = flows.inner.jwks.of(config.app_id).verify_id_token(
                &flows.inner.egress,
                recipe,
                id_token,
                &config.client_id,
                &attempt.nonce,
                Some(&tokens.access_token),
                received_at,
                flows.now(),
            );
            Some(verified.await.map_err(id_token_stop)?)
        }
        _ if asked_openid && recipe.jwks_url.is_some() => {
            return Err(refused(Cause::IdTokenMissing, "openid was asked for and no id_token came"));
        }
        _ => None,
    };
    let userinfo = if alter_oauth::needs_userinfo(recipe, claims.as_ref()) {
        Some(ask_userinfo(flows, config, tokens).await?)
    } else {
        None
    };
    alter_oauth::identity(recipe, claims.as_ref(), userinfo.as_ref(), tokens)
        .map_err(|e| refused(Cause::IdentityUnreadable, e))
}

async fn ask_userinfo(flows: &Flows, config: &ProviderConfig, tokens: &TokenSet) -> Result<Value, Stop> {
    let ask = || {
        alter_oauth::userinfo(&flows.inner.egress, &config.recipe, &tokens.access_token, &tokens.token_type)
    };
    for pause in USERINFO_PAUSES {
        match ask().await {
            Ok(value) => return Ok(value),
            Err(error) if error.cause().is_final() => return Err(refused(error.cause(), error)),
            Err(error) => {
                tracing::warn!(provider = config.recipe.id, %error, "userinfo failed, asking again")
            }
        }
        tokio::time::sleep(pause).await;
    }
    ask().await.map_err(|error| refused(error.cause(), error))
}

/// When the provider's keys could not be fetched, the id_token may still be good: the answer stays in the journal and
/// is tried again.
fn id_token_stop(error: IdTokenRefused) -> Stop {
    match error.cause() {
        Some(cause) => refused(cause, error),
        None => Stop::Later(error.to_string()),
    }
}
