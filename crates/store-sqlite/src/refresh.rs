//! Refreshing credentials. What an attempt may change is decided by core, on the row as it is inside the transaction.

use alter_core::{
    AppId, BeginRefresh, Begun, ConfigId, DiscardRefresh, EndRefresh, Grant, GrantId, Micros, ReconnectCount,
    RefreshAttempt, RefreshEnded, RefreshResult, RefreshStore, RefusedClient, Saved, StoreError, WhatNow,
    refresh::{Beginning, Ending, Outcome},
};
use alter_rows::{
    Noun,
    sql::Piece::{Names, Places},
    storable::{counter, json},
};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    audit::{append, append_if},
    data_key::refuse_retired,
    fault::Fault,
    revocation,
    row::{bound, sql},
    statement::{all, one, run},
};

const GRANT: &str = sql!("SELECT {} FROM grants WHERE id = ?1 AND app_id = ?2", Names(Grant::COLUMNS));

const DUE: &str = sql!(
    "SELECT {} FROM grants
     WHERE refresh_at IS NOT NULL AND status = 'active' AND refresh_at <= ?1 AND (ends_at IS NULL OR ends_at > ?1)
           AND config_id NOT IN (SELECT value FROM json_each(?2))
     ORDER BY refresh_at, id LIMIT ?3",
    Names(Grant::COLUMNS),
);

const JOURNALLED: &str = sql!(
    "SELECT {} FROM refreshes WHERE body IS NOT NULL AND begun_at < ?1 ORDER BY begun_at, id LIMIT ?2",
    Names(RefreshAttempt::COLUMNS),
);

const NEWEST: &str = sql!(
    "SELECT {} FROM refreshes WHERE grant_id = ?1 AND app_id = ?2
     ORDER BY generation DESC, attempt DESC LIMIT ?3",
    Names(RefreshAttempt::COLUMNS),
);

const RECONNECTS: &str = "SELECT app_id, provider, reconnect, COUNT(*) AS n FROM grants
     WHERE reconnect IS NOT NULL AND status = 'active'
     GROUP BY app_id, provider, reconnect ORDER BY app_id, provider, reconnect";

const REFUSED_CLIENTS: &str = "SELECT app_id, provider, COUNT(*) AS n FROM grants
     WHERE refresh_at IS NOT NULL AND status = 'active' AND refresh_at <= ?1 AND refresh ->> 'trouble' = 'client'
     GROUP BY app_id, provider ORDER BY app_id, provider";

/// How many ended attempts of a grant are kept.
const KEPT: u32 = 20;

#[async_trait]
impl RefreshStore for SqliteStore {
    async fn begin_refresh(&self, begin: BeginRefresh) -> Result<Begun, StoreError> {
        self.write(move |c| begin_in(c, &begin)).await
    }

    async fn journal_refresh(&self, attempt: &RefreshAttempt, body: Vec<u8>) -> Result<Saved, StoreError> {
        // An attempt that was settled as unknown may still be answered.
        let sql = "UPDATE refreshes SET body = ?2 WHERE id = ?1 AND (outcome IS NULL OR outcome = 'unknown')";
        let (id, app) = (attempt.id.to_string(), attempt.app_id);
        self.write(move |c| {
            refuse_retired(c, app, [Some(&body)])?;
            Ok(Saved::when(run(c, sql, params![id, body])? == 1))
        })
        .await
    }

    async fn end_refresh(&self, end: EndRefresh) -> Result<RefreshEnded, StoreError> {
        self.write(move |c| end_in(c, &end)).await
    }

    async fn discard_refresh(&self, discard: DiscardRefresh) -> Result<Saved, StoreError> {
        self.write(move |c| discard_in(c, &discard)).await
    }

