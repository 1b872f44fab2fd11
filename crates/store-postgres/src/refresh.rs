//! Refreshing credentials. Core decides what an attempt may change, on the rows as they are inside the transaction.
//!
//! Whoever changes an attempt and its grant locks the grant first, then the attempt, then the data keys, and the audit
//! last. Keeping an answer locks the attempt and a data key alone, in the same order.
//!
//! Leases are stored by the database's clock, which all processes share; core decides by the caller's. [`Locked`]
//! translates from one to the other.

use alter_core::{
    AppId, BeginRefresh, Begun, ConfigId, DiscardRefresh, EndRefresh, Grant, GrantId, Micros, ReconnectCount,
    RefreshAttempt, RefreshEnded, RefreshResult, RefreshStore, RefusedClient, Saved, StoreError, WhatNow,
    refresh::{Beginning, Ending, Outcome},
};
use alter_rows::{
    Noun,
    sql::Piece::{Names, Places},
    storable::{counter, json, text},
};
use async_trait::async_trait;

use crate::{
    PostgresStore,
    audit::append,
    connection::Connection,
    data_key::refuse_retired,
    fault::Fault,
    grant, revocation,
    row::{bound, sql},
    statement::{all, one, run, values},
};

const DUE: &str = sql!(
    "SELECT {} FROM grants
     WHERE refresh_at IS NOT NULL AND status = 'active' AND refresh_at <= $1 AND (ends_at IS NULL OR ends_at > $1)
           AND config_id <> ALL($2)
     ORDER BY refresh_at, id LIMIT $3",
    Names(Grant::COLUMNS),
);

const JOURNALLED: &str = sql!(
    "SELECT {} FROM refreshes WHERE body IS NOT NULL AND begun_at < $1 ORDER BY begun_at, id LIMIT $2",
    Names(RefreshAttempt::COLUMNS),
);

const NEWEST: &str = sql!(
    "SELECT {} FROM refreshes WHERE grant_id = $1 AND app_id = $2
     ORDER BY generation DESC, attempt DESC LIMIT $3",
    Names(RefreshAttempt::COLUMNS),
);

const RECONNECTS: &str = "SELECT app_id, provider, reconnect, COUNT(*) AS n FROM grants
     WHERE reconnect IS NOT NULL AND status = 'active'
     GROUP BY app_id, provider, reconnect ORDER BY app_id, provider, reconnect";

const REFUSED_CLIENTS: &str = "SELECT app_id, provider, COUNT(*) AS n FROM grants
     WHERE refresh_at IS NOT NULL AND status = 'active' AND refresh_at <= $1 AND refresh::JSONB ->> 'trouble' = 'client'
     GROUP BY app_id, provider ORDER BY app_id, provider";

/// How many ended attempts of a grant are kept.
const KEPT: i64 = 20;

#[async_trait]
impl RefreshStore for PostgresStore {
    async fn begin_refresh(&self, begin: BeginRefresh) -> Result<Begun, StoreError> {
        self.write(|tx| Box::pin(begin_in(tx.c, &begin))).await
    }

    async fn journal_refresh(&self, attempt: &RefreshAttempt, body: Vec<u8>) -> Result<Saved, StoreError> {
        // An attempt that was settled as unknown may still be answered.
        let sql = "UPDATE refreshes SET body = $2 WHERE id = $1 AND (outcome IS NULL OR outcome = 'unknown')";
        let body = &body;
        self.write(|tx| {
            let values = values![attempt.id.to_string(), &**body];
            Box::pin(async move {
                if run(tx.c, sql, values).await? == 0 {
                    return Ok(Saved::Moved);
                }
                refuse_retired(tx.c, attempt.app_id, &[Some(body)]).await?;
                Ok(Saved::Done)
            })
        })
        .await
    }

    async fn end_refresh(&self, end: EndRefresh) -> Result<RefreshEnded, StoreError> {
        self.write(|tx| Box::pin(end_in(tx.c, &end))).await
    }

    async fn discard_refresh(&self, discard: DiscardRefresh) -> Result<Saved, StoreError> {
        self.write(|tx| Box::pin(discard_in(tx.c, &discard))).await
    }

