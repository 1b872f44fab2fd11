//! Cases for agents, their keys, and what was delegated to them.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::operator::insert_app;
use std::sync::Arc;

use alter_core::{
    Agent, AgentCreated, AgentId, AgentStatus, ApiKey, AppId, AuditKind, Delegation, FoundKey, GrantFilter,
    Idempotency, KeyRevoked, ReleaseCredential, Session, Store, StoreError, SystemRandom,
    agent::AGENT_KEYS_MAX,
};

use super::sample::{
    T0, agent, agent_key, app, assert_same, audit, call, claim, complete, count_true, delegated_grant,
    delegation, found, grant, hash, listed, recorded, release, sent, session, stored_agent, stored_app,
    stored_grant, unwritable_audit,
};

async fn create(
    store: &dyn Store,
    agent: &Agent,
    same: Option<Idempotency>,
) -> Result<AgentCreated, StoreError> {
    let entry = audit(agent.app_id, AuditKind::AgentCreated);
    store.create_agent(None, agent.clone(), agent_key(agent), same, entry).await
}

async fn save(store: &dyn Store, agent: &Agent) -> Result<bool, StoreError> {
    store
        .save_agent(None, agent, audit(agent.app_id, AuditKind::AgentChanged))
        .await
        .map(|done| done.is_done())
}

pub async fn an_agent_is_read_back_as_it_was_stored_and_its_key_finds_it(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = app();
    insert_app(&*store, app.clone()).await?;
    let (agent, key) = stored_agent(&*store, app.id).await?;
    assert_eq!(found(store.get_agent(app.id, agent.id).await?), agent);
    assert_eq!(found(store.find_agent(app.id, &agent.name).await?), agent);
    assert_same(
        &found(store.find_key(&key.hash).await?),
        &FoundKey { key: key.clone(), app: app.clone(), agent: Some(agent.clone()) },
    );
    assert_eq!(store.list_agent_keys(app.id, agent.id).await?, [key]);
    assert_eq!(recorded(&*store, app.id).await?.len(), 1);

    let other = stored_app(&*store).await?;
    assert!(store.get_agent(other, agent.id).await?.is_none());
    assert!(store.find_agent(other, &agent.name).await?.is_none());
    assert!(store.list_agent_keys(other, agent.id).await?.is_empty());
    assert!(store.get_agent(app.id, AgentId::new(&SystemRandom)).await?.is_none());
    Ok(())
}

pub async fn a_name_is_taken_until_its_agent_is_revoked(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let (mut first, _) = stored_agent(&*store, app).await?;
    let again = Agent { name: first.name.clone(), ..agent(app) };
    assert_eq!(create(&*store, &again, None).await?, AgentCreated::NameTaken);
    assert!(store.get_agent(app, again.id).await?.is_none());
    assert_eq!(recorded(&*store, app).await?.len(), 1, "nothing was stored, so nothing was recorded");
    let elsewhere = Agent { name: first.name.clone(), ..agent(other) };
    assert_eq!(create(&*store, &elsewhere, None).await?, AgentCreated::Stored);
    first.status = AgentStatus::Revoked;
    assert!(save(&*store, &first).await?);
    assert_eq!(create(&*store, &again, None).await?, AgentCreated::Stored);
    assert_eq!(found(store.find_agent(app, &again.name).await?).id, again.id);
    Ok(())
}

pub async fn the_same_idempotency_key_makes_one_agent(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let same = Idempotency { key: "once".into(), body_hash: hash() };
    let first = agent(app);
    assert_eq!(create(&*store, &first, Some(same.clone())).await?, AgentCreated::Stored);
    let known = AgentCreated::Known(Box::new(first.clone()), same.body_hash);
    let changed = Idempotency { body_hash: hash(), ..same.clone() };
    assert_eq!(create(&*store, &agent(app), Some(changed)).await?, known);
    assert_eq!(
        create(&*store, &first, Some(same.clone())).await?,
        known,
        "the idempotency key is checked before the name"
    );
    assert_eq!(create(&*store, &agent(other), Some(same)).await?, AgentCreated::Stored);
    assert_eq!(store.list_agents(app, true, 9, 0).await?, (vec![first], 1));
    Ok(())
}

