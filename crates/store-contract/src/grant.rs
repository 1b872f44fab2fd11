//! Cases for grants.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{
    AccountFilter, AgentId, AuditKind, Grant, GrantFilter, GrantId, GrantStatus, Principal,
    ReleaseCredential, Store, StoreError, SystemRandom,
};

use super::revocation::revoke;
use super::sample::{
    T0, assert_same, audit, call, delegated_grant, found, grant, listed, recorded, release, store_grant,
    stored_agent, stored_app, stored_grant, stored_user, unwritable_audit,
};

pub async fn t72_a_grant_of_another_app_is_none(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let grant = stored_grant(&*store, app).await?;
    assert_same(&found(store.get_grant(app, grant.id).await?), &grant);
    assert_same(
        &found(store.find_grant(app, Principal::App, &grant.provider, &grant.subject).await?),
        &grant,
    );
    assert!(store.get_grant(other, grant.id).await?.is_none());
    assert!(store.find_grant(other, Principal::App, &grant.provider, &grant.subject).await?.is_none());
    assert!(store.list_grants(other, &GrantFilter::default(), 9, 0).await?.is_empty());
    assert!(store.get_grant(app, GrantId::new(&SystemRandom)).await?.is_none());
    assert!(store.find_grant(app, Principal::App, "other", &grant.subject).await?.is_none());
    Ok(())
}

pub async fn grants_are_listed_newest_first_in_pages(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    stored_grant(&*store, other).await?;
    let mut newest_first = Vec::new();
    for second in [3, 1, 4, 2, 5] {
        let mut grant = grant(app);
        grant.created_at = T0.plus_seconds(second);
        store_grant(&*store, &grant).await?;
        newest_first.push((grant.created_at, grant.id));
    }
    newest_first.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let expected: Vec<_> = newest_first.into_iter().map(|(_, id)| id).collect();
    let page = async |limit, offset| -> Result<Vec<GrantId>, StoreError> {
        let found = store.list_grants(app, &GrantFilter::default(), limit, offset).await?;
        Ok(found.into_iter().map(|listed| listed.grant.id).collect())
    };
    assert_eq!(page(10, 0).await?, expected);
    assert_eq!(page(2, 0).await?, expected[..2]);
    assert_eq!(page(2, 2).await?, expected[2..4]);
    assert_eq!(page(2, 4).await?, expected[4..]);
    assert!(page(2, 5).await?.is_empty());
    assert!(page(0, 0).await?.is_empty());
    Ok(())
}

pub async fn accounts_are_told_apart_byte_by_byte(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    // Composed and decomposed, upper and lower case, with and without a space, and empty: six accounts.
    for subject in ["caf\u{e9}", "cafe\u{301}", "A", "a", "a ", ""] {
        let mut grant = grant(app);
        grant.subject = subject.into();
        store_grant(&*store, &grant).await?;
        assert_eq!(
            found(store.find_grant(app, Principal::App, "google", subject).await?).id,
            grant.id,
            "{subject}"
        );
    }
    assert_eq!(store.list_grants(app, &GrantFilter::default(), 10, 0).await?.len(), 6);
    assert!(store.find_grant(app, Principal::App, "Google", "a").await?.is_none());
    assert!(store.find_grant(app, Principal::App, "google", "a\0").await?.is_none());
    Ok(())
}

pub async fn absent_values_stay_absent(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let mut bare = grant(stored_app(&*store).await?);
    bare.account_display_name = None;
    bare.scopes = vec![];
    bare.missing_scopes = vec![];
    bare.credential.expires_at = None;
    bare.credential.refresh_token = None;
    bare.credential.id_token = None;
    store_grant(&*store, &bare).await?;
    assert_same(&found(store.get_grant(bare.app_id, bare.id).await?), &bare);
    Ok(())
}

pub async fn a_release_leaves_an_audit_entry_and_uses_the_nonce(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let call = call();
    let first = release(&grant, Some(call));
    assert!(store.release_credential(first.clone()).await?.is_done());
    assert_eq!(store.list_audit(app, 1).await?, [("token_released".to_owned(), first.audit.details)]);
    assert!(matches!(store.record_call(call).await, Err(StoreError::NonceReplayed)));

    assert!(store.release_credential(release(&grant, None)).await?.is_done());
    assert_eq!(recorded(&*store, app).await?.len(), 3);
    let used = Grant { last_used_at: Some(T0.plus_seconds(10)), ..grant };
    assert_same(&found(store.get_grant(app, used.id).await?), &used);
    Ok(())
}

