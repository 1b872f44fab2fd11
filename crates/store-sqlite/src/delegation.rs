//! Delegations. A live one is not revoked, and neither is its agent; its grant's end revokes it.

use alter_core::{
    AgentId, AppId, AuditEntry, CallNonce, Changed, Delegation, DelegationStore, GrantId, Micros, StoreError,
};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use crate::{
    SqliteStore, agent,
    audit::append,
    column::{json, parsed, read_json, read_time},
    fault::Fault,
    statement::{one, run},
    store::record_nonce,
};

/// Joined with the grant, which tells the app.
const FIND: &str = "SELECT d.grant_id, d.agent_id, d.scopes, d.created_at
    FROM delegations d JOIN grants g ON g.id = d.grant_id
    WHERE d.agent_id = ?1 AND d.grant_id = ?2 AND d.revoked_at IS NULL AND g.app_id = ?3 AND g.status = 'active'";

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

/// The live delegation.
pub(crate) fn find(
    c: &Connection,
    app: AppId,
    grant: GrantId,
    agent: AgentId,
) -> Result<Option<Delegation>, Fault> {
    one(c, FIND, [agent.to_string(), grant.to_string(), app.to_string()], read_delegation)
}

/// Writes one; approving again replaces what was approved before and takes back a revocation.
///
/// # Errors
/// [`StoreError::Moved`]: the agent is not the app's, or revoked.
pub(crate) fn put(c: &Connection, app: AppId, delegation: &Delegation) -> Result<(), Fault> {
    if !agent::is_live(c, app, delegation.agent_id)? {
        return Err(StoreError::Moved.into());
    }
    let sql = "INSERT INTO delegations (agent_id, grant_id, scopes, created_at, revoked_at)
               VALUES (?1, ?2, ?3, ?4, NULL)
               ON CONFLICT (agent_id, grant_id) DO UPDATE SET
                   scopes = excluded.scopes, created_at = excluded.created_at, revoked_at = NULL";
    let values = params![
        delegation.agent_id.to_string(),
        delegation.grant_id.to_string(),
        json(&delegation.scopes)?,
        delegation.created_at.0,
    ];
    run(c, sql, values)?;
    Ok(())
}

/// All of a grant that was revoked.
pub(crate) fn revoke_all_of(c: &Connection, grant: GrantId, at: Micros) -> Result<(), Fault> {
    let sql = "UPDATE delegations SET revoked_at = ?2 WHERE grant_id = ?1 AND revoked_at IS NULL";
    run(c, sql, params![grant.to_string(), at.0])?;
    Ok(())
}

fn read_delegation(row: &Row<'_>) -> Result<Delegation, Fault> {
    Ok(Delegation {
        grant_id: parsed(row, "grant_id", GrantId::parse)?,
        agent_id: parsed(row, "agent_id", AgentId::parse)?,
        scopes: read_json(row, "scopes")?,
        created_at: read_time(row, "created_at")?,
    })
}