pub async fn of_many_concurrent_creations_of_one_name_exactly_one_counts(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let made = count_true(&store, 20, |store| async move {
        let named = Agent { name: "one".into(), ..agent(app) };
        create(&*store, &named, None).await.map(|made| made == AgentCreated::Stored)
    });
    assert_eq!(made.await, 1);
    assert_eq!(store.list_agents(app, true, 30, 0).await?.1, 1);
    Ok(())
}

pub async fn agents_are_listed_by_creation_in_pages(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    stored_agent(&*store, other).await?;
    for (name, second) in [("b", 2), ("c", 3), ("a", 1)] {
        let named = Agent { name: name.into(), created_at: T0.plus_seconds(second), ..agent(app) };
        create(&*store, &named, None).await?;
    }
    let mut gone = found(store.find_agent(app, "b").await?);
    gone.status = AgentStatus::Revoked;
    assert!(save(&*store, &gone).await?);
    let page = async |revoked_too, limit, offset| -> Result<(Vec<String>, u64), StoreError> {
        let (agents, total) = store.list_agents(app, revoked_too, limit, offset).await?;
        Ok((agents.into_iter().map(|agent| agent.name).collect(), total))
    };
    let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    assert_eq!(page(true, 9, 0).await?, (names(&["a", "b", "c"]), 3));
    assert_eq!(page(false, 9, 0).await?, (names(&["a", "c"]), 2));
    assert_eq!(page(true, 1, 1).await?, (names(&["b"]), 3));
    assert_eq!(page(false, 9, 9).await?, (vec![], 2));
    Ok(())
}

pub async fn a_save_raises_the_version_and_a_stale_one_changes_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (mut agent, _) = stored_agent(&*store, app).await?;
    agent.set_active(false);
    agent.data.display_name = None;
    agent.updated_at = T0.plus_seconds(3);
    assert!(save(&*store, &agent).await?);
    let stored = Agent { version: 2, ..agent.clone() };
    assert_eq!(found(store.get_agent(app, agent.id).await?), stored);
    agent.set_active(true);
    assert!(!save(&*store, &agent).await?, "the stored version has changed");
    assert!(
        !save(&*store, &Agent { app_id: stored_app(&*store).await?, ..stored.clone() }).await?,
        "another app"
    );
    assert_eq!(found(store.get_agent(app, agent.id).await?), stored);
    assert_eq!(recorded(&*store, app).await?.len(), 2);
    Ok(())
}

pub async fn a_revoked_agent_loses_its_keys_and_delegations_and_stays_revoked(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (mut agent, key) = stored_agent(&*store, app).await?;
    let (kept, kept_key) = stored_agent(&*store, app).await?;
    let shared = delegated_grant(&*store, app, agent.id).await?;
    let kept_grant = delegated_grant(&*store, app, kept.id).await?;
    (agent.status, agent.updated_at) = (AgentStatus::Revoked, T0.plus_seconds(7));
    assert!(save(&*store, &agent).await?);

    let gone = found(store.find_key(&key.hash).await?);
    assert_eq!(gone.key.revoked_at, Some(T0.plus_seconds(7)));
    assert_eq!(gone.agent.map(|a| a.status), Some(AgentStatus::Revoked));
    assert!(store.find_delegation(app, shared.id, agent.id).await?.is_none());
    assert_eq!(found(store.find_key(&kept_key.hash).await?).key.revoked_at, None);
    assert!(store.find_delegation(app, kept_grant.id, kept.id).await?.is_some());

    agent.version += 1;
    agent.status = AgentStatus::Active;
    assert!(!save(&*store, &agent).await?, "a revoked agent stays revoked");
    Ok(())
}

