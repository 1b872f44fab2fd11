//! Delegations. A delegation is live if neither it nor its agent is revoked; revoking a grant revokes its delegations.

use alter_core::{
    AgentId, AppId, AuditEntry, CallNonce, Changed, Delegation, DelegationStore, GrantId, Micros, Saved,
    Session, StoreError,
};
use alter_rows::{
    Noun,
    session::Save,
    sql::Piece::{Excluded, Names, Of, Places},
};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore, agent,
    audit::append,
    fault::Fault,
    row::{bound, sql},
    session::save,
    statement::{one, run},
    store::record_nonce,
};

/// Joined with the grant, which has the app's id.
const FIND: &str = sql!(
    "SELECT {} FROM delegations d JOIN grants g ON g.id = d.grant_id
     WHERE d.agent_id = ?1 AND d.grant_id = ?2 AND d.revoked_at IS NULL AND g.app_id = ?3 AND g.status = 'active'",
    Of("d.", Delegation::COLUMNS),
);

#[async_trait]
impl DelegationStore for SqliteStore {
    async fn find_delegation(
        &self,
        app: AppId,
        grant: GrantId,
        agent: AgentId,
    ) -> Result<Option<Delegation>, StoreError> {
        self.read(|c| find(c, app, grant, agent)).await
    }

    async fn widen_delegation(
        &self,
        session: &Session,
        before: Delegation,
        after: Delegation,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError> {
        let (saved, app) = (Save::of(session)?, session.app_id);
        self.write(move |c| {
            let live = find(c, app, before.grant_id, before.agent_id)?;
            if live.as_ref() != Some(&before) || !save(c, &saved)?.is_done() {
                return Ok(Saved::Moved);
            }
            put(c, app, &after)?;
            append(c, &audit)?;
            Ok(Saved::Done)
        })
        .await
    }

    async fn revoke_delegation(
        &self,
        call: Option<CallNonce>,
        app: AppId,
        grant: GrantId,
        agent: AgentId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError> {
        let sql = "UPDATE delegations SET revoked_at = ?3 WHERE agent_id = ?1 AND grant_id = ?2";
        self.write(move |c| {
            record_nonce(c, call)?;
            if find(c, app, grant, agent)?.is_none() {
                return Ok(Changed::Absent);
            }
            run(c, sql, params![agent.to_string(), grant.to_string(), at.0])?;
            append(c, &audit)?;
            Ok(Changed::Done)
        })
        .await
    }
}

/// Finds the live delegation.
pub(crate) fn find(
    c: &Connection,
    app: AppId,
    grant: GrantId,
    agent: AgentId,
) -> Result<Option<Delegation>, Fault> {
    one(c, FIND, [agent.to_string(), grant.to_string(), app.to_string()], Delegation::read)
}

/// Writes a delegation. Approving again replaces the earlier approval and undoes a revocation.
///
/// # Errors
/// [`StoreError::Moved`]: the agent does not belong to the app, or is suspended or revoked.
pub(crate) fn put(c: &Connection, app: AppId, delegation: &Delegation) -> Result<(), Fault> {
    if !agent::takes_delegations(c, app, delegation.agent_id)? {
        return Err(StoreError::Moved.into());
    }
    let sql = sql!(
        "INSERT INTO delegations ({}, revoked_at) VALUES ({}, NULL)
         ON CONFLICT (agent_id, grant_id) DO UPDATE SET {}, revoked_at = NULL",
        Names(Delegation::WRITTEN),
        Places(Delegation::WRITTEN),
        Excluded(Delegation::WRITTEN, &["agent_id", "grant_id"]),
    );
    run(c, sql, bound(delegation.values()?))?;
    Ok(())
}

/// Revokes all delegations of a revoked grant.
pub(crate) fn revoke_all_of(c: &Connection, grant: GrantId, at: Micros) -> Result<(), Fault> {
    let sql = "UPDATE delegations SET revoked_at = ?2 WHERE grant_id = ?1 AND revoked_at IS NULL";
    run(c, sql, params![grant.to_string(), at.0])?;
    Ok(())
}