    async fn list_due_refreshes(
        &self,
        now: Micros,
        except: &[ConfigId],
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError> {
        let except: Vec<_> = except.iter().map(|id| id.as_str().to_owned()).collect();
        self.all(DUE, values![now.0, except, i64::from(limit)], Grant::read).await
    }

    async fn list_journalled_refreshes(
        &self,
        before: Micros,
        limit: u32,
    ) -> Result<Vec<RefreshAttempt>, StoreError> {
        self.all(JOURNALLED, values![before.0, i64::from(limit)], RefreshAttempt::read).await
    }

    async fn list_refresh_attempts(
        &self,
        app: AppId,
        grant: GrantId,
        limit: u32,
    ) -> Result<Vec<RefreshAttempt>, StoreError> {
        let values = values![grant.to_string(), app.to_string(), i64::from(limit)];
        let found = self.all(NEWEST, values, RefreshAttempt::read).await?;
        Ok(found.into_iter().map(|attempt| RefreshAttempt { body: None, ..attempt }).collect())
    }

    async fn count_reconnects(&self) -> Result<Vec<ReconnectCount>, StoreError> {
        self.all(RECONNECTS, values![], ReconnectCount::read).await
    }

    async fn count_refused_clients(&self, until: Micros) -> Result<Vec<RefusedClient>, StoreError> {
        self.all(REFUSED_CLIENTS, values![until.0], RefusedClient::read).await
    }
}

/// A grant as it was found, with the end of its lease by the caller's clock. Its row is locked.
struct Locked {
    grant: Grant,
    /// How far the caller's clock is ahead of the database's, microseconds.
    ahead: i64,
}

impl Locked {
    /// Locks a grant for a caller whose clock shows `at`.
    async fn find(c: &mut Connection, app: AppId, grant: GrantId, at: Micros) -> Result<Option<Self>, Fault> {
        // The clock is outside the query that waits for the lock: inside, it would be read before the wait.
        let sql = sql!(
            "SELECT {}, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT AS now
             FROM (SELECT {} FROM grants WHERE id = $1 AND app_id = $2 FOR UPDATE) g",
            Names(Grant::COLUMNS),
            Names(Grant::COLUMNS),
        );
        let found = one(c, sql, values![grant.to_string(), app.to_string()], |row| {
            Ok((Grant::read(row)?, row.get::<Micros>("now")?))
        });
        Ok(found.await?.map(|(mut grant, now)| {
            let ahead = at.since(now);
            grant.refresh = grant.refresh.with_lease_moved(ahead);
            Self { grant, ahead }
        }))
    }

