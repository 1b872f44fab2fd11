//! Revoking a grant in one commit, and the requests to providers that are still to be made.

use alter_core::{
    AppId, AuditEntry, ConfigId, GrantId, Micros, Revocation, RevocationOutcome, RevocationStore,
    RevokeGrant, Saved, StoreError,
};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use crate::{
    SqliteStore,
    audit::append,
    column::{counter, optional_text, parsed, read_time},
    data_key::refuse_retired,
    delegation::revoke_all_of,
    fault::Fault,
    statement::{all, run},
    store::{record_nonce, refuse_known_nonce},
};

const DUE: &str = "SELECT grant_id, app_id, config_id, is_refresh_token, token, attempts, next_at, created_at
    FROM revocations WHERE next_at <= ?1 ORDER BY next_at, grant_id LIMIT ?2";

#[async_trait]
impl RevocationStore for SqliteStore {
    async fn revoke_grant(&self, revoke: RevokeGrant) -> Result<Saved, StoreError> {
        self.write(move |c| revoke_in(c, &revoke)).await
    }

    async fn list_due_revocations(&self, now: Micros, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        self.read(|c| all(c, DUE, params![now.0, limit], read_revocation)).await
    }

    async fn claim_revocation(&self, revocation: &Revocation, next_at: Micros) -> Result<Saved, StoreError> {
        let sql = "UPDATE revocations SET attempts = attempts + 1, next_at = ?3
                   WHERE grant_id = ?1 AND attempts = ?2";
        let (grant, attempts) = (revocation.grant_id.to_string(), revocation.attempts);
        self.write(move |c| Ok(Saved::when(run(c, sql, params![grant, attempts, next_at.0])? == 1))).await
    }

    async fn end_revocation(
        &self,
        grant: GrantId,
        outcome: RevocationOutcome,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError> {
        self.write(move |c| {
            let grant = grant.to_string();
            if run(c, "DELETE FROM revocations WHERE grant_id = ?1", [&grant])? == 0 {
                return Ok(Saved::Moved);
            }
            run(c, "UPDATE grants SET revocation = ?2 WHERE id = ?1", params![grant, outcome.as_str()])?;
            append(c, &audit)?;
            Ok(Saved::Done)
        })
        .await
    }
}

fn revoke_in(c: &Connection, revoke: &RevokeGrant) -> Result<Saved, Fault> {
    // `secrecy` of what was there: `secure_delete` overwrites the pages that the values leave.
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

fn insert(c: &Connection, r: &Revocation) -> Result<(), Fault> {
    refuse_retired(c, r.app_id, [Some(&r.token)])?;
    let sql =
        "INSERT INTO revocations (grant_id, app_id, config_id, is_refresh_token, token, attempts, next_at,
                                        created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![
        r.grant_id.to_string(),
        r.app_id.to_string(),
        r.config_id.as_str(),
        r.is_refresh_token,
        r.token,
        r.attempts,
        r.next_at.0,
        r.created_at.0,
    ];
    run(c, sql, values)?;
    Ok(())
}

fn read_revocation(row: &Row<'_>) -> Result<Revocation, Fault> {
    Ok(Revocation {
        grant_id: parsed(row, "grant_id", GrantId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        config_id: parsed(row, "config_id", ConfigId::parse)?,
        is_refresh_token: row.get("is_refresh_token")?,
        token: row.get("token")?,
        attempts: row.get("attempts")?,
        next_at: read_time(row, "next_at")?,
        created_at: read_time(row, "created_at")?,
    })
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
