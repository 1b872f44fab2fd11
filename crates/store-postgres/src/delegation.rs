//! Delegations. A delegation is live if neither it nor its agent is revoked; revoking a grant revokes its delegations.

use alter_core::{
    AgentId, AppId, AuditEntry, CallNonce, Changed, Delegation, DelegationStore, GrantId, Micros, Saved,
    Session, StoreError,
};
use alter_rows::{
    Noun,
    session::Save,
    sql::Piece::{Excluded, Names, Of, Places, Text},
};
use async_trait::async_trait;
use sqlx::postgres::PgArguments;

use crate::{
    PostgresStore, agent,
    audit::append,
    connection::Connection,
    fault::Fault,
    row::{bound, sql},
    session::save,
    statement::{one, run, values},
    store::record_nonce,
};

/// Joined with the grant, which has the app's id.
const FIND: &str = sql!(
    "SELECT {} FROM delegations d JOIN grants g ON g.id = d.grant_id
     WHERE d.agent_id = $1 AND d.grant_id = $2 AND d.revoked_at IS NULL AND g.app_id = $3 AND g.status = 'active'",
    Of("d.", Delegation::COLUMNS),
);

#[async_trait]
impl DelegationStore for PostgresStore {
    async fn find_delegation(
        &self,
        app: AppId,
        grant: GrantId,
        agent: AgentId,
    ) -> Result<Option<Delegation>, StoreError> {
        self.one(FIND, ids(app, grant, agent), Delegation::read).await
    }

    async fn widen_delegation(
        &self,
        session: &Session,
        before: Delegation,
        after: Delegation,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError> {
        let (saved, app) = (&Save::of(session)?, session.app_id);
        let (before, after, audit) = (&before, &after, &audit);
        self.write(|tx| {
            Box::pin(async move {
                // The agent is locked before its delegation, as where it is revoked.
                if !agent::takes_delegations(tx.c, app, after.agent_id).await? {
                    return Err(StoreError::Moved.into());
                }
                let live = locked(tx.c, app, before.grant_id, before.agent_id).await?;
                if live.as_ref() != Some(before) || !save(tx.c, saved).await?.is_done() {
                    return Ok(Saved::Moved);
                }
                put(tx.c, app, after).await?;
                append(tx.c, audit).await?;
                Ok(Saved::Done)
            })
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
        let sql = "UPDATE delegations SET revoked_at = $3 WHERE agent_id = $1 AND grant_id = $2";
        let audit = &audit;
        self.write(|tx| {
            Box::pin(async move {
                record_nonce(tx.c, call).await?;
                if locked(tx.c, app, grant, agent).await?.is_none() {
                    return Ok(Changed::Absent);
                }
                run(tx.c, sql, values![agent.to_string(), grant.to_string(), at.0]).await?;
                append(tx.c, audit).await?;
                Ok(Changed::Done)
            })
        })
        .await
    }
}

fn ids(app: AppId, grant: GrantId, agent: AgentId) -> PgArguments {
    values![agent.to_string(), grant.to_string(), app.to_string()]
}

/// Finds the live delegation, which then stays as it is until the commit.
async fn locked(
    c: &mut Connection,
    app: AppId,
    grant: GrantId,
    agent: AgentId,
) -> Result<Option<Delegation>, Fault> {
    let locked = sql!("{} FOR UPDATE OF d", Text(FIND));
    one(c, locked, ids(app, grant, agent), Delegation::read).await
}

/// Writes a delegation. Approving again replaces the earlier approval and undoes a revocation.
///
/// # Errors
/// [`StoreError::Moved`]: the agent does not belong to the app, or is suspended or revoked.
pub(crate) async fn put(c: &mut Connection, app: AppId, delegation: &Delegation) -> Result<(), Fault> {
    if !agent::takes_delegations(c, app, delegation.agent_id).await? {
        return Err(StoreError::Moved.into());
    }
    let sql = sql!(
        "INSERT INTO delegations ({}, revoked_at) VALUES ({}, NULL)
         ON CONFLICT (agent_id, grant_id) DO UPDATE SET {}, revoked_at = NULL",
        Names(Delegation::WRITTEN),
        Places(Delegation::WRITTEN),
        Excluded(Delegation::WRITTEN, &["agent_id", "grant_id"]),
    );
    run(c, sql, bound(delegation.values()?)).await?;
    Ok(())
}

/// Revokes all delegations of a revoked grant.
pub(crate) async fn revoke_all_of(c: &mut Connection, grant: GrantId, at: Micros) -> Result<(), Fault> {
    let sql = "UPDATE delegations SET revoked_at = $2 WHERE grant_id = $1 AND revoked_at IS NULL";
    run(c, sql, values![grant.to_string(), at.0]).await?;
    Ok(())
}
