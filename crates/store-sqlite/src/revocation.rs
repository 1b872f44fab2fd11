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
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    audit::append,
    data_key::refuse_retired,
    delegation::revoke_all_of,
    fault::Fault,
    row::{bound, sql},
    statement::{all, one, run},
    store::{record_nonce, refuse_known_nonce},
};

const DUE: &str = sql!(
    "SELECT {} FROM revocations WHERE next_at <= ?1 ORDER BY next_at, id LIMIT ?2",
    Names(Revocation::COLUMNS),
);

/// A request that is left keeps the outcome pending.
const OUTCOME: &str = "UPDATE grants SET revocation = ?2
     WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.grant_id = grants.id)";

#[async_trait]
impl RevocationStore for SqliteStore {
    async fn revoke_grant(&self, revoke: RevokeGrant) -> Result<Saved, StoreError> {
        self.write(move |c| revoke_in(c, &revoke)).await
    }

    async fn list_due_revocations(&self, now: Micros, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        self.read(|c| all(c, DUE, params![now.0, limit], Revocation::read)).await
    }

    async fn claim_revocation(&self, revocation: &Revocation, next_at: Micros) -> Result<Saved, StoreError> {
        let sql = "UPDATE revocations SET attempts = attempts + 1, next_at = ?3
                   WHERE id = ?1 AND attempts = ?2";
        let (id, attempts) = (revocation.id.to_string(), revocation.attempts);
        self.write(move |c| Ok(Saved::when(run(c, sql, params![id, attempts, next_at.0])? == 1))).await
    }

    async fn end_revocation(
        &self,
        request: RevocationId,
        outcome: RevocationOutcome,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError> {
        self.write(move |c| {
            let delete = "DELETE FROM revocations WHERE id = ?1 RETURNING grant_id";
            let grant = one(c, delete, [request.to_string()], |row| row.get::<GrantId>("grant_id"))?;
            let Some(grant) = grant else { return Ok(Saved::Moved) };
            run(c, OUTCOME, params![grant.to_string(), outcome.as_str()])?;
            append(c, &audit)?;
            Ok(Saved::Done)
        })
        .await
    }
}

fn revoke_in(c: &Connection, revoke: &RevokeGrant) -> Result<Saved, Fault> {
    // `secure_delete` overwrites the places that the old values leave.
    let sql = "UPDATE grants SET status = 'revoked', revoked_at = ?4, revoked_reason = ?5, revocation = ?6,
                      updated_at = ?4, access_token = X'', refresh_token = NULL, id_token = NULL
               WHERE id = ?1 AND app_id = ?2 AND generation = ?3 AND status = 'active'";
    let outcome = match &revoke.request {
        Ok(_) => RevocationOutcome::Pending,
        Err(outcome) => *outcome,
    };
    let values = params![
        revoke.grant_id.to_string(),
        revoke.app_id.to_string(),
        counter(revoke.generation)?,
        revoke.at.0,
        optional_text(revoke.reason.as_deref())?,
        outcome.as_str(),
    ];
    if run(c, sql, values)? == 0 {
        refuse_known_nonce(c, revoke.call)?;
        return Ok(Saved::Moved);
    }
    record_nonce(c, revoke.call)?;
    revoke_all_of(c, revoke.grant_id, revoke.at)?;
    if let Ok(request) = &revoke.request {
        insert(c, request)?;
    }
    append(c, &revoke.audit)?;
    Ok(Saved::Done)
}

/// Queues a request.
pub(crate) fn insert(c: &Connection, revocation: &Revocation) -> Result<(), Fault> {
    refuse_retired(c, revocation.app_id, [Some(&revocation.token)])?;
    let sql = sql!(
        "INSERT INTO revocations ({}) VALUES ({})",
        Names(Revocation::WRITTEN),
        Places(Revocation::WRITTEN),
    );
    run(c, sql, bound(revocation.values()?))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_revocations_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan(DUE);
        assert!(plan.contains("USING INDEX revocations_due"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
