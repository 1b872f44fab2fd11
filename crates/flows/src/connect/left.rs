//! Tokens of an exchange that made no grant: nobody can use them, and they must not live on at the provider for nothing.
//!
//! The attempt has ended before, so that no replay makes a grant with tokens that were ended. The provider is asked once; the
//! tokens are nowhere in storage any more, so a process that dies here leaves them to their own end.

use alter_core::{Attempt, Filled, GrantSecret, ProviderConfig, grant::own_subject};
use alter_oauth::{Client, RevokedToken, TokenSet};
use tracing::Instrument;

use crate::{Flows, fault::FlowFault, grants::revocation::ends_others};

/// What an exchange left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) config: ProviderConfig,
    pub(super) tokens: TokenSet,
    /// Whose account it is, if that is known.
    pub(super) subject: Option<String>,
}

impl Left {
    /// Ends the tokens at the provider, where that ends nothing else. In a task of its own: nobody waits for it.
    pub(super) fn let_go(self, flows: &Flows, attempt: &Attempt) {
        let (own, app, sid) = (flows.clone(), attempt.app_id, attempt.sid.clone());
        let filled = attempt.filled.clone();
        let work = async move {
            let provider = &self.config.recipe.id;
            match self.try_to_end(&own, &filled).await {
                Ok(outcome) => tracing::info!(%sid, %app, provider, outcome, "tokens that nobody gets"),
                Err(error) => {
                    tracing::warn!(%sid, %app, provider, %error, "tokens that nobody gets are not ended at the provider");
                }
            }
        };
        drop(flows.inner.tasks.spawn(work.in_current_span()));
    }

    async fn try_to_end(&self, flows: &Flows, filled: &Filled) -> Result<&'static str, FlowFault> {
        let Some(how) = self.config.recipe.revocation() else {
            return Ok("shredded: no revocation is offered");
        };
        let by_account = how.params.values().any(|value| value.contains("{subject}"));
        if by_account && self.subject.is_none() {
            return Ok("shredded: the account is not known");
        }
        if ends_others(flows, &self.config, self.subject.as_deref()).await? {
            return Ok("shredded: the account's other grants would end with them");
        }
        let named = how.token.of(&self.tokens.access_token, self.tokens.refresh_token.as_ref());
        let Some((secret, token)) = named else { return Ok("shredded: no refresh token came") };
        let is_refresh_token = secret == GrantSecret::RefreshToken;
        let key = flows.sealer().current_key(self.config.app_id).await?;
        let client_secret = flows.sealer().client_secret(&key, &self.config).await?;
        let client = Client { id: &self.config.client_id, secret: client_secret.as_ref() };
        let subject = own_subject(self.subject.as_deref().unwrap_or_default(), filled);
        let what = RevokedToken { token, is_refresh_token, subject };
        let asked = alter_oauth::revoke(&flows.inner.egress, &self.config.recipe, &client, &what).await;
        Ok(match asked {
            Ok(()) => "ended at the provider",
            Err(error) => {
                tracing::warn!(provider = self.config.recipe.id, %error, "a revocation is not confirmed");
                "shredded: the provider did not confirm"
            }
        })
    }
}
