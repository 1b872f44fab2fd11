//! Listing and revoking grants (wire 3.5, 3.6), and ending delegations (3.11).
//!
//! Revoking:
//!
//! 1. The grant is the app's, and the user's when a token came.
//! 2. Its refresh token, or else its access token, is opened and sealed for the queue of revocations.
//! 3. Grant, delegations, queue and audit in one commit: from here on nothing can be released, and the grant's own
//!    values are gone.
//! 4. The provider is asked, in a task of its own; the call waits a moment for the answer. What it does not answer is
//!    asked again by `reap`, for a day.

use std::{collections::HashMap, time::Duration};

use alter_core::{
    AgentId, AuditEntry, AuditKind, Grant, GrantFilter, GrantId, GrantStatus, ListedGrant, Micros, Principal,
    ProviderConfig, Revocation, RevocationOutcome, RevokeGrant, RevokedGrant, StoreError,
    provider::{RevokeEnds, RevokeToken},
};
use alter_oauth::{Client, RevokeError, RevokedToken};
use secrecy::{ExposeSecret, SecretString};
use tracing::Instrument;

use crate::{
    AppKeyRequired, Caller, Flows, UserTokenError, VerifyUserError,
    actor::Actor,
    choose::Whose,
    context::{FlowFault, SealedPlace},
    metrics,
};

/// How long a call waits for the provider's answer.
const WAIT: Duration = Duration::from_secs(5);
/// How long a provider is asked again, seconds.
const ASKED_FOR: i64 = 24 * 3600;
/// The first pause between two requests, seconds; each is twice the one before.
const FIRST_PAUSE: i64 = 60;
/// The longest pause, seconds.
const LONGEST_PAUSE: i64 = 3600;

/// What the backend asks for.
#[derive(Debug, Default)]
pub struct ListRequest<'a> {
    /// Provider id.
    pub provider: Option<&'a str>,
    /// A status; one that there is not finds nothing.
    pub status: Option<&'a str>,
    /// `account_identifier`, to the byte.
    pub account: Option<&'a str>,
    /// `label`, to the byte.
    pub label: Option<&'a str>,
    /// The user whose grants are wanted.
    pub user_token: Option<&'a SecretString>,
    /// At most so many, 1-1000.
    pub limit: u32,
    /// Skip so many.
    pub offset: u32,
}

