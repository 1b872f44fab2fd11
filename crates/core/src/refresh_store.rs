//! The port for refreshing credentials: each attempt is a row of its own, and the state is in the grant's row.
//!
//! 1. [`RefreshStore::begin_refresh`] takes the lease, if the decision is still to refresh.
//! 2. The provider is asked, outside any transaction.
//! 3. [`RefreshStore::journal_refresh`] keeps the sealed answer.
//! 4. [`RefreshStore::end_refresh`] changes the grant by compare-and-set.
//!
//! Leases are measured by the clock that all processes share: the database's own, or the machine's for a file.

use async_trait::async_trait;

use crate::{
    AppId, AuditEntry, ConfigId, Credential, Grant, GrantId, Micros, Revocation, Saved, SealedColumn,
    SealedPlace, StoreError,
    id::RefreshId,
    recipe::Refresh,
    refresh::{self, Asked, Outcome, ReconnectReason, RefreshState, WhatNow},
};

/// Asks for the lease on a grant's credential.
#[derive(Debug, Clone)]
pub struct BeginRefresh {
    /// The id that the attempt gets.
    pub id: RefreshId,
    /// The app that owns the grant.
    pub app_id: AppId,
    /// The grant.
    pub grant_id: GrantId,
    /// The generation whose refresh token would be sent.
    pub generation: u64,
    /// Who wants to know.
    pub asked: Asked,
    /// What is known about the provider.
    pub facts: Refresh,
    /// How long the attempt may take, seconds.
    pub hold: u32,
    /// Now, by the caller's clock.
    pub at: Micros,
    /// What the audit records if an attempt that was broken off leads to the verdict that only the user can help.
    pub audit: AuditEntry,
}

impl BeginRefresh {
    /// Whether the grant is still the one that is meant.
    pub fn fits(&self, grant: &Grant) -> bool {
        grant.revoked.is_none() && grant.credential.generation == self.generation
    }

    /// The attempt that begins.
    pub fn attempt(&self, attempt: u32) -> RefreshAttempt {
        RefreshAttempt {
            id: self.id,
            app_id: self.app_id,
            grant_id: self.grant_id,
            generation: self.generation,
            attempt,
            begun_at: self.at,
            ended_at: None,
            outcome: None,
            code: None,
            body: None,
        }
    }
}

/// What [`RefreshStore::begin_refresh`] found.
#[derive(Debug, Clone)]
pub enum Begun {
    /// The lease is taken. The grant is as it was read with it.
    Taken(Box<Grant>, RefreshAttempt),
    /// An attempt of this generation was answered, and nobody has applied the answer: finish that one.
    Journalled(RefreshAttempt),
    /// Nothing is to be sent now.
    Not(WhatNow),
    /// The grant is gone, revoked, or has another generation.
    Moved,
}

/// One attempt to refresh a grant's credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshAttempt {
    /// Random.
    pub id: RefreshId,
    /// The app that owns the grant.
    pub app_id: AppId,
    /// The grant.
    pub grant_id: GrantId,
    /// The generation whose refresh token was sent.
    pub generation: u64,
    /// Counts the attempts of this generation, from 1: the fence.
    pub attempt: u32,
    /// When it began.
    pub begun_at: Micros,
    /// When it ended.
    pub ended_at: Option<Micros>,
    /// How it ended, in one word; `None`: under way, or broken off.
    pub outcome: Option<String>,
    /// The provider's error code, cleaned.
    pub code: Option<String>,
    /// The raw token answer, sealed. Empty again when the attempt has ended.
    pub body: Option<Vec<u8>>,
}

impl RefreshAttempt {
    /// Where the answer lies.
    pub fn place(&self) -> SealedPlace {
        let column = SealedColumn::RefreshBody;
        SealedPlace { app: self.app_id, column, row: self.id.to_string(), generation: 0, bound_to: None }
    }
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub struct EndRefresh {
    /// The attempt.
    pub attempt: RefreshAttempt,
    /// What it brought.
    pub result: RefreshResult,
    /// What is known about the provider.
    pub facts: Refresh,
    /// Now.
    pub at: Micros,
    /// What the audit records when the grant changes: by a success, or by the verdict that its refresh token is dead.
    pub audit: AuditEntry,
}

impl EndRefresh {
    /// Whether the grant still has the generation that the attempt began from.
    pub fn fits(&self, grant: &Grant) -> bool {
        grant.revoked.is_none() && grant.credential.generation == self.attempt.generation
    }

