//! Two processes at once: a transaction's locks keep the other from changing what the transaction has read.

use alter_store_contract::operator::insert_app;
use std::sync::Arc;

use alter_core::{
    AddDataKey, AgentStatus, AppId, AuditKind, Grant, RevocationOutcome, RevokeGrant, Store,
    audit::{CHAIN_START, chain},
};
use alter_store_contract::sample::{
    T0, agent_key, app, audit, complete, count_true, delegated_grant, delegation, found, grant, release,
    sent, session, started, stored_agent, stored_app, stored_grant, wrapped_key,
};

use crate::{
    contract::{make, open},
    held::{Held, blocked, until_blocked},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_wins_a_compare_and_set() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let session = session(stored_app(&*one).await.unwrap());
    one.insert_session(None, session.clone()).await.unwrap();
    let save = |store: Arc<dyn Store>| {
        let session = session.clone();
        async move { store.save_session(&session).await.map(|done| done.is_done()) }
    };
    let (a, b) = tokio::join!(count_true(&one, 10, save), count_true(&other, 10, save));
    assert_eq!(a + b, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_is_not_refused_because_a_page_says_that_it_is_alive() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let app = stored_app(&*one).await.unwrap();
    for _ in 0..10 {
        let (session, attempt) = started(&*one, app).await.unwrap();
        let alive = |store: Arc<dyn Store>| {
            let sid = session.sid.clone();
            async move {
                let mut session = found(store.get_session(&sid).await?);
                session.page_served(T0);
                store.save_session(&session).await.map(|done| done.is_done())
            }
        };
        let (saved, consumed) =
            tokio::join!(count_true(&other, 10, alive), one.consume_attempt(attempt.id, T0));
        assert!(consumed.unwrap().is_first());
        let after = found(one.get_session(&session.sid).await.unwrap());
        assert_eq!(after.version, session.version + 1 + saved as u64, "every save counts once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t96_two_processes_write_one_unbroken_chain() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let app = stored_app(&*one).await.unwrap();
    let append = |store: Arc<dyn Store>| async move {
        store.append_audit(audit(app, AuditKind::TokenReleased)).await.map(|()| true)
    };
    let written = tokio::join!(count_true(&one, 60, append), count_true(&other, 60, append));
    assert_eq!(written, (60, 60));
    let (mut before, mut number) = (CHAIN_START, 0);
    for row in one.read_audit(app, 0, 200).await.unwrap() {
        number += 1;
        before = chain(app, &before, &row);
        assert_eq!((row.seq, row.hash), (number, Some(before)));
    }
    assert_eq!(number, 121);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_adds_a_data_key_holds_nothing_that_the_replacing_of_the_root_key_needs() {
    let (database, store) = make().await;
    let app = app();
    insert_app(&*store, app.clone()).await.unwrap();
    store.insert_key_check(vec![7; 40]).await.unwrap();
    // These are the steps of replacing the root key, in their order.
    let mut replacing = Held::by(&database, "UPDATE key_check SET value = value").await;
    let audit = audit(app.id, AuditKind::DataKeyAdded);
    let add = AddDataKey { app_id: app.id, wrapped: wrapped_key(), replaces: app.wrapped_key, at: T0, audit };
    let adding = tokio::spawn(async move { store.add_data_key(add).await.map(|done| done.is_done()) });
    until_blocked(&database, 1).await;
    // With NOWAIT this fails if somebody holds these locks.
    replacing.and("SELECT 1 FROM data_keys, apps FOR UPDATE NOWAIT").await;
    replacing.let_go().await;
    assert!(adding.await.unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_gets_no_more_keys_than_the_limit_from_two_processes_at_once() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let app = stored_app(&*one).await.unwrap();
    let (agent, _) = stored_agent(&*one, app).await.unwrap();
    let add = |store: Arc<dyn Store>| {
        let key = agent_key(&agent);
        async move {
            store
                .insert_agent_key(None, key, audit(app, AuditKind::KeyCreated))
                .await
                .map(|done| done.is_done())
        }
    };
    let (a, b) = tokio::join!(count_true(&one, 10, add), count_true(&other, 10, add));
    assert_eq!(a + b, alter_core::agent::AGENT_KEYS_MAX as usize - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_last_keys_revoked_at_once_one_is_left() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let app = stored_app(&*one).await.unwrap();
    for _ in 0..10 {
        let (agent, first) = stored_agent(&*one, app).await.unwrap();
        let second = agent_key(&agent);
        let entry = || audit(app, AuditKind::KeyRevoked);
        assert!(one.insert_agent_key(None, second.clone(), entry()).await.unwrap().is_done());
        let revoke = async |store: &dyn Store, key| {
            store.revoke_agent_key(None, (app, agent.id, key), T0, false, entry()).await.unwrap()
        };
        let both = tokio::join!(revoke(&*one, first.id), revoke(&*other, second.id));
        let keys = one.list_agent_keys(app, agent.id).await.unwrap();
        assert_eq!(keys.iter().filter(|key| key.revoked_at.is_none()).count(), 1, "{both:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_delegation_outlives_an_agent_that_is_revoked_while_it_is_made() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let app = stored_app(&*one).await.unwrap();
    for _ in 0..20 {
        let (mut agent, _) = stored_agent(&*one, app).await.unwrap();
        let (session, attempt) = sent(&*one, app).await.unwrap();
        let grant = grant(app);
        let mut connect = complete(&session, &attempt, &grant);
        connect.delegation = Some(delegation(&grant, agent.id));
        agent.status = AgentStatus::Revoked;
        let revoke = other.save_agent(None, &agent, audit(app, AuditKind::AgentRevoked));
        let (_either, revoked) = tokio::join!(one.complete_connect(connect), revoke);
        assert!(revoked.unwrap().is_done());
        assert!(one.find_delegation(app, grant.id, agent.id).await.unwrap().is_none());
    }
}

fn revoke(grant: &Grant) -> RevokeGrant {
    RevokeGrant {
        call: None,
        app_id: grant.app_id,
        grant_id: grant.id,
        generation: 1,
        at: T0,
        reason: None,
        request: Err(alter_core::RevocationOutcome::NotOffered),
        audit: audit(grant.app_id, AuditKind::GrantRevoked),
    }
}

/// Names of an app's entries, oldest first.
async fn recorded(store: &dyn Store, app: AppId) -> Vec<String> {
    let newest_first = store.list_audit(app, 200).await.unwrap();
    newest_first.into_iter().rev().map(|(kind, _)| kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t98_nothing_is_released_after_the_revocation() {
    let (database, one) = make().await;
    let other = open(&database).await;
    for _ in 0..10 {
        let app = stored_app(&*one).await.unwrap();
        let grant = stored_grant(&*one, app).await.unwrap();
        let ask = |store: Arc<dyn Store>| {
            let asked = release(&grant, None);
            async move { store.release_credential(asked).await.map(|done| done.is_done()) }
        };
        let (released, revoked) = tokio::join!(count_true(&one, 10, ask), other.revoke_grant(revoke(&grant)));
        assert!(revoked.unwrap().is_done());
        let kinds = recorded(&*one, app).await;
        let end = kinds.iter().position(|kind| kind == "grant_revoked").unwrap();
        assert!(kinds[end..].iter().all(|kind| kind != "token_released"), "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| *kind == "token_released").count(), released);
        let outcome = one.get_grant(app, grant.id).await.unwrap().unwrap().revoked.unwrap().outcome;
        assert_eq!(outcome, RevocationOutcome::NotOffered);
    }
}

/// A release that comes while a change of its agent waits stands behind the change, although it could share the lock with
/// the release that the change waits for. Otherwise releases that overlap without a gap would keep the change away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t98_an_agent_that_never_stops_asking_cannot_keep_its_suspension_away() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let app = stored_app(&*one).await.unwrap();
    let (mut agent, _) = stored_agent(&*one, app).await.unwrap();
    let grant = delegated_grant(&*one, app, agent.id).await.unwrap();
    let mut asked = release(&grant, None);
    asked.agent = Some((agent.id, agent.version));

    // A release under way, of another process: it holds the weakest lock that keeps the change away.
    let under_way = Held::by(&database, "SELECT id FROM agents FOR SHARE").await;
    agent.status = AgentStatus::Inactive;
    let suspending = tokio::spawn(async move {
        let entry = audit(app, AuditKind::AgentChanged);
        other.save_agent(None, &agent, entry).await.unwrap().is_done()
    });
    until_blocked(&database, 1).await;
    let store = one.clone();
    let next = tokio::spawn(async move { store.release_credential(asked).await.unwrap().is_done() });
    while blocked(&database) < 2 && !next.is_finished() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let overtook = next.is_finished();
    under_way.let_go().await;
    assert!(suspending.await.unwrap());
    assert!(!overtook, "it stands behind the suspension");
    assert!(!next.await.unwrap(), "and finds the agent suspended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t98_an_agent_gets_nothing_after_its_delegation_was_revoked() {
    let (database, one) = make().await;
    let other = open(&database).await;
    for _ in 0..10 {
        let app = stored_app(&*one).await.unwrap();
        let (agent, _) = stored_agent(&*one, app).await.unwrap();
        let grant = delegated_grant(&*one, app, agent.id).await.unwrap();
        let ask = |store: Arc<dyn Store>| {
            let mut asked = release(&grant, None);
            asked.agent = Some((agent.id, agent.version));
            async move { store.release_credential(asked).await.map(|done| done.is_done()) }
        };
        let entry = audit(app, AuditKind::DelegationRevoked);
        let end = other.revoke_delegation(None, app, grant.id, agent.id, T0, entry);
        let (_released, ended) = tokio::join!(count_true(&one, 10, ask), end);
        assert!(ended.unwrap().is_done());
        let kinds = recorded(&*one, app).await;
        let end = kinds.iter().position(|kind| kind == "delegation_revoked").unwrap();
        assert!(kinds[end..].iter().all(|kind| kind != "token_released"), "{kinds:?}");
    }
}
