//! Revoking a grant in one commit, and the requests to providers that are still to be made.

use alter_core::{
    AuditEntry, GrantId, Micros, Revocation, RevocationId, RevocationOutcome, RevocationStore, RevokeGrant,
    Saved, StoreError,
};
use alter_rows::{
    Noun,
    sql::Piece::{Names, Places},
    storable::{counter, optional_text},
};
use async_trait::async_trait;

use crate::{
    PostgresStore,
    audit::append,
    connection::Connection,
    data_key::refuse_retired,
    delegation::revoke_all_of,
    fault::Fault,
    grant,
    row::{bound, sql},
    statement::{one, run, values},
    store::{record_nonce, refuse_known_nonce},
};

const DUE: &str = sql!(
    "SELECT {} FROM revocations WHERE next_at <= $1 ORDER BY next_at, id LIMIT $2",
    Names(Revocation::COLUMNS),
);

/// A request that is left keeps the outcome pending.
const OUTCOME: &str = "UPDATE grants SET revocation = $2
     WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.grant_id = grants.id)";

#[async_trait]
impl RevocationStore for PostgresStore {
    async fn revoke_grant(&self, revoke: RevokeGrant) -> Result<Saved, StoreError> {
        self.write(|tx| Box::pin(revoke_in(tx.c, &revoke))).await
    }

    async fn list_due_revocations(&self, now: Micros, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        self.all(DUE, values![now.0, i64::from(limit)], Revocation::read).await
    }

    async fn claim_revocation(&self, revocation: &Revocation, next_at: Micros) -> Result<Saved, StoreError> {
        let sql = "UPDATE revocations SET attempts = attempts + 1, next_at = $3
                   WHERE id = $1 AND attempts = $2";
        let values = values![revocation.id.to_string(), i64::from(revocation.attempts), next_at.0];
        Ok(Saved::when(self.run(sql, values).await? == 1))
    }

    async fn end_revocation(
        &self,
        request: RevocationId,
        outcome: RevocationOutcome,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError> {
        let audit = &audit;
        self.write(|tx| Box::pin(end_in(tx.c, request, outcome, audit))).await
    }
}

/// The grant is locked first: of two requests that end at once, the second one sees that none is left.
async fn end_in(
    c: &mut Connection,
    request: RevocationId,
    outcome: RevocationOutcome,
    audit: &AuditEntry,
) -> Result<Saved, Fault> {
    let id = request.to_string();
    let find = "SELECT grant_id FROM revocations WHERE id = $1";
    let found = one(c, find, values![&*id], |row| row.get::<GrantId>("grant_id")).await?;
    let Some(of) = found else { return Ok(Saved::Moved) };
    grant::lock(c, of).await?;
    if run(c, "DELETE FROM revocations WHERE id = $1", values![&*id]).await? == 0 {
        return Ok(Saved::Moved);
    }
    run(c, OUTCOME, values![of.to_string(), outcome.as_str()]).await?;
    append(c, audit).await?;
    Ok(Saved::Done)
}

async fn revoke_in(c: &mut Connection, revoke: &RevokeGrant) -> Result<Saved, Fault> {
    // The row's old version, with the sealed values, stays in the table's file until vacuum, and in the log until that is
    // recycled. The values are sealed, and the key that opens them is not in the database.
    let sql = r"UPDATE grants SET status = 'revoked', revoked_at = $4, revoked_reason = $5, revocation = $6,
                       updated_at = $4, access_token = '\x', refresh_token = NULL, id_token = NULL
                WHERE id = $1 AND app_id = $2 AND generation = $3 AND status = 'active'";
    let outcome = match &revoke.request {
        Ok(_) => RevocationOutcome::Pending,
        Err(outcome) => *outcome,
    };
    let values = values![
        revoke.grant_id.to_string(),
        revoke.app_id.to_string(),
        counter(revoke.generation)?,
        revoke.at.0,
        optional_text(revoke.reason.as_deref())?,
        outcome.as_str(),
    ];
    if run(c, sql, values).await? == 0 {
        refuse_known_nonce(c, revoke.call).await?;
        return Ok(Saved::Moved);
    }
    record_nonce(c, revoke.call).await?;
    revoke_all_of(c, revoke.grant_id, revoke.at).await?;
    if let Ok(request) = &revoke.request {
        insert(c, request).await?;
    }
    append(c, &revoke.audit).await?;
    Ok(Saved::Done)
}

/// Queues a request.
pub(crate) async fn insert(c: &mut Connection, revocation: &Revocation) -> Result<(), Fault> {
    refuse_retired(c, revocation.app_id, &[Some(&revocation.token)]).await?;
    let sql = sql!(
        "INSERT INTO revocations ({}) VALUES ({})",
        Names(Revocation::WRITTEN),
        Places(Revocation::WRITTEN),
    );
    run(c, sql, bound(revocation.values()?)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn due_revocations_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan("", DUE, &["0", "9"]).await;
        assert!(plan.contains("Index Scan using revocations_due") && !plan.contains("Sort"), "{plan}");
    }
}
