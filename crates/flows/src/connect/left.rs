//! Tokens of an exchange that made no grant: nobody can use them, and they must not live on at the provider for nothing.
//!
//! The attempt has ended before, so that no replay makes a grant with tokens that were ended. The provider is asked once; the
//! tokens are nowhere in storage any more, so a process that dies here leaves them to their own end.

use alter_core::{
    Attempt, Filled, GrantFilter, GrantStatus, ProviderConfig, StoreError,
    grant::own_subject,
    recipe::{Revoke, RevokeEnds, RevokeToken},
};
use alter_oauth::{Client, RevokedToken, TokenSet};
use secrecy::SecretString;
use tracing::Instrument;

use crate::{Flows, fault::FlowFault};

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
        if how.ends == RevokeEnds::Grant && self.is_shared(flows).await? {
            return Ok("shredded: the account's other grants would end with them");
        }
        let Some((token, is_refresh_token)) = named(&how, &self.tokens) else {
            return Ok("shredded: no refresh token came");
        };
        let key = flows.sealer().current_key(self.config.app_id).await?;
        let secret = flows.sealer().client_secret(&key, &self.config).await?;
        let client = Client { id: &self.config.client_id, secret: secret.as_ref() };
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

    /// Whether a grant that lives may belong to the same account and client. Of an account that is not known, any may.
    async fn is_shared(&self, flows: &Flows) -> Result<bool, StoreError> {
        let app = self.config.app_id;
        let configured = flows.store().list_providers(app).await?;
        let same_client = configured.iter().filter(|other| other.client_id == self.config.client_id);
        for other in same_client {
            let provider = &other.recipe.id;
            let shared = match &self.subject {
                Some(subject) => flows.store().has_grant_of_account(app, provider, subject).await?,
                None => {
                    let (provider, status) = (Some(provider.clone()), Some(GrantStatus::Active));
                    let filter = GrantFilter { provider, status, ..GrantFilter::default() };
                    flows.store().count_grants(app, &filter).await? > 0
                }
            };
            if shared {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The token that a revocation names, and whether it is the refresh token.
fn named<'a>(how: &Revoke, tokens: &'a TokenSet) -> Option<(&'a SecretString, bool)> {
    match (how.token, &tokens.refresh_token) {
        (RevokeToken::Strongest | RevokeToken::Refresh, Some(token)) => Some((token, true)),
        (RevokeToken::Refresh, None) => None,
        (RevokeToken::Strongest, None) | (RevokeToken::Access, _) => Some((&tokens.access_token, false)),
    }
}
