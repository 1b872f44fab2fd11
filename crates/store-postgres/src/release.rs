//! Group commit for releases of credentials. Releases of one app queue on the app's audit row anyway, so while one
//! transaction runs, later ones wait and share the next (up to 256). The first never waits for company.
//!
//! Within a transaction, each release is judged by itself, as if it had come after those before it. An error of the engine
//! fails all of them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    mem,
    sync::Arc,
};

use alter_core::{
    AgentId, AppId, GrantId, Micros, ReleaseCredential, Saved, StoreError, grant::LAST_USED_STEP,
};
use alter_rows::audit::row;
use tokio::sync::oneshot;

use crate::{
    audit::append_all,
    connection::Connection,
    fault::Fault,
    pool::{Form, LIMIT, Pool},
    statement::{all, run, values},
    store::{known_nonces, nonce_of, record_nonces},
};

use crate::line::{Line, Waiting};

/// The most releases in one transaction.
const BATCH: usize = 256;

/// Queues a release and waits for its commit. If the caller stops waiting before the release's turn comes, the release is
/// left out; after that, it may be committed although nobody waits.
pub(crate) async fn stand_in_line(
    line: &Arc<Line>,
    pool: &Arc<Pool>,
    release: ReleaseCredential,
) -> Result<Saved, StoreError> {
    let (app, (answer, answered)) = (release.app_id, oneshot::channel());
    let waiting = Waiting { release, answer };
    let first = {
        let mut apps = line.apps();
        let first = !apps.contains_key(&app);
        apps.entry(app).or_default().push(waiting);
        first
    };
    if first {
        // In its own task: the first caller may hang up, and the others go on.
        tokio::spawn(serve(Serving { line: line.clone(), app, over: false }, pool.clone()));
    }
    match tokio::time::timeout(LIMIT, answered).await {
        Ok(answered) => {
            answered.unwrap_or_else(|_| Err(StoreError::Unavailable("the release broke off".into())))
        }
        Err(_) => Err(Fault::Late.into()),
    }
}

/// Commits the app's releases, batch by batch, until none waits.
async fn serve(mut serving: Serving, pool: Arc<Pool>) {
    while let Some(batch) = serving.next() {
        let (releases, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.release, waiting.answer)).unzip();
        let (app, releases) = (serving.app, &releases);
        let done = pool.run(Form::Transaction, |tx| Box::pin(release_all(tx.c, app, releases))).await;
        match done {
            Ok(verdicts) => answers.into_iter().zip(verdicts).for_each(|(answer, verdict)| {
                // A caller that no longer waits needs no result.
                let _ = answer.send(verdict);
            }),
            Err(error) => {
                let why = match error {
                    StoreError::Unavailable(why) => why,
                    other => other.to_string(),
                };
                for answer in answers {
                    let _ = answer.send(Err(StoreError::Unavailable(why.clone())));
                }
            }
        }
    }
}

/// The app's entry in the line while it is served. However the serving ends, the next release begins a new one.
struct Serving {
    line: Arc<Line>,
    app: AppId,
    /// The queue was empty and the app's entry is gone; another `Serving` may own it now, so `drop` must not remove it.
    over: bool,
}

impl Serving {
    /// Takes the next batch. Returns `None` when no release waits; then the app's entry is gone.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut apps = self.line.apps();
        let waiting = apps.get_mut(&self.app)?;
        waiting.retain(|waiting| !waiting.answer.is_closed());
        if waiting.is_empty() {
            apps.remove(&self.app);
            self.over = true;
            return None;
        }
        let rest = waiting.split_off(waiting.len().min(BATCH));
        Some(mem::replace(waiting, rest))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // After a panic: dropping the senders tells the waiting callers.
        if !self.over {
            self.line.apps().remove(&self.app);
        }
    }
}

/// Returns a result for each release, in order. When a grant has moved, nothing is recorded, not even the nonce: the caller
/// reads again and tries again with the same nonce. Grants, agents and delegations stay locked as they were found until
/// the commit, so nothing is released after its revocation was acknowledged.
async fn release_all(
    c: &mut Connection,
    app: AppId,
    releases: &[ReleaseCredential],
) -> Result<Vec<Result<Saved, StoreError>>, Fault> {
    let mut grants = lock_grants(c, app, releases).await?;
    let fits = |release: &&ReleaseCredential| {
        grants.get(&release.grant_id).is_some_and(|grant| grant.generation == release.generation)
    };
    let delegated = lock_delegations(c, app, releases.iter().filter(fits)).await?;
    let may = |release: &&ReleaseCredential| {
        let is_live = |(agent, version)| delegated.contains(&(agent, version, release.grant_id));
        fits(release) && release.agent.is_none_or(is_live)
    };
    let judged: Vec<_> = releases.iter().map(|release| may(&release).then(|| row(&release.audit))).collect();

    let nonces = |good: bool| {
        let calls =
            releases.iter().zip(&judged).filter(move |(_, judged)| matches!(judged, Some(Ok(_))) == good);
        calls.filter_map(|(release, _)| release.call.map(nonce_of)).collect()
    };
    let mut new = record_nonces(c, nonces(true)).await?;
    let known = known_nonces(c, nonces(false)).await?;

    let (mut verdicts, mut rows, mut used) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (release, judged) in releases.iter().zip(judged) {
        verdicts.push(match judged {
            // Of several releases with the same nonce, the first gets it.
            Some(Ok(_)) if release.call.is_some_and(|call| !new.remove(&nonce_of(call))) => {
                Err(StoreError::NonceReplayed)
            }
            Some(Ok(row)) => {
                rows.push(row);
                if let Some(grant) = grants.get_mut(&release.grant_id)
                    && grant.last_used.is_none_or(|used| used.plus_seconds(LAST_USED_STEP) <= release.at)
                {
                    grant.last_used = Some(release.at);
                    used.insert(release.grant_id.to_string(), release.at.0);
                }
                Ok(Saved::Done)
            }
            _ if release.call.is_some_and(|call| known.contains(&nonce_of(call))) => {
                Err(StoreError::NonceReplayed)
            }
            Some(Err(unstorable)) => Err(unstorable),
            None => Ok(Saved::Moved),
        });
    }
    if !used.is_empty() {
        let sql = "UPDATE grants g SET last_used_at = used.at
                   FROM unnest($1::TEXT[], $2::BIGINT[]) AS used(id, at) WHERE g.id = used.id";
        let (ids, times): (Vec<_>, Vec<_>) = used.into_iter().unzip();
        run(c, sql, values![ids, times]).await?;
    }
    append_all(c, app, rows).await?;
    Ok(verdicts)
}