    /// Writes what is known about refreshing.
    async fn save_state(&self, c: &mut Connection) -> Result<(), Fault> {
        let Grant { id, refresh, refresh_at, .. } = &self.grant;
        let sql = "UPDATE grants SET refresh = $2, refresh_at = $3, reconnect = $4 WHERE id = $1";
        let reason = refresh.verdict.as_ref().map(|verdict| verdict.reason.as_str());
        let stored = json(&refresh.clone().with_lease_moved(-self.ahead))?;
        run(c, sql, values![id.to_string(), stored, refresh_at.map(|at| at.0), reason]).await?;
        Ok(())
    }
}

async fn begin_in(c: &mut Connection, begin: &BeginRefresh) -> Result<Begun, Fault> {
    let found = Locked::find(c, begin.app_id, begin.grant_id, begin.at).await?;
    let Some(mut found) = found.filter(|found| begin.fits(&found.grant)) else { return Ok(Begun::Moved) };
    if !found.grant.refresh.is_leased(begin.at)
        && let Some(answered) = answered(c, &found.grant).await?
    {
        return Ok(Begun::Journalled(answered));
    }
    if found.grant.refresh.is_broken_off(begin.at) {
        break_off(c, &found.grant, begin.at).await?;
    }
    let beginning = Beginning::of(&found.grant, begin);
    let changed = (&found.grant.refresh, found.grant.refresh_at) != (&beginning.state, beginning.look_at);
    (found.grant.refresh, found.grant.refresh_at) = (beginning.state, beginning.look_at);
    if beginning.wipe {
        let sql = "UPDATE grants SET refresh_token = NULL WHERE id = $1";
        run(c, sql, values![begin.grant_id.to_string()]).await?;
    }
    // Those who wait ask again and again, and mostly nothing has changed.
    if changed {
        found.save_state(c).await?;
    }
    let begun = if beginning.now == WhatNow::Refresh {
        let attempt = begin.attempt(found.grant.refresh.attempt);
        insert(c, &attempt).await?;
        Begun::Taken(Box::new(found.grant), attempt)
    } else {
        Begun::Not(beginning.now)
    };
    if beginning.condemned {
        append(c, &begin.audit).await?;
    }
    Ok(begun)
}

/// Finds an answer in the journal that nobody has applied yet, of whichever attempt of the generation: the newest one,
/// since a provider may take its last answer alone. The attempts are locked, so that no answer comes in between.
async fn answered(c: &mut Connection, grant: &Grant) -> Result<Option<RefreshAttempt>, Fault> {
    let sql = sql!(
        "SELECT {} FROM refreshes WHERE grant_id = $1 AND generation = $2 ORDER BY attempt DESC FOR UPDATE",
        Names(RefreshAttempt::COLUMNS),
    );
    let key = values![grant.id.to_string(), counter(grant.credential.generation)?];
    let attempts = all(c, sql, key, RefreshAttempt::read).await?;
    Ok(attempts.into_iter().find(|attempt| attempt.body.is_some()))
}

/// Ends the newest attempt, whose lease has run out.
async fn break_off(c: &mut Connection, grant: &Grant, at: Micros) -> Result<(), Fault> {
    let sql = "UPDATE refreshes SET outcome = 'unknown', ended_at = $4
               WHERE grant_id = $1 AND generation = $2 AND attempt = $3 AND outcome IS NULL";
    let (generation, attempt) = (counter(grant.credential.generation)?, i64::from(grant.refresh.attempt));
    run(c, sql, values![grant.id.to_string(), generation, attempt, at.0]).await?;
    Ok(())
}

async fn insert(c: &mut Connection, attempt: &RefreshAttempt) -> Result<(), Fault> {
    let sql = sql!(
        "INSERT INTO refreshes ({}) VALUES ({})",
        Names(RefreshAttempt::WRITTEN),
        Places(RefreshAttempt::WRITTEN)
    );
    run(c, sql, bound(attempt.values()?)).await?;
    Ok(())
}

async fn end_in(c: &mut Connection, end: &EndRefresh) -> Result<RefreshEnded, Fault> {
    let found = Locked::find(c, end.attempt.app_id, end.attempt.grant_id, end.at).await?;
    let found = found.ok_or(Fault::corrupt("grant_id"))?;
    match &end.result {
        RefreshResult::Tokens { .. } if found.grant.revoked.is_some() => Ok(RefreshEnded::Revoked),
        RefreshResult::Tokens { .. } if !end.fits(&found.grant) => Ok(RefreshEnded::Superseded),
        RefreshResult::Tokens { .. } => succeed(c, end, found).await,
        RefreshResult::Nothing(outcome) => fail(c, end, found, outcome).await,
    }
}

async fn succeed(c: &mut Connection, end: &EndRefresh, mut found: Locked) -> Result<RefreshEnded, Fault> {
    let sql = "UPDATE refreshes SET outcome = 'refreshed', ended_at = $2, body = NULL
               WHERE id = $1 AND (outcome IS NULL OR outcome = 'unknown')";
    if run(c, sql, values![end.attempt.id.to_string(), end.at.0]).await? == 0 {
        return Ok(RefreshEnded::Late);
    }
    end.renew(&mut found.grant);
    replace_credential(c, &found.grant).await?;
    found.save_state(c).await?;
    forget_old(c, &found.grant).await?;
    append(c, &end.audit).await?;
    Ok(RefreshEnded::Refreshed)
}

async fn replace_credential(c: &mut Connection, grant: &Grant) -> Result<(), Fault> {
    let credential = &grant.credential;
    let sealed = [
        Some(&*credential.access_token),
        credential.refresh_token.as_deref(),
        credential.id_token.as_deref(),
    ];
    refuse_retired(c, grant.app_id, &sealed).await?;
    let sql = "UPDATE grants SET generation = $2, token_type = $3, credential_issued_at = $4,
                      credential_expires_at = $5, access_token = $6, refresh_token = $7, id_token = $8,
                      scopes = $9, missing_scopes = $10
               WHERE id = $1";
    let values = values![
        grant.id.to_string(),
        counter(credential.generation)?,
        text(&credential.token_type)?,
        credential.issued_at.0,
        credential.expires_at.map(|at| at.0),
        sealed[0],
        sealed[1],
        sealed[2],
        json(&grant.scopes)?,
        json(&grant.missing_scopes)?,
    ];
    run(c, sql, values).await?;
    Ok(())
}

/// Deletes ended attempts beyond the newest [`KEPT`].
async fn forget_old(c: &mut Connection, grant: &Grant) -> Result<(), Fault> {
    let sql = "DELETE FROM refreshes WHERE grant_id = $1 AND outcome IS NOT NULL AND body IS NULL AND id NOT IN
               (SELECT id FROM refreshes WHERE grant_id = $1 ORDER BY generation DESC, attempt DESC LIMIT $2)";
    run(c, sql, values![grant.id.to_string(), KEPT]).await?;
    Ok(())
}

async fn fail(
    c: &mut Connection,
    end: &EndRefresh,
    mut found: Locked,
    outcome: &Outcome,
) -> Result<RefreshEnded, Fault> {
    let code = match outcome {
        Outcome::Refused(code) => Some(code.as_str()),
        Outcome::Failed { .. } | Outcome::Unknown => None,
    };
    let sql = "UPDATE refreshes SET outcome = $2, code = $3, ended_at = $4, body = NULL
               WHERE id = $1 AND outcome IS NULL";
    let values = values![end.attempt.id.to_string(), outcome.as_str(), code, end.at.0];
    if run(c, sql, values).await? == 0 {
        // It was settled as unknown before it was answered: what is in the journal brought nothing.
        let empty = "UPDATE refreshes SET body = NULL WHERE id = $1 AND outcome = 'unknown'";
        run(c, empty, values![end.attempt.id.to_string()]).await?;
        return Ok(RefreshEnded::Late);
    }
    if !end.fits(&found.grant) {
        return Ok(RefreshEnded::Late);
    }
    let answered = another_answered(c, &end.attempt).await?;
    let ending = Ending::of(&found.grant, end, outcome, answered);
    (found.grant.refresh, found.grant.refresh_at) = (ending.state, ending.look_at);
    found.save_state(c).await?;
    forget_old(c, &found.grant).await?;
    if ending.ended == RefreshEnded::Condemned {
        append(c, &end.audit).await?;
    }
    Ok(ending.ended)
}

/// Whether another attempt of the same generation has its answer in the journal.
async fn another_answered(c: &mut Connection, attempt: &RefreshAttempt) -> Result<bool, Fault> {
    let sql = "SELECT id FROM refreshes
               WHERE grant_id = $1 AND generation = $2 AND body IS NOT NULL AND id <> $3 LIMIT 1";
    let key = values![attempt.grant_id.to_string(), counter(attempt.generation)?, attempt.id.to_string()];
    Ok(one(c, sql, key, |_| Ok(())).await?.is_some())
}

async fn discard_in(c: &mut Connection, discard: &DiscardRefresh) -> Result<Saved, Fault> {
    grant::lock(c, discard.attempt.grant_id).await?;
    let sql =
        "UPDATE refreshes SET outcome = $2, ended_at = $3, body = NULL WHERE id = $1 AND body IS NOT NULL";
    let values = values![discard.attempt.id.to_string(), discard.outcome, discard.at.0];
    if run(c, sql, values).await? == 0 {
        return Ok(Saved::Moved);
    }
    if let Some(request) = &discard.request {
        revocation::insert(c, request).await?;
        let pending = "UPDATE grants SET revocation = 'pending' WHERE id = $1 AND status = 'revoked'";
        run(c, pending, values![request.grant_id.to_string()]).await?;
    }
    append(c, &discard.audit).await?;
    Ok(Saved::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_due_is_found_by_its_index_without_sorting() {
        let due = (DUE, "grants_to_refresh", &["0", "'{}'::TEXT[]", "9"][..]);
        let journalled = (JOURNALLED, "refreshes_journalled", &["0", "9"][..]);
        for (sql, index, values) in [due, journalled] {
            let plan = crate::migrate::plan("", sql, values).await;
            assert!(plan.contains(&format!("Index Scan using {index}")) && !plan.contains("Sort"), "{plan}");
        }
        let plan = crate::migrate::plan("", NEWEST, &["'grant'", "'app'", "9"]).await;
        let along = plan.contains("Index Scan Backward using refreshes_grant_id_generation_attempt_key");
        assert!(along && !plan.contains("Sort"), "{plan}");
    }

    #[tokio::test]
    async fn grants_to_reconnect_are_counted_in_their_index_alone() {
        let plan = crate::migrate::plan("", RECONNECTS, &[]).await;
        assert!(
            plan.contains("Index Only Scan using grants_to_reconnect") && !plan.contains("Sort"),
            "{plan}"
        );
    }
}