/// A page of grants.
#[derive(Debug)]
pub struct GrantPage {
    /// Newest first.
    pub grants: Vec<ListedGrant>,
    /// How many there are in all.
    pub total: u64,
    /// `https://HOST` of each provider's first API host, by configuration.
    pub api_bases: HashMap<String, String>,
    /// The agent that asked.
    pub agent: Option<AgentId>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// About the user token.
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<VerifyUserError> for ListError {
    fn from(error: VerifyUserError) -> Self {
        match error {
            VerifyUserError::User(error) => Self::User(error),
            VerifyUserError::Store(error) => Self::Store(error),
        }
    }
}

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeGrantError {
    /// An agent's key came.
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    /// The app, or the user, has no such grant.
    #[error("there is no such grant")]
    NotFound,
    /// About the user token.
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// Ours.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

impl From<StoreError> for RevokeGrantError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<VerifyUserError> for RevokeGrantError {
    fn from(error: VerifyUserError) -> Self {
        match error {
            VerifyUserError::User(error) => Self::User(error),
            VerifyUserError::Store(error) => error.into(),
        }
    }
}

/// Why a delegation was not ended.
#[derive(Debug, thiserror::Error)]
pub enum RevokeDelegationError {
    /// An agent ends its own delegations on another path.
    #[error("an agent's key ends delegations by the path .../delegations/me")]
    UseSelfPath,
    /// The path is for agents.
    #[error("this path needs an agent's key")]
    AgentKeyRequired,
    /// The app has no such grant.
    #[error("there is no such grant")]
    GrantNotFound,
    /// The app has no such agent.
    #[error("there is no such agent")]
    AgentNotFound,
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Flows {
    /// Lists grants: an app's, a user's, or those delegated to the agent that asks.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn list_grants(
        &self,
        caller: &Caller,
        request: &ListRequest<'_>,
    ) -> Result<GrantPage, ListError> {
        self.spend_nonce(caller).await?;
        let whose = self.whose(caller, request.user_token).await?;
        let agent = caller.agent.as_ref().map(|agent| agent.id);
        let mut page = GrantPage { grants: Vec::new(), total: 0, api_bases: HashMap::new(), agent };
        let status = request.status.map(|text| {
            [GrantStatus::Active, GrantStatus::Revoked].into_iter().find(|status| status.as_str() == text)
        });
        let (Whose::Unsaid | Whose::User(_), None | Some(Some(_))) = (&whose, &status) else {
            return Ok(page);
        };
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let filter = GrantFilter {
            principal: match &whose {
                Whose::User(user) => Some(Principal::User(user.id)),
                _ => None,
            },
            agent,
            provider: owned(request.provider),
            status: status.flatten(),
            account: owned(request.account),
            label: owned(request.label),
        };
        let app = caller.app.id;
        page.grants = self.store().list_grants(app, &filter, request.limit, request.offset).await?;
        // A page that is not full says itself how many there are; counting reads as many index entries as there are grants.
        let seen = page.grants.len() as u64;
        page.total = match seen < u64::from(request.limit) && (seen > 0 || request.offset == 0) {
            true => u64::from(request.offset) + seen,
            false => self.store().count_grants(app, &filter).await?,
        };
        page.api_bases = api_bases(&self.store().list_providers(app).await?);
        Ok(page)
    }

    /// Revokes a grant of the app. One that is revoked already stays as it is.
    ///
    /// # Errors
    /// [`RevokeGrantError`].
    pub async fn revoke_grant(
        &self,
        caller: &Caller,
        id: GrantId,
        reason: Option<&str>,
        user_token: Option<&SecretString>,
        request_id: &str,
    ) -> Result<RevokedGrant, RevokeGrantError> {
        let revoked = self.try_revoke_grant(caller, id, reason, user_token, request_id).await;
        if !matches!(revoked, Ok((_, true)) | Err(RevokeGrantError::Fault(_))) {
            // A call that changed nothing is spent too: the same bytes must not do something later (T61).
            self.spend_nonce(caller).await?;
        }
        Ok(revoked?.0)
    }

    /// Also whether this call did it.
    async fn try_revoke_grant(
        &self,
        caller: &Caller,
        id: GrantId,
        reason: Option<&str>,
        user_token: Option<&SecretString>,
        request_id: &str,
    ) -> Result<(RevokedGrant, bool), RevokeGrantError> {
        caller.app_only()?;
        let whose = self.whose(caller, user_token).await?;
        let may = |grant: &Grant| match &whose {
            Whose::Unsaid => true,
            Whose::User(user) => grant.principal == Principal::User(user.id),
            Whose::Stranger => false,
        };
        self.revoke_as(&Actor::of(caller, request_id), id, reason, may).await
    }

    /// Revokes a grant as the operator.
    ///
    /// # Errors
    /// [`RevokeGrantError`].
    pub async fn revoke_grant_as_operator(
        &self,
        app: alter_core::App,
        id: GrantId,
        reason: Option<&str>,
    ) -> Result<RevokedGrant, RevokeGrantError> {
        Ok(self.revoke_as(&Actor::operator(app), id, reason, |_| true).await?.0)
    }

    async fn revoke_as(
        &self,
        actor: &Actor,
        id: GrantId,
        reason: Option<&str>,
        may: impl Fn(&Grant) -> bool,
    ) -> Result<(RevokedGrant, bool), RevokeGrantError> {
        // A grant that moved meanwhile (the user reconnected, a token was refreshed, a key was replaced) is read again.
        for _ in 0..8 {
            let found = self.store().get_grant(actor.app.id, id).await?;
            let grant = found.filter(&may).ok_or(RevokeGrantError::NotFound)?;
            if let Some(revoked) = grant.revoked {
                return Ok((revoked, false));
            }
            let request = match self.revocation_of(&grant).await {
                Err(fault) if fault.is_conflict() => continue,
                request => request?,
            };
            let at = self.now();
            let revoke = RevokeGrant {
                call: actor.call,
                app_id: grant.app_id,
                grant_id: id,
                generation: grant.credential.generation,
                at,
                reason: reason.map(str::to_owned),
                request: request.clone(),
                audit: AuditEntry {
                    grant_id: Some(id),
                    user_id: grant.principal.user(),
                    ..actor.entry(
                        at,
                        AuditKind::GrantRevoked,
                        serde_json::json!({ "provider": grant.provider, "reason": reason }),
                    )
                },
            };
            match self.store().revoke_grant(revoke).await {
                Ok(true) => {}
                Ok(false) | Err(StoreError::Conflict) => continue,
                Err(error) => return Err(error.into()),
            }
            let outcome = match request {
                Ok(request) => self.ask_and_wait(request).await,
                Err(outcome) => outcome,
            };
            return Ok((RevokedGrant { at, reason: reason.map(str::to_owned), outcome }, true));
        }
        Err(StoreError::Conflict.into())
    }

    /// Step 2: what is to be asked of the provider, or why nothing is.
    async fn revocation_of(&self, grant: &Grant) -> Result<Result<Revocation, RevocationOutcome>, FlowFault> {
        let config = self.store().get_provider(&grant.config_id).await?;
        let Some(how) = config.and_then(|config| config.recipe.revocation()) else {
            return Ok(Err(RevocationOutcome::NotOffered));
        };
        let key = self.current_key(grant.app_id).await?;
        let row = grant.id.to_string();
        let credential = &grant.credential;
        // Ending the refresh token ends the whole grant (RFC 7009 section 2.1), where there is one.
        let (column, sealed) = match (how.token, &credential.refresh_token) {
            (RevokeToken::Access, _) | (RevokeToken::Strongest, None) => {
                ("access_token", &credential.access_token)
            }
            (RevokeToken::Strongest | RevokeToken::Refresh, Some(sealed)) => ("refresh_token", sealed),
            (RevokeToken::Refresh, None) => return Ok(Err(RevocationOutcome::NotOffered)),
        };
        let place = |table, column, generation| SealedPlace {
            app: grant.app_id,
            table,
            column,
            row: &row,
            generation,
        };
        let opened = self.open_text(&key, &place("grants", column, credential.generation), sealed).await;
        let token = match opened {
            Ok(token) => token,
            Err(fault) if fault.is_conflict() => return Err(fault),
            Err(error) => {
                // A value that cannot be opened cannot be revoked at the provider either; here it can.
                tracing::error!(grant_id = %grant.id, %error, "a grant is revoked without asking its provider");
                return Ok(Err(RevocationOutcome::GivenUp));
            }
        };
        let token = self.seal(&key, &place("revocations", "token", 0), token.expose_secret().as_bytes())?;
        let now = self.now();
        Ok(Ok(Revocation {
            grant_id: grant.id,
            app_id: grant.app_id,
            config_id: grant.config_id.clone(),
            is_refresh_token: column == "refresh_token",
            token,
            attempts: 0,
            next_at: now,
            created_at: now,
        }))
    }

    async fn ask_and_wait(&self, request: Revocation) -> RevocationOutcome {
        let flows = self.clone();
        let task =
            self.inner.tasks.spawn(async move { flows.ask_to_revoke(&request).await }.in_current_span());
        match tokio::time::timeout(WAIT, task).await {
            Ok(Ok(outcome)) => outcome,
            // Still asking, or it broke off: the queue has it.
            Err(_) | Ok(Err(_)) => RevocationOutcome::Pending,
        }
    }

    /// One request to the provider, if its time has come and nobody else makes it. Never fails outwards: what is not
    /// answered stays in the queue.
    pub(crate) async fn ask_to_revoke(&self, request: &Revocation) -> RevocationOutcome {
        match self.try_to_revoke(request).await {
            Ok(outcome) => {
                metrics::revocation_asked(outcome);
                outcome
            }
            Err(error) => {
                tracing::error!(grant_id = %request.grant_id, %error, "a revocation could not be handled");
                RevocationOutcome::Pending
            }
        }
    }

    async fn try_to_revoke(&self, request: &Revocation) -> Result<RevocationOutcome, FlowFault> {
        let now = self.now();
        if !self.store().claim_revocation(request, now.plus_seconds(pause(request.attempts))).await? {
            return Ok(RevocationOutcome::Pending);
        }
        let outcome = match self.store().get_provider(&request.config_id).await? {
            None => RevocationOutcome::NotOffered,
            Some(config) if self.is_shared(request, &config).await? => RevocationOutcome::Shared,
            Some(config) => match self.request_revocation(request, &config).await {
                Ok(Ok(())) => RevocationOutcome::Confirmed,
                Ok(Err(RevokeError::NotOffered)) => RevocationOutcome::NotOffered,
                Ok(Err(error)) => {
                    tracing::warn!(grant_id = %request.grant_id, %error, attempt = request.attempts + 1, "the provider did not revoke");
                    match now >= request.created_at.plus_seconds(ASKED_FOR) {
                        true => RevocationOutcome::GivenUp,
                        false => return Ok(RevocationOutcome::Pending),
                    }
                }
                // What cannot be opened today is tried again like what was not answered: a day, and no longer.
                Err(fault) if now < request.created_at.plus_seconds(ASKED_FOR) => return Err(fault),
                Err(fault) => {
                    tracing::error!(grant_id = %request.grant_id, error = %fault, "a revocation is given up");
                    RevocationOutcome::GivenUp
                }
            },
        };
        let details = serde_json::json!({ "outcome": outcome.as_str(), "attempts": (request.attempts + 1).to_string() });
        let entry = AuditEntry {
            grant_id: Some(request.grant_id),
            ..AuditEntry::new(request.app_id, self.now(), AuditKind::RevocationEnded, details)
        };
        self.store().end_revocation(request.grant_id, outcome, entry).await?;
        Ok(outcome)
    }

    /// Whether asking would end more than what was revoked: most providers end everything that the account gave our
    /// client, and another user's grant, or one connected since, may be of the same account.
    async fn is_shared(&self, request: &Revocation, config: &ProviderConfig) -> Result<bool, StoreError> {
        let ends_all = config.recipe.revocation().is_some_and(|how| how.ends == RevokeEnds::Grant);
        let Some(grant) = self.store().get_grant(request.app_id, request.grant_id).await? else {
            return Ok(false);
        };
        Ok(ends_all
            && self.store().has_grant_of_account(grant.app_id, &grant.provider, &grant.subject).await?)
    }

    async fn request_revocation(
        &self,
        request: &Revocation,
        config: &ProviderConfig,
    ) -> Result<Result<(), RevokeError>, FlowFault> {
        let key = self.current_key(request.app_id).await?;
        let row = request.grant_id.to_string();
        let place = SealedPlace {
            app: request.app_id,
            table: "revocations",
            column: "token",
            row: &row,
            generation: 0,
        };
        let token = self.open_text(&key, &place, &request.token).await?;
        let secret = self.client_secret(&key, config).await?;
        let client = Client { id: &config.client_id, secret: secret.as_ref() };
        let grant = self.store().get_grant(request.app_id, request.grant_id).await?;
        let what = RevokedToken {
            token: &token,
            is_refresh_token: request.is_refresh_token,
            subject: grant.as_ref().map_or("", |grant| &grant.subject),
        };
        let asked = alter_oauth::revoke(&self.inner.egress, &config.recipe, &client, &what);
        Ok(asked.await)
    }

    /// The app ends a delegation to an agent. Ending it again changes nothing.
    ///
    /// # Errors
    /// [`RevokeDelegationError`].
    pub async fn revoke_delegation(
        &self,
        caller: &Caller,
        grant: GrantId,
        agent: AgentId,
        request_id: &str,
    ) -> Result<(), RevokeDelegationError> {
        let refused = match &caller.agent {
            Some(_) => Some(RevokeDelegationError::UseSelfPath),
            None if self.store().get_grant(caller.app.id, grant).await?.is_none() => {
                Some(RevokeDelegationError::GrantNotFound)
            }
            None if self.store().get_agent(caller.app.id, agent).await?.is_none() => {
                Some(RevokeDelegationError::AgentNotFound)
            }
            None => None,
        };
        if let Some(error) = refused {
            self.spend_nonce(caller).await?;
            return Err(error);
        }
        Ok(self.end_delegation(caller, grant, agent, request_id).await?)
    }

    /// An agent gives up what was delegated to it. Of a grant that it has nothing of, nothing is said.
    ///
    /// # Errors
    /// [`RevokeDelegationError`].
    pub async fn give_up_delegation(
        &self,
        caller: &Caller,
        grant: GrantId,
        request_id: &str,
    ) -> Result<(), RevokeDelegationError> {
        match &caller.agent {
            Some(agent) => Ok(self.end_delegation(caller, grant, agent.id, request_id).await?),
            None => {
                self.spend_nonce(caller).await?;
                Err(RevokeDelegationError::AgentKeyRequired)
            }
        }
    }

    async fn end_delegation(
        &self,
        caller: &Caller,
        grant: GrantId,
        agent: AgentId,
        request_id: &str,
    ) -> Result<(), StoreError> {
        let at = self.now();
        let actor = Actor::of(caller, request_id);
        let by = if caller.agent.is_some() { "agent" } else { "app" };
        let entry = AuditEntry {
            grant_id: Some(grant),
            agent_id: Some(agent),
            ..actor.entry(at, AuditKind::DelegationRevoked, serde_json::json!({ "by": by }))
        };
        self.store().revoke_delegation(caller.nonce, caller.app.id, grant, agent, at, entry).await.map(drop)
    }
}

/// The scopes of a listed grant as the caller is told: an agent, those that it may use and the grant has (T13).
pub fn visible_scopes(caller: &Caller, listed: &ListedGrant) -> Vec<String> {
    let scopes = &listed.grant.scopes;
    match (&caller.agent, &listed.delegation) {
        (None, _) => scopes.clone(),
        // Revoked while the list was read.
        (Some(_), None) => Vec::new(),
        (Some(agent), Some(delegation)) => {
            let mut may = agent.may_use(&listed.grant.provider, &delegation.scopes);
            may.retain(|scope| scopes.contains(scope));
            may
        }
    }
}

/// Seconds after attempt number `attempts` (from 0).
fn pause(attempts: u32) -> i64 {
    FIRST_PAUSE.saturating_mul(1 << attempts.min(10)).min(LONGEST_PAUSE)
}

fn api_bases(configs: &[ProviderConfig]) -> HashMap<String, String> {
    let base = |config: &ProviderConfig| {
        let host = config.recipe.api_hosts.iter().find(|h| !h.starts_with('.') && !h.contains(':'))?;
        Some((config.config_id.as_str().to_owned(), format!("https://{host}")))
    };
    configs.iter().filter_map(base).collect()
}

/// Whether a grant's access token has run out. Refresh is not built: then the user has to connect again.
pub fn needs_reconnect(grant: &Grant, now: Micros) -> bool {
    grant.revoked.is_none() && grant.credential.expires_at.is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_does_not_answer_is_asked_less_and_less_often() {
        assert_eq!([0, 1, 2, 5, 6, 7, 40].map(pause), [60, 120, 240, 1920, 3600, 3600, 3600]);
    }
}