    /// Puts the new tokens into the grant. Does nothing if there are none.
    pub fn renew(&self, grant: &mut Grant) {
        let RefreshResult::Tokens { credential, scopes, missing_scopes } = &self.result else { return };
        grant.credential = (**credential).clone();
        (grant.scopes, grant.missing_scopes) = (scopes.clone(), missing_scopes.clone());
        grant.refresh = RefreshState::default();
        grant.refresh_at = refresh::look_at(&grant.situation(&self.facts), self.at);
    }
}

/// What an attempt brought.
#[derive(Debug, Clone)]
pub enum RefreshResult {
    /// Tokens, sealed as the next generation.
    Tokens {
        /// The next generation.
        credential: Box<Credential>,
        /// What the provider granted this time.
        scopes: Vec<String>,
        /// What was granted before and is no longer.
        missing_scopes: Vec<String>,
    },
    /// None.
    Nothing(Outcome),
}

/// What the end of an attempt changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshEnded {
    /// The grant has the new credential.
    Refreshed,
    /// The failure is recorded; the refresh token is not taken for dead.
    Failed,
    /// The failure is recorded, and with it the verdict that only the user can help.
    Condemned,
    /// The failure came too late, or a success of the same generation is in the journal: nothing changed but the attempt.
    Late,
    /// The tokens came too late: the user connected again, or another attempt of the generation was first. They are still
    /// in the journal, and [`RefreshStore::discard_refresh`] ends the attempt.
    Superseded,
    /// The grant was revoked meanwhile. The tokens are still in the journal.
    Revoked,
}

/// Ends an attempt whose tokens came too late.
#[derive(Debug, Clone)]
pub struct DiscardRefresh {
    /// The attempt.
    pub attempt: RefreshAttempt,
    /// The word for what became of the tokens.
    pub outcome: &'static str,
    /// The request to end them at the provider.
    pub request: Option<Revocation>,
    /// Now.
    pub at: Micros,
    /// What the audit records.
    pub audit: AuditEntry,
}

/// How many active grants of an app at a provider only their users can help, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconnectCount {
    /// The app that owns the grants.
    pub app_id: AppId,
    /// Provider id.
    pub provider: String,
    /// Why.
    pub reason: ReconnectReason,
    /// How many.
    pub grants: u64,
}

/// How many active grants of an app at a provider wait because the provider does not accept the app's client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedClient {
    /// The app that owns the grants.
    pub app_id: AppId,
    /// Provider id.
    pub provider: String,
    /// How many.
    pub grants: u64,
}

/// What storage must be able to do for refreshing.
#[async_trait]
pub trait RefreshStore: Send + Sync {
    /// Reads the grant, looks for an answer in the journal, settles an attempt whose lease has run out, decides again, and takes the lease if the decision is
    /// to refresh. All of that is one commit.
    async fn begin_refresh(&self, begin: BeginRefresh) -> Result<Begun, StoreError>;
    /// Keeps the sealed answer, durably. Returns [`Saved::Moved`] when the attempt has ended.
    async fn journal_refresh(&self, attempt: &RefreshAttempt, body: Vec<u8>) -> Result<Saved, StoreError>;
    /// Ends an attempt: the grant's credential or its state changes in the same commit as the attempt and the audit.
    ///
    /// # Errors
    /// [`StoreError::KeyRetired`]: seal again, under the app's current data key.
    async fn end_refresh(&self, end: EndRefresh) -> Result<RefreshEnded, StoreError>;
    /// Ends an attempt whose tokens came too late, wipes them, and queues their revocation if there is a request.
    async fn discard_refresh(&self, discard: DiscardRefresh) -> Result<Saved, StoreError>;
    /// Lists the grants that have to be looked at, the longest overdue first, but none of the configurations in `except`,
    /// and none that has ended.
    async fn list_due_refreshes(
        &self,
        now: Micros,
        except: &[ConfigId],
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError>;
    /// Lists answers that are in the journal since before `before` and were not applied.
    async fn list_journalled_refreshes(
        &self,
        before: Micros,
        limit: u32,
    ) -> Result<Vec<RefreshAttempt>, StoreError>;
    /// Lists a grant's newest attempts, newest first, without their answers.
    async fn list_refresh_attempts(
        &self,
        app: AppId,
        grant: GrantId,
        limit: u32,
    ) -> Result<Vec<RefreshAttempt>, StoreError>;
    /// Counts the active grants whose refresh token is taken for dead, by app, provider and reason.
    async fn count_reconnects(&self) -> Result<Vec<ReconnectCount>, StoreError>;
    /// Counts the grants that have to be looked at until `until` and whose last attempt failed with
    /// [`Trouble::Client`](crate::refresh::Trouble::Client), by app and provider.
    async fn count_refused_clients(&self, until: Micros) -> Result<Vec<RefusedClient>, StoreError>;
}
