//! A delegation: one grant that one agent may use. The user makes it by approving a page that names the agent (S8); it is
//! stored in the same commit as the grant, and ends with the grant or the agent.

use async_trait::async_trait;

use crate::{AgentId, AppId, AuditEntry, CallNonce, Changed, GrantId, Micros, Saved, Session, StoreError};

/// A delegation as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The grant that may be used.
    pub grant_id: GrantId,
    /// The agent that may use it.
    pub agent_id: AgentId,
    /// The granted scopes that a page showed: the most that the agent may ever use of the grant.
    pub scopes: Vec<String>,
    /// When the user last approved.
    pub created_at: Micros,
}

/// What storage must be able to do for delegations, beyond [`crate::CompleteConnect`] which makes them.
#[async_trait]
pub trait DelegationStore: Send + Sync {
    /// Finds the live delegation of a grant to an agent: neither delegation nor grant nor agent is revoked.
    async fn find_delegation(
        &self,
        app: AppId,
        grant: GrantId,
        agent: AgentId,
    ) -> Result<Option<Delegation>, StoreError>;
    /// Replaces the live delegation `before` by `after`, which has more scopes, and saves `session` by compare-and-set, like
    /// [`crate::SessionStore::save_session`]. Returns [`Saved::Moved`], and stores nothing, when the session has changed or
    /// `before` is not the live delegation any more.
    ///
    /// # Errors
    /// [`StoreError::Moved`]: the agent is suspended or revoked.
    async fn widen_delegation(
        &self,
        session: &Session,
        before: Delegation,
        after: Delegation,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError>;
    /// Ends a delegation. With [`Changed::Absent`], only the nonce is stored.
    async fn revoke_delegation(
        &self,
        call: Option<CallNonce>,
        app: AppId,
        grant: GrantId,
        agent: AgentId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError>;
}