pub async fn t61_a_replayed_call_changes_no_agent(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (agent, key) = stored_agent(&*store, app).await?;
    let call = call();
    store.record_call(call).await?;
    let entry = || audit(app, AuditKind::AgentChanged);
    let other = super::sample::agent(app);
    let id = (app, agent.id, key.id);
    let replays: [Result<(), StoreError>; 5] = [
        store.create_agent(Some(call), other.clone(), agent_key(&other), None, entry()).await.map(drop),
        store.save_agent(Some(call), &agent, entry()).await.map(drop),
        store.insert_agent_key(Some(call), agent_key(&agent), entry()).await.map(drop),
        store.revoke_agent_key(Some(call), id, T0, true, entry()).await.map(drop),
        store.deprecate_agent_key(Some(call), id, Some(T0), entry()).await.map(drop),
    ];
    assert!(replays.iter().all(|r| matches!(r, Err(StoreError::NonceReplayed))), "{replays:?}");
    assert_eq!(store.list_agents(app, true, 9, 0).await?, (vec![agent], 1));
    assert_eq!(recorded(&*store, app).await?.len(), 1);
    Ok(())
}

pub async fn t97_a_change_to_agents_without_its_audit_entry_is_not_stored(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (agent, key) = stored_agent(&*store, app).await?;
    let other = super::sample::agent(app);
    let entry = || unwritable_audit(app, AuditKind::AgentChanged);
    let id = (app, agent.id, key.id);
    let suspended = Agent { status: AgentStatus::Inactive, ..agent.clone() };
    let refused: [Result<(), StoreError>; 5] = [
        store.create_agent(None, other.clone(), agent_key(&other), None, entry()).await.map(drop),
        store.save_agent(None, &suspended, entry()).await.map(drop),
        store.insert_agent_key(None, agent_key(&agent), entry()).await.map(drop),
        store.revoke_agent_key(None, id, T0, true, entry()).await.map(drop),
        store.deprecate_agent_key(None, id, Some(T0), entry()).await.map(drop),
    ];
    assert!(refused.iter().all(|r| matches!(r, Err(StoreError::Unstorable))), "{refused:?}");
    assert_eq!(store.list_agents(app, true, 9, 0).await?, (vec![agent.clone()], 1));
    assert_eq!(store.list_agent_keys(app, agent.id).await?, [key]);
    Ok(())
}

pub async fn an_agent_has_so_many_keys_and_no_more(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (agent, first) = stored_agent(&*store, app).await?;
    let add =
        async || store.insert_agent_key(None, agent_key(&agent), audit(app, AuditKind::KeyCreated)).await;
    for _ in 1..AGENT_KEYS_MAX {
        assert!(add().await?.is_done());
    }
    assert!(!add().await?.is_done(), "full");
    revoke(&*store, &first, false).await?;
    assert!(add().await?.is_done(), "a revoked key does not count");
    assert!(!add().await?.is_done());
    let (mut gone, _) = stored_agent(&*store, app).await?;
    gone.status = AgentStatus::Revoked;
    assert!(save(&*store, &gone).await?);
    let late =
        store.insert_agent_key(None, agent_key(&gone), audit(app, AuditKind::KeyCreated)).await?.is_done();
    assert!(!late, "a deleted agent gets no key");
    let entry = || audit(app, AuditKind::KeyCreated);
    let foreign = ApiKey { app_id: stored_app(&*store).await?, ..agent_key(&agent) };
    let foreign =
        store.insert_agent_key(None, foreign.clone(), audit(foreign.app_id, AuditKind::KeyCreated)).await?;
    assert!(!foreign.is_done(), "another app's agent gets no key (T72)");
    let unknown = ApiKey { agent_id: Some(AgentId::new(&SystemRandom)), ..agent_key(&agent) };
    assert!(!store.insert_agent_key(None, unknown, entry()).await?.is_done(), "an unknown agent gets no key");
    assert_eq!(store.list_agent_keys(app, gone.id).await?.len(), 1);
    Ok(())
}