pub async fn the_time_of_last_use_is_kept_to_the_minute(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let grant = stored_grant(&*store, stored_app(&*store).await?).await?;
    for (second, kept) in [(10, 10), (69, 10), (70, 70), (20, 70)] {
        let at = T0.plus_seconds(second);
        assert!(store.release_credential(ReleaseCredential { at, ..release(&grant, None) }).await?.is_done());
        let used = found(store.get_grant(grant.app_id, grant.id).await?).last_used_at;
        assert_eq!(used, Some(T0.plus_seconds(kept)), "{second}");
    }
    Ok(())
}

pub async fn t97_a_moved_generation_releases_nothing_and_records_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let right = release(&grant, Some(call()));
    for generation in [0, 2] {
        assert!(
            !store.release_credential(ReleaseCredential { generation, ..right.clone() }).await?.is_done()
        );
    }
    let grant_id = GrantId::new(&SystemRandom);
    assert!(!store.release_credential(ReleaseCredential { grant_id, ..right.clone() }).await?.is_done());
    assert_eq!(recorded(&*store, app).await?.len(), 1);
    // The caller reads the grant again and asks again: the nonce is still unused.
    assert!(store.release_credential(right).await?.is_done());
    Ok(())
}

pub async fn t72_the_grant_of_another_app_is_not_released(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let grant = stored_grant(&*store, app).await?;
    let foreign = ReleaseCredential {
        app_id: other,
        audit: audit(other, AuditKind::TokenReleased),
        ..release(&grant, None)
    };
    assert!(!store.release_credential(foreign).await?.is_done());
    assert!(recorded(&*store, other).await?.is_empty());
    assert!(store.release_credential(release(&grant, None)).await?.is_done());
    Ok(())
}

pub async fn t61_a_replayed_call_releases_nothing(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let right = release(&grant, Some(call()));
    assert!(store.release_credential(right.clone()).await?.is_done());
    for generation in [1, 2] {
        let replayed = store.release_credential(ReleaseCredential { generation, ..right.clone() }).await;
        assert!(matches!(replayed, Err(StoreError::NonceReplayed)));
    }
    assert_eq!(recorded(&*store, app).await?.len(), 2);
    Ok(())
}

pub async fn t97_a_release_whose_audit_entry_cannot_be_written_fails(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let right = release(&grant, Some(call()));
    let unwritable = unwritable_audit(app, AuditKind::TokenReleased);
    let refused = store.release_credential(ReleaseCredential { audit: unwritable, ..right.clone() }).await;
    assert!(matches!(refused, Err(StoreError::Unstorable)));
    assert_eq!(recorded(&*store, app).await?.len(), 1);
    assert!(store.release_credential(right).await?.is_done());
    Ok(())
}

pub async fn t15_the_same_account_of_two_users_and_of_the_app_is_three_grants(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let mut of = Vec::new();
    for _ in 0..2 {
        of.push(Principal::User(stored_user(&*store, app).await?.id));
    }
    of.push(Principal::App);
    let mut ids = Vec::new();
    for principal in &of {
        let grant = Grant { principal: *principal, subject: "same".into(), ..grant(app) };
        store_grant(&*store, &grant).await?;
        ids.push(grant.id);
    }
    for (principal, id) in of.iter().zip(&ids) {
        assert_eq!(found(store.find_grant(app, *principal, "google", "same").await?).id, *id);
        let theirs = GrantFilter { principal: Some(*principal), ..GrantFilter::default() };
        assert_eq!(listed(&*store, app, &theirs).await?, [*id]);
    }
    assert_eq!(listed(&*store, app, &GrantFilter::default()).await?.len(), 3);
    Ok(())
}