/// A grant as it was found; its row is locked.
struct Locked {
    generation: u64,
    last_used: Option<Micros>,
}

/// Locks the app's active grants, in the order of their ids, so that two processes never wait for each other.
async fn lock_grants(
    c: &mut Connection,
    app: AppId,
    releases: &[ReleaseCredential],
) -> Result<HashMap<GrantId, Locked>, Fault> {
    let sql = "SELECT id, generation, last_used_at FROM grants
               WHERE id = ANY($1) AND app_id = $2 AND status = 'active' ORDER BY id FOR UPDATE";
    let ids: Vec<_> = releases.iter().map(|release| release.grant_id.to_string()).collect();
    let found = all(c, sql, values![ids, app.to_string()], |row| {
        let locked = Locked { generation: row.get("generation")?, last_used: row.get("last_used_at")? };
        Ok((row.get("id")?, locked))
    });
    Ok(found.await?.into_iter().collect())
}

/// Locks every live delegation to an active agent of the app; returns agent, agent's version and grant.
///
/// Agents are not locked FOR SHARE: a share lock does not queue behind a waiting UPDATE, so an agent whose calls overlap
/// could delay its own suspension for ever (T98).
async fn lock_delegations(
    c: &mut Connection,
    app: AppId,
    releases: impl Iterator<Item = &ReleaseCredential>,
) -> Result<HashSet<(AgentId, u64, GrantId)>, Fault> {
    let asked: HashSet<_> =
        releases.filter_map(|release| Some((release.agent?.0, release.grant_id))).collect();
    if asked.is_empty() {
        return Ok(HashSet::new());
    }
    let agents: Vec<_> = asked.iter().map(|(agent, _)| agent.to_string()).collect();
    let sql = "SELECT id, version FROM agents
               WHERE id = ANY($1) AND app_id = $2 AND status = 'active' ORDER BY id FOR NO KEY UPDATE";
    let active =
        all(c, sql, values![agents, app.to_string()], |row| Ok((row.get("id")?, row.get("version")?)));
    let active: HashMap<AgentId, u64> = active.await?.into_iter().collect();
    // If the agent was suspended or deleted in the meantime, its delegations are not locked: the transaction that deletes it
    // locks them in another order.
    let asked = asked.iter().filter(|(agent, _)| active.contains_key(agent));
    let (agents, grants): (Vec<_>, Vec<_>) =
        asked.map(|(agent, grant)| (agent.to_string(), grant.to_string())).unzip();
    let sql = "SELECT d.agent_id, d.grant_id FROM delegations d
               JOIN unnest($1::TEXT[], $2::TEXT[]) AS asked(agent_id, grant_id)
                   ON d.agent_id = asked.agent_id AND d.grant_id = asked.grant_id
               WHERE d.revoked_at IS NULL ORDER BY d.agent_id, d.grant_id FOR UPDATE OF d";
    let live = all(c, sql, values![agents, grants], |row| Ok((row.get("agent_id")?, row.get("grant_id")?)));
    let live = live.await?.into_iter();
    Ok(live.filter_map(|(agent, grant)| Some((agent, *active.get(&agent)?, grant))).collect())
}

#[cfg(test)]
mod tests {
    use alter_store_contract::sample::{grant, release};

    use super::*;

    fn waiting(app: AppId) -> (Waiting, oneshot::Receiver<Result<Saved, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        (Waiting { release: release(&grant(app), None), answer }, answered)
    }

    #[test]
    fn a_serving_that_breaks_off_ends_the_waiting_and_one_that_is_over_touches_no_other() {
        let (line, app) = (Arc::new(Line::default()), AppId::new(&alter_core::SystemRandom));
        let serving = || Serving { line: line.clone(), app, over: false };
        let (waits, mut answered) = waiting(app);
        line.apps().insert(app, vec![waits]);
        drop(serving());
        assert!(answered.try_recv().is_err() && line.apps().is_empty());

        let mut over = serving();
        line.apps().insert(app, Vec::new());
        assert!(over.next().is_none());
        let (waits, mut answered) = waiting(app);
        line.apps().insert(app, vec![waits]);
        drop(over);
        assert!(matches!(answered.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        assert_eq!(serving().next().map(|batch| batch.len()), Some(1));
    }

    #[test]
    fn a_batch_has_256_at_most_and_none_who_hung_up() {
        let (line, app) = (Arc::new(Line::default()), AppId::new(&alter_core::SystemRandom));
        let (waits, mut answered): (Vec<_>, Vec<_>) = (0..300).map(|_| waiting(app)).unzip();
        line.apps().insert(app, waits);
        answered.truncate(290);
        let mut serving = Serving { line, app, over: false };
        let batches = [serving.next(), serving.next(), serving.next()];
        assert_eq!(batches.map(|batch| batch.map(|b| b.len())), [Some(256), Some(34), None]);
    }
}