async fn revoke(store: &dyn Store, key: &ApiKey, force: bool) -> Result<KeyRevoked, StoreError> {
    let agent = key.agent_id.unwrap_or_else(|| AgentId::new(&SystemRandom));
    let id = (key.app_id, agent, key.id);
    store
        .revoke_agent_key(None, id, T0.plus_seconds(4), force, audit(key.app_id, AuditKind::KeyRevoked))
        .await
}

pub async fn the_last_key_of_an_agent_is_revoked_only_by_force(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (agent, first) = stored_agent(&*store, app).await?;
    assert_eq!(revoke(&*store, &first, false).await?, KeyRevoked::LastActive);
    let second = agent_key(&agent);
    assert!(store.insert_agent_key(None, second.clone(), audit(app, AuditKind::KeyCreated)).await?.is_done());
    let revoked = ApiKey { revoked_at: Some(T0.plus_seconds(4)), seal: None, ..first.clone() };
    assert_eq!(revoke(&*store, &first, false).await?, KeyRevoked::Done(Box::new(revoked.clone())));
    assert_eq!(revoke(&*store, &first, true).await?, KeyRevoked::Already(Box::new(revoked)));
    assert_eq!(revoke(&*store, &second, false).await?, KeyRevoked::LastActive);
    assert!(matches!(revoke(&*store, &second, true).await?, KeyRevoked::Done(_)));
    let foreign = ApiKey { app_id: stored_app(&*store).await?, ..second.clone() };
    assert_eq!(revoke(&*store, &foreign, true).await?, KeyRevoked::NotFound);
    let unknown = ApiKey { id: alter_core::KeyId::new(&SystemRandom), ..second };
    assert_eq!(revoke(&*store, &unknown, true).await?, KeyRevoked::NotFound);
    Ok(())
}

pub async fn a_key_is_deprecated_and_taken_back_until_it_is_revoked(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (agent, key) = stored_agent(&*store, app).await?;
    let mark = async |app: AppId, at| {
        store
            .deprecate_agent_key(None, (app, agent.id, key.id), at, audit(app, AuditKind::KeyDeprecated))
            .await
    };
    let marked = ApiKey { deprecated_at: Some(T0), ..key.clone() };
    assert_eq!(mark(app, Some(T0)).await?, Some(marked.clone()));
    assert_eq!(found(store.find_key(&key.hash).await?).key, marked);
    assert_eq!(mark(app, None).await?, Some(key.clone()));
    assert_eq!(mark(stored_app(&*store).await?, Some(T0)).await?, None, "another app");
    revoke(&*store, &key, true).await?;
    assert_eq!(mark(app, Some(T0)).await?, None);
    Ok(())
}

pub async fn t13_a_delegation_is_written_with_its_grant_or_not_at_all(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let (mine, _) = stored_agent(&*store, app).await?;
    let (mut revoked, _) = stored_agent(&*store, app).await?;
    revoked.status = AgentStatus::Revoked;
    assert!(save(&*store, &revoked).await?);
    let (foreign, _) = stored_agent(&*store, other).await?;
    for agent in [revoked.id, foreign.id, AgentId::new(&SystemRandom)] {
        let grant = grant(app);
        let (session, attempt) = sent(&*store, app).await?;
        let mut complete = complete(&session, &attempt, &grant);
        complete.delegation = Some(delegation(&grant, agent));
        assert!(matches!(store.complete_connect(complete.clone()).await, Err(StoreError::Moved)));
        assert!(store.get_grant(app, grant.id).await?.is_none(), "no grant without its delegation");
        complete.delegation = Some(delegation(&grant, mine.id));
        assert!(
            store.complete_connect(complete).await?.is_done(),
            "positive control: the attempt is unchanged"
        );
        assert_eq!(store.find_delegation(app, grant.id, mine.id).await?, Some(delegation(&grant, mine.id)));
    }
    Ok(())
}