pub async fn a_filter_finds_what_fits_in_every_part(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let user = Principal::User(stored_user(&*store, app).await?.id);
    let agent = stored_agent(&*store, app).await?.0.id;
    let plain = stored_grant(&*store, app).await?.id;
    let delegated = delegated_grant(&*store, app, agent).await?.id;
    let other = Grant {
        principal: user,
        provider: "slack".into(),
        subject: "108".into(),
        account_identifier: "zoë".into(),
        account_verified: false,
        label: Some("home".into()),
        created_at: T0.plus_seconds(9),
        ..grant(app)
    };
    store_grant(&*store, &other).await?;
    let any = GrantFilter::default();
    let some = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (GrantFilter { provider: some("slack"), ..any.clone() }, vec![other.id]),
        (GrantFilter { label: some("home"), ..any.clone() }, vec![other.id]),
        (GrantFilter { label: some("Home"), ..any.clone() }, vec![]),
        (GrantFilter { principal: Some(user), provider: some("google"), ..any.clone() }, vec![]),
        (GrantFilter { agent: Some(agent), ..any.clone() }, vec![delegated]),
        (GrantFilter { agent: Some(agent), principal: Some(Principal::App), ..any.clone() }, vec![delegated]),
        (GrantFilter { agent: Some(agent), principal: Some(user), ..any.clone() }, vec![]),
        (GrantFilter { agent: Some(AgentId::new(&SystemRandom)), ..any.clone() }, vec![]),
        (GrantFilter { status: Some(GrantStatus::Revoked), ..any.clone() }, vec![]),
    ] {
        assert_eq!(listed(&*store, app, &filter).await?, expected, "{filter:?}");
    }
    let account = |by: fn(String) -> AccountFilter, text: &str| GrantFilter {
        account: Some(by(text.to_owned())),
        ..any.clone()
    };
    for (filter, expected) in [
        (account(AccountFilter::Identifier, "zoë"), vec![other.id]),
        (account(AccountFilter::Identifier, "Zoë"), vec![]),
        (account(AccountFilter::Identifier, "108"), vec![]),
        (account(AccountFilter::Identifier, "zoë\0"), vec![]),
        (account(AccountFilter::Verified, "zoë"), vec![]),
        (account(AccountFilter::Verified, "zoë@example.com"), vec![delegated, plain]),
        (
            GrantFilter { agent: Some(agent), ..account(AccountFilter::Verified, "zoë@example.com") },
            vec![delegated],
        ),
        (
            GrantFilter { principal: Some(user), ..account(AccountFilter::Verified, "zoë@example.com") },
            vec![],
        ),
        (account(AccountFilter::Subject, "108"), vec![other.id]),
        (GrantFilter { principal: Some(user), ..account(AccountFilter::Subject, "108") }, vec![other.id]),
        (account(AccountFilter::Subject, "zoë"), vec![]),
    ] {
        let mut found = listed(&*store, app, &filter).await?;
        assert_eq!(store.count_grants(app, &filter).await?, found.len() as u64, "{filter:?}");
        found.sort_by_key(ToString::to_string);
        let mut expected = expected;
        expected.sort_by_key(ToString::to_string);
        assert_eq!(found, expected, "{filter:?}");
    }
    assert_eq!(listed(&*store, app, &any).await?[0], other.id);
    let all = store.list_grants(app, &any, 9, 0).await?;
    for listed in &all {
        let agents: &[AgentId] = if listed.grant.id == delegated { &[agent] } else { &[] };
        assert_eq!((listed.agents.as_slice(), &listed.delegation), (agents, &None));
    }
    assert!(all.iter().any(|listed| listed.grant.id == plain));
    Ok(())
}

pub async fn active_grants_are_listed_by_id_and_those_with_an_unbound_token_alone(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    stored_grant(&*store, other).await?;
    // The fifth byte is the version: 1 = unbound, 2 = bound.
    let token = |version: u8| [b"ALTV".as_slice(), &[version, 1], &[7; 200]].concat();
    let (mut ids, mut unbound) = (Vec::new(), Vec::new());
    for [access, refresh, id] in [[2, 2, 2], [1, 2, 2], [2, 1, 2], [2, 2, 1], [1, 1, 1]] {
        let mut grant = grant(app);
        grant.credential.access_token = token(access);
        grant.credential.refresh_token = Some(token(refresh));
        grant.credential.id_token = Some(token(id));
        store_grant(&*store, &grant).await?;
        ids.push(grant.id.to_string());
        unbound.extend((access * refresh * id < 8).then(|| grant.id.to_string()));
    }
    let mut bare = grant(app);
    (bare.credential.access_token, bare.credential.refresh_token, bare.credential.id_token) =
        (token(2), None, None);
    store_grant(&*store, &bare).await?;
    ids.push(bare.id.to_string());
    ids.sort();
    unbound.sort();
    let list = async |only_unbound, after: &str, limit| -> Result<Vec<String>, StoreError> {
        let page = store.list_active_grants(app, only_unbound, after, limit).await?;
        Ok(page.into_iter().map(|grant| grant.id.to_string()).collect())
    };
    assert_eq!(list(false, "", 9).await?, ids);
    assert_eq!(list(false, &ids[1], 2).await?, ids[2..4]);
    assert_eq!(list(true, "", 9).await?, unbound);
    assert_eq!(list(true, &unbound[0], 1).await?, unbound[1..2]);

    assert!(store.revoke_grant(revoke(&bare)).await?.is_done());
    assert!(!list(false, "", 9).await?.contains(&bare.id.to_string()));
    Ok(())
}