    async fn list_due_refreshes(
        &self,
        now: Micros,
        except: &[ConfigId],
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError> {
        let except = json(&except)?;
        self.read(|c| all(c, DUE, params![now.0, except, limit], Grant::read)).await
    }

    async fn list_journalled_refreshes(
        &self,
        before: Micros,
        limit: u32,
    ) -> Result<Vec<RefreshAttempt>, StoreError> {
        self.read(|c| all(c, JOURNALLED, params![before.0, limit], RefreshAttempt::read)).await
    }

    async fn list_refresh_attempts(
        &self,
        app: AppId,
        grant: GrantId,
        limit: u32,
    ) -> Result<Vec<RefreshAttempt>, StoreError> {
        let found = self
            .read(|c| {
                all(c, NEWEST, params![grant.to_string(), app.to_string(), limit], RefreshAttempt::read)
            })
            .await?;
        Ok(found.into_iter().map(|attempt| RefreshAttempt { body: None, ..attempt }).collect())
    }

    async fn count_reconnects(&self) -> Result<Vec<ReconnectCount>, StoreError> {
        self.read(|c| all(c, RECONNECTS, [], ReconnectCount::read)).await
    }

    async fn count_refused_clients(&self, until: Micros) -> Result<Vec<RefusedClient>, StoreError> {
        self.read(|c| all(c, REFUSED_CLIENTS, [until.0], RefusedClient::read)).await
    }
}

fn read_grant(c: &Connection, app: AppId, grant: GrantId) -> Result<Option<Grant>, Fault> {
    one(c, GRANT, params![grant.to_string(), app.to_string()], Grant::read)
}

fn begin_in(c: &Connection, begin: &BeginRefresh) -> Result<Begun, Fault> {
    let grant = read_grant(c, begin.app_id, begin.grant_id)?;
    let Some(mut grant) = grant.filter(|grant| begin.fits(grant)) else { return Ok(Begun::Moved) };
    if !grant.refresh.is_leased(begin.at)
        && let Some(answered) = answered(c, &grant)?
    {
        return Ok(Begun::Journalled(answered));
    }
    if grant.refresh.is_broken_off(begin.at) {
        break_off(c, &grant, begin.at)?;
    }
    let beginning = Beginning::of(&grant, begin);
    let changed = (&grant.refresh, grant.refresh_at) != (&beginning.state, beginning.look_at);
    (grant.refresh, grant.refresh_at) = (beginning.state, beginning.look_at);
    if beginning.wipe {
        run(c, "UPDATE grants SET refresh_token = NULL WHERE id = ?1", [grant.id.to_string()])?;
    }
    // Those who wait ask again and again, and mostly nothing has changed.
    if changed {
        save_state(c, &grant)?;
    }
    append_if(beginning.condemned, c, &begin.audit)?;
    if beginning.now != WhatNow::Refresh {
        return Ok(Begun::Not(beginning.now));
    }
    let attempt = begin.attempt(grant.refresh.attempt);
    let sql = sql!(
        "INSERT INTO refreshes ({}) VALUES ({})",
        Names(RefreshAttempt::WRITTEN),
        Places(RefreshAttempt::WRITTEN)
    );
    run(c, sql, bound(attempt.values()?))?;
    Ok(Begun::Taken(Box::new(grant), attempt))
}

/// Finds an answer in the journal that nobody has applied yet, of whichever attempt of the generation: the newest one,
/// since a provider may take its last answer alone.
fn answered(c: &Connection, grant: &Grant) -> Result<Option<RefreshAttempt>, Fault> {
    let sql = sql!(
        "SELECT {} FROM refreshes WHERE grant_id = ?1 AND generation = ?2 AND body IS NOT NULL
         ORDER BY attempt DESC LIMIT 1",
        Names(RefreshAttempt::COLUMNS),
    );
    one(c, sql, params![grant.id.to_string(), counter(grant.credential.generation)?], RefreshAttempt::read)
}

/// Ends the newest attempt, whose lease has run out.
fn break_off(c: &Connection, grant: &Grant, at: Micros) -> Result<(), Fault> {
    let sql = "UPDATE refreshes SET outcome = 'unknown', ended_at = ?4
               WHERE grant_id = ?1 AND generation = ?2 AND attempt = ?3 AND outcome IS NULL";
    let generation = counter(grant.credential.generation)?;
    run(c, sql, params![grant.id.to_string(), generation, grant.refresh.attempt, at.0])?;
    Ok(())
}

fn save_state(c: &Connection, grant: &Grant) -> Result<(), Fault> {
    let sql = "UPDATE grants SET refresh = ?2, refresh_at = ?3, reconnect = ?4 WHERE id = ?1";
    let reason = grant.refresh.verdict.as_ref().map(|verdict| verdict.reason.as_str());
    let values =
        params![grant.id.to_string(), json(&grant.refresh)?, grant.refresh_at.map(|at| at.0), reason];
    run(c, sql, values)?;
    Ok(())
}

fn end_in(c: &Connection, end: &EndRefresh) -> Result<RefreshEnded, Fault> {
    let grant = read_grant(c, end.attempt.app_id, end.attempt.grant_id)?;
    let grant = grant.ok_or(StoreError::Corrupt("grant_id"))?;
    match &end.result {
        RefreshResult::Tokens { .. } if grant.revoked.is_some() => Ok(RefreshEnded::Revoked),
        RefreshResult::Tokens { .. } if grant.credential.generation != end.attempt.generation => {
            Ok(RefreshEnded::Superseded)
        }
        RefreshResult::Tokens { .. } => succeed(c, end, grant),
        RefreshResult::Nothing(outcome) => fail(c, end, grant, outcome),
    }
}

fn succeed(c: &Connection, end: &EndRefresh, mut grant: Grant) -> Result<RefreshEnded, Fault> {
    let sql = "UPDATE refreshes SET outcome = 'refreshed', ended_at = ?2, body = NULL
               WHERE id = ?1 AND (outcome IS NULL OR outcome = 'unknown')";
    if run(c, sql, params![end.attempt.id.to_string(), end.at.0])? == 0 {
        return Ok(RefreshEnded::Late);
    }
    end.renew(&mut grant);
    let credential = &grant.credential;
    refuse_retired(
        c,
        grant.app_id,
        [Some(&credential.access_token), credential.refresh_token.as_ref(), credential.id_token.as_ref()],
    )?;
    let sql = "UPDATE grants SET generation = ?2, token_type = ?3, credential_issued_at = ?4,
                      credential_expires_at = ?5, access_token = ?6, refresh_token = ?7, id_token = ?8,
                      scopes = ?9, missing_scopes = ?10
               WHERE id = ?1";
    let values = params![
        grant.id.to_string(),
        counter(credential.generation)?,
        alter_rows::storable::text(&credential.token_type)?,
        credential.issued_at.0,
        credential.expires_at.map(|at| at.0),
        credential.access_token,
        credential.refresh_token,
        credential.id_token,
        json(&grant.scopes)?,
        json(&grant.missing_scopes)?,
    ];
    run(c, sql, values)?;
    save_state(c, &grant)?;
    forget_old(c, &grant)?;
    append(c, &end.audit)?;
    Ok(RefreshEnded::Refreshed)
}

/// Deletes ended attempts beyond the newest [`KEPT`].
fn forget_old(c: &Connection, grant: &Grant) -> Result<(), Fault> {
    let sql = "DELETE FROM refreshes WHERE grant_id = ?1 AND outcome IS NOT NULL AND body IS NULL AND id NOT IN
               (SELECT id FROM refreshes WHERE grant_id = ?1 ORDER BY generation DESC, attempt DESC LIMIT ?2)";
    run(c, sql, params![grant.id.to_string(), KEPT])?;
    Ok(())
}

fn fail(
    c: &Connection,
    end: &EndRefresh,
    mut grant: Grant,
    outcome: &Outcome,
) -> Result<RefreshEnded, Fault> {
    let code = match outcome {
        Outcome::Refused(code) => Some(code.as_str()),
        Outcome::Failed { .. } | Outcome::Unknown => None,
    };
    let sql = "UPDATE refreshes SET outcome = ?2, code = ?3, ended_at = ?4, body = NULL
               WHERE id = ?1 AND outcome IS NULL";
    let values = params![end.attempt.id.to_string(), outcome.as_str(), code, end.at.0];
    if run(c, sql, values)? == 0 {
        // It was settled as unknown before it was answered: what is in the journal brought nothing.
        let empty = "UPDATE refreshes SET body = NULL WHERE id = ?1 AND outcome = 'unknown'";
        run(c, empty, [end.attempt.id.to_string()])?;
        return Ok(RefreshEnded::Late);
    }
    if !end.fits(&grant) {
        return Ok(RefreshEnded::Late);
    }
    let others = "SELECT 1 AS n FROM refreshes
                  WHERE grant_id = ?1 AND generation = ?2 AND body IS NOT NULL AND id <> ?3 LIMIT 1";
    let key =
        params![grant.id.to_string(), counter(grant.credential.generation)?, end.attempt.id.to_string()];
    let answered = one(c, others, key, |_| Ok(()))?.is_some();
    let ending = Ending::of(&grant, end, outcome, answered);
    (grant.refresh, grant.refresh_at) = (ending.state, ending.look_at);
    save_state(c, &grant)?;
    forget_old(c, &grant)?;
    append_if(ending.ended == RefreshEnded::Condemned, c, &end.audit)?;
    Ok(ending.ended)
}

fn discard_in(c: &Connection, discard: &DiscardRefresh) -> Result<Saved, Fault> {
    let sql =
        "UPDATE refreshes SET outcome = ?2, ended_at = ?3, body = NULL WHERE id = ?1 AND body IS NOT NULL";
    let values = params![discard.attempt.id.to_string(), discard.outcome, discard.at.0];
    if run(c, sql, values)? == 0 {
        return Ok(Saved::Moved);
    }
    if let Some(request) = &discard.request {
        revocation::insert(c, request)?;
        let pending = "UPDATE grants SET revocation = 'pending' WHERE id = ?1 AND status = 'revoked'";
        run(c, pending, [request.grant_id.to_string()])?;
    }
    append(c, &discard.audit)?;
    Ok(Saved::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_found_by_its_index_without_sorting() {
        for (sql, index) in [(DUE, "grants_to_refresh"), (JOURNALLED, "refreshes_journalled")] {
            let plan = crate::migrate::plan(sql);
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        let plan = crate::migrate::plan(NEWEST);
        assert!(plan.contains("(grant_id=?)") && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn grants_to_reconnect_are_counted_in_their_index_alone_and_refused_clients_among_those_due() {
        let plan = crate::migrate::plan(RECONNECTS);
        assert!(
            plan.contains("COVERING INDEX grants_to_reconnect") && !plan.contains("TEMP B-TREE"),
            "{plan}"
        );
        let plan = crate::migrate::plan(REFUSED_CLIENTS);
        assert!(plan.contains("INDEX grants_to_refresh (refresh_at"), "{plan}");
    }
}