pub async fn t13_nothing_is_delegated_to_an_agent_that_is_stopped(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    for status in [AgentStatus::Inactive, AgentStatus::Revoked] {
        let app = stored_app(&*store).await?;
        let (mut agent, _) = stored_agent(&*store, app).await?;
        agent.status = status;
        assert!(save(&*store, &agent).await?);
        let grant = grant(app);
        let (session, attempt) = sent(&*store, app).await?;
        let mut complete = complete(&session, &attempt, &grant);
        complete.delegation = Some(delegation(&grant, agent.id));
        let refused = store.complete_connect(complete).await;
        assert!(matches!(refused, Err(StoreError::Moved)), "{status:?}: {refused:?}");
        assert!(store.get_grant(app, grant.id).await?.is_none(), "no grant without its delegation");
    }
    Ok(())
}

pub async fn a_revoked_delegation_is_gone_until_it_is_approved_again(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let (agent, _) = stored_agent(&*store, app).await?;
    let mut grant = delegated_grant(&*store, app, agent.id).await?;
    let end = async |app: AppId| {
        let entry = audit(app, AuditKind::DelegationRevoked);
        store.revoke_delegation(None, app, grant.id, agent.id, T0, entry).await.map(|done| done.is_done())
    };
    assert!(!end(other).await?, "another app");
    assert!(store.find_delegation(other, grant.id, agent.id).await?.is_none());
    assert!(end(app).await?);
    let before = recorded(&*store, app).await?.len();
    assert!(!end(app).await?, "once");
    assert_eq!(recorded(&*store, app).await?.len(), before);
    assert!(store.find_delegation(app, grant.id, agent.id).await?.is_none());
    let delegated = GrantFilter { agent: Some(agent.id), ..GrantFilter::default() };
    assert!(listed(&*store, app, &delegated).await?.is_empty());

    grant.credential.generation = 2;
    let (session, attempt) = sent(&*store, app).await?;
    let mut again = complete(&session, &attempt, &grant);
    let mut fewer = delegation(&grant, agent.id);
    fewer.scopes = vec!["mail".into()];
    again.delegation = Some(fewer.clone());
    assert!(store.complete_connect(again).await?.is_done());
    assert_eq!(store.find_delegation(app, grant.id, agent.id).await?, Some(fewer));
    Ok(())
}

/// A delegation, what it becomes when the user allows more, and the user's session with the answer.
async fn answered(
    store: &dyn Store,
    app: AppId,
    agent: AgentId,
) -> Result<(Delegation, Delegation, Session), StoreError> {
    let grant = delegated_grant(store, app, agent).await?;
    let before = delegation(&grant, agent);
    let mut after = Delegation { created_at: T0.plus_seconds(9), ..before.clone() };
    after.scopes.push("Mail.Read".into());
    let mut session = session(app);
    session.claim_by(claim()).expect("a claim at this level is let in");
    store.insert_session(None, session.clone()).await?;
    session.finish(T0.plus_seconds(9));
    Ok((before, after, session))
}

pub async fn t13_a_delegation_is_widened_with_its_session_or_not_at_all(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let (agent, _) = stored_agent(&*store, app).await?;
    let (before, after, session) = answered(&*store, app, agent.id).await?;
    let widen = async |session: &Session, before: &Delegation| {
        let entry = audit(session.app_id, AuditKind::DelegationWidened);
        store.widen_delegation(session, before.clone(), after.clone(), entry).await
    };
    let live = async || store.find_delegation(app, before.grant_id, agent.id).await;
    let unchanged = found(store.get_session(&session.sid).await?);

    let stale = Session { version: session.version + 1, ..session.clone() };
    assert!(!widen(&stale, &before).await?.is_done(), "the session has moved");
    let other_scopes = Delegation { scopes: vec!["x".into()], ..before.clone() };
    assert!(!widen(&session, &other_scopes).await?.is_done(), "the delegation has moved");
    let foreign = Session { app_id: other, ..session.clone() };
    assert!(!matches!(widen(&foreign, &before).await, Ok(done) if done.is_done()), "T72");
    assert_eq!((live().await?, recorded(&*store, app).await?.len()), (Some(before.clone()), 2));
    assert_eq!(found(store.get_session(&session.sid).await?), unchanged);

    assert!(widen(&session, &before).await?.is_done());
    assert_eq!(live().await?, Some(after.clone()));
    assert_eq!(found(store.get_session(&session.sid).await?).state_name(), session.state_name());
    assert_eq!(recorded(&*store, app).await?.len(), 3);

    let entry = audit(app, AuditKind::DelegationRevoked);
    assert!(store.revoke_delegation(None, app, before.grant_id, agent.id, T0, entry).await?.is_done());
    let next = found(store.get_session(&session.sid).await?);
    assert!(!widen(&next, &after).await?.is_done(), "a revoked delegation does not come back");
    assert_eq!(live().await?, None);
    Ok(())
}

