//! A delegation: one grant that one agent may use. It is made in the same commit as the grant, by the user's approval of
//! a page that named the agent (S8), and it ends by itself with the grant or the agent.

use async_trait::async_trait;

use crate::{AgentId, AppId, AuditEntry, CallNonce, Changed, GrantId, Micros, StoreError};

/// A delegation as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Which grant.
    pub grant_id: GrantId,
    /// To which agent.
    pub agent_id: AgentId,
    /// What the page showed: the most that the agent may ever use of the grant.
    pub scopes: Vec<String>,
    /// When the user approved, the latest time.
    pub created_at: Micros,
}

/// What storage must be able to do for delegations, beyond [`crate::CompleteConnect`] which makes them.
#[async_trait]
pub trait DelegationStore: Send + Sync {
    /// The live delegation of a grant to an agent: neither it nor the grant nor the agent is revoked.
    async fn find_delegation(
        &self,
        app: AppId,
        grant: GrantId,
        agent: AgentId,
    ) -> Result<Option<Delegation>, StoreError>;
    /// Ends one. Of [`Changed::Absent`] nothing is stored but the nonce.
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