pub async fn t13_of_many_answers_at_once_exactly_one_widens(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (agent, _) = stored_agent(&*store, app).await?;
    let (before, after, session) = answered(&*store, app, agent.id).await?;
    let widened = count_true(&store, 20, |store| {
        let (session, before, after) = (session.clone(), before.clone(), after.clone());
        async move {
            let entry = audit(session.app_id, AuditKind::DelegationWidened);
            store.widen_delegation(&session, before, after, entry).await.map(|done| done.is_done())
        }
    });
    assert_eq!(widened.await, 1);
    Ok(())
}

pub async fn t13_a_delegation_of_an_agent_that_is_stopped_is_not_widened(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (mut agent, _) = stored_agent(&*store, app).await?;
    let (before, after, session) = answered(&*store, app, agent.id).await?;
    agent.set_active(false);
    assert!(save(&*store, &agent).await?);
    let unchanged = found(store.get_session(&session.sid).await?);
    let entry = audit(app, AuditKind::DelegationWidened);
    let refused = store.widen_delegation(&session, before.clone(), after, entry).await;
    assert!(matches!(refused, Err(StoreError::Moved)), "{refused:?}");
    assert_eq!(store.find_delegation(app, before.grant_id, agent.id).await?, Some(before));
    assert_eq!(found(store.get_session(&session.sid).await?), unchanged);
    Ok(())
}

pub async fn t98_an_agent_gets_a_credential_with_a_live_delegation_alone(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (mut agent, _) = stored_agent(&*store, app).await?;
    let (stranger, _) = stored_agent(&*store, app).await?;
    let grant = delegated_grant(&*store, app, agent.id).await?;
    let ask_at = async |agent, version| {
        store
            .release_credential(ReleaseCredential { agent: Some((agent, version)), ..release(&grant, None) })
            .await
            .map(|done| done.is_done())
    };
    assert!(ask_at(agent.id, 1).await?, "control");
    assert!(!ask_at(stranger.id, 1).await?);
    assert!(!ask_at(AgentId::new(&SystemRandom), 1).await?);
    agent.set_active(false);
    assert!(save(&*store, &agent).await?);
    assert!(!ask_at(agent.id, 1).await? && !ask_at(agent.id, 2).await?, "suspended");
    agent.set_active(true);
    agent.version += 1;
    assert!(save(&*store, &agent).await?);
    let ask = async |agent| ask_at(agent, 3).await;
    assert!(!ask_at(agent.id, 1).await?, "an older version of the agent does not count");
    assert!(ask(agent.id).await?, "resumed");
    let entry = audit(app, AuditKind::DelegationRevoked);
    assert!(store.revoke_delegation(None, app, grant.id, agent.id, T0, entry).await?.is_done());
    assert!(!ask(agent.id).await?, "revoked");
    assert!(store.release_credential(release(&grant, None)).await?.is_done(), "the app itself still may");
    let plain = stored_grant(&*store, app).await?;
    assert!(
        !store
            .release_credential(ReleaseCredential { agent: Some((agent.id, 3)), ..release(&plain, None) })
            .await?
            .is_done()
    );
    Ok(())
}
