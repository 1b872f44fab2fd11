//! Cases for revoking a grant.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{
    AppId, AuditKind, Grant, GrantFilter, GrantStatus, Principal, Revocation, RevocationId,
    RevocationOutcome, RevokeGrant, RevokedGrant, Store, StoreError,
};

use super::sample::{
    T0, assert_same, audit, call, complete, count_true, delegated_grant, found, grant, listed, release, sent,
    store_grant, stored_agent, stored_app, stored_grant, stored_user, unwritable_audit,
};

fn request(grant: &Grant) -> Revocation {
    Revocation {
        id: RevocationId(grant.id.0),
        grant_id: grant.id,
        app_id: grant.app_id,
        config_id: grant.config_id.clone(),
        is_refresh_token: true,
        token: vec![5, 0, 255],
        attempts: 0,
        next_at: T0.plus_seconds(20),
        created_at: T0.plus_seconds(20),
    }
}

/// The command that revokes a grant of generation 1 and queues its request.
pub(crate) fn revoke(grant: &Grant) -> RevokeGrant {
    RevokeGrant {
        call: None,
        app_id: grant.app_id,
        grant_id: grant.id,
        generation: 1,
        at: T0.plus_seconds(20),
        reason: Some("left the company".into()),
        request: Ok(request(grant)),
        audit: audit(grant.app_id, AuditKind::GrantRevoked),
    }
}

pub async fn t98_revoking_wipes_the_values_and_ends_delegations_and_releases(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (agent, _) = stored_agent(&*store, app).await?;
    let mut grant = delegated_grant(&*store, app, agent.id).await?;
    let kept = stored_grant(&*store, app).await?;
    assert!(store.release_credential(release(&grant, None)).await?.is_done(), "control");
    assert!(store.revoke_grant(revoke(&grant)).await?.is_done());

    grant.last_used_at = Some(T0.plus_seconds(10));
    grant.updated_at = T0.plus_seconds(20);
    grant.revoked = Some(RevokedGrant {
        at: T0.plus_seconds(20),
        reason: Some("left the company".into()),
        outcome: RevocationOutcome::Pending,
    });
    (grant.credential.access_token, grant.credential.refresh_token) = (vec![], None);
    grant.credential.id_token = None;
    assert_same(&found(store.get_grant(app, grant.id).await?), &grant);
    assert!(store.find_grant(app, grant.principal, &grant.provider, &grant.subject).await?.is_none());
    assert!(!store.release_credential(release(&grant, None)).await?.is_done());
    assert!(store.find_delegation(app, grant.id, agent.id).await?.is_none());
    let of = |status| GrantFilter { status: Some(status), ..GrantFilter::default() };
    assert_eq!(listed(&*store, app, &of(GrantStatus::Revoked)).await?, [grant.id]);
    assert_eq!(listed(&*store, app, &of(GrantStatus::Active)).await?, [kept.id]);
    assert_eq!(store.list_audit(app, 1).await?[0].0, "grant_revoked");
    Ok(())
}

pub async fn revoking_counts_once_and_only_for_the_generation_that_was_read(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let grant = stored_grant(&*store, app).await?;
    let right = revoke(&grant);
    for wrong in [
        RevokeGrant { generation: 2, ..right.clone() },
        RevokeGrant { app_id: other, ..right.clone() },
        RevokeGrant {
            grant_id: super::sample::grant(app).id,
            request: Err(RevocationOutcome::NotOffered),
            ..right.clone()
        },
    ] {
        assert!(!store.revoke_grant(wrong).await?.is_done());
    }
    let all = right.clone();
    let done = count_true(&store, 20, move |store| {
        let one = all.clone();
        async move { store.revoke_grant(one).await.map(|done| done.is_done()) }
    });
    assert_eq!(done.await, 1);
    assert!(!store.revoke_grant(right).await?.is_done());
    assert_eq!(store.list_due_revocations(T0.plus_seconds(20), 9).await?.len(), 1);
    Ok(())
}

pub async fn t61_a_replayed_call_revokes_nothing_and_a_moved_grant_uses_no_nonce(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (grant, other) = (stored_grant(&*store, app).await?, stored_grant(&*store, app).await?);
    let call = call();
    let signed = RevokeGrant { call: Some(call), ..revoke(&grant) };
    assert!(!store.revoke_grant(RevokeGrant { generation: 9, ..signed.clone() }).await?.is_done());
    assert!(store.revoke_grant(signed.clone()).await?.is_done());
    for replay in [signed, RevokeGrant { call: Some(call), ..revoke(&other) }] {
        assert!(matches!(store.revoke_grant(replay).await, Err(StoreError::NonceReplayed)));
    }
    assert!(found(store.get_grant(app, other.id).await?).revoked.is_none());
    Ok(())
}

pub async fn t97_a_revocation_without_its_audit_entry_is_not_stored(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let unwritable = unwritable_audit(app, AuditKind::GrantRevoked);
    let refused = store.revoke_grant(RevokeGrant { audit: unwritable, ..revoke(&grant) }).await;
    assert!(matches!(refused, Err(StoreError::Unstorable)));
    assert_same(&found(store.get_grant(app, grant.id).await?), &grant);
    assert!(store.list_due_revocations(T0.plus_seconds(99), 9).await?.is_empty());
    Ok(())
}

pub async fn the_same_account_connected_after_a_revocation_is_a_new_grant(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let first = stored_grant(&*store, app).await?;
    assert!(store.revoke_grant(revoke(&first)).await?.is_done());
    // A grant that was read before the revocation must not be written back.
    let (session, attempt) = sent(&*store, app).await?;
    let mut stale = first.clone();
    stale.credential.generation = 2;
    let refused = store.complete_connect(complete(&session, &attempt, &stale)).await;
    assert!(matches!(refused, Err(StoreError::Moved)));
    let second = Grant { subject: first.subject.clone(), ..grant(app) };
    store_grant(&*store, &second).await?;
    let active = found(store.find_grant(app, first.principal, &first.provider, &first.subject).await?);
    assert_eq!(active.id, second.id);
    assert!(store.revoke_grant(revoke(&second)).await?.is_done(), "the new grant can be revoked too");
    assert_eq!(listed(&*store, app, &GrantFilter::default()).await?.len(), 2);
    Ok(())
}

pub async fn due_requests_are_taken_once_and_end_with_the_grant_knowing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    assert!(store.revoke_grant(revoke(&grant)).await?.is_done());
    assert!(store.list_due_revocations(T0.plus_seconds(19), 9).await?.is_empty(), "its time has not come");
    let due = store.list_due_revocations(T0.plus_seconds(20), 9).await?;
    assert_eq!(due, [request(&grant)]);
    let taken = count_true(&store, 20, |store| {
        let one = request(&grant);
        async move { store.claim_revocation(&one, T0.plus_seconds(80)).await.map(|done| done.is_done()) }
    });
    assert_eq!(taken.await, 1);
    assert!(store.list_due_revocations(T0.plus_seconds(79), 9).await?.is_empty());
    let again = Revocation { attempts: 1, next_at: T0.plus_seconds(80), ..request(&grant) };
    assert_eq!(store.list_due_revocations(T0.plus_seconds(80), 9).await?, std::slice::from_ref(&again));
    assert!(
        !store.claim_revocation(&request(&grant), T0).await?.is_done(),
        "an older reading of the request"
    );

    let end = async |app: AppId| {
        let entry = audit(app, AuditKind::RevocationEnded);
        store
            .end_revocation(request(&grant).id, RevocationOutcome::Confirmed, entry)
            .await
            .map(|done| done.is_done())
    };
    assert!(end(app).await?);
    assert!(!end(app).await?, "once");
    assert!(!store.claim_revocation(&again, T0).await?.is_done());
    assert!(store.list_due_revocations(T0.plus_seconds(999), 9).await?.is_empty());
    let revoked = found(found(store.get_grant(app, grant.id).await?).revoked);
    assert_eq!(revoked.outcome, RevocationOutcome::Confirmed);
    Ok(())
}

pub async fn where_nothing_is_asked_the_grant_says_why(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    assert!(
        store
            .revoke_grant(RevokeGrant {
                request: Err(RevocationOutcome::Shared),
                reason: None,
                ..revoke(&grant)
            })
            .await?
            .is_done()
    );
    let revoked = found(found(store.get_grant(app, grant.id).await?).revoked);
    assert_eq!((revoked.outcome, revoked.reason), (RevocationOutcome::Shared, None));
    assert!(store.list_due_revocations(T0.plus_seconds(999), 9).await?.is_empty());
    Ok(())
}

pub async fn an_account_is_found_whoever_has_a_grant_of_it_while_one_is_active(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let user = Principal::User(stored_user(&*store, app).await?.id);
    let theirs = Grant { principal: user, ..grant(app) };
    store_grant(&*store, &theirs).await?;
    let has = async |app: AppId, provider: &str, subject: &str| {
        store.has_grant_of_account(app, provider, subject).await
    };
    assert!(has(app, &theirs.provider, &theirs.subject).await?);
    assert!(!has(other, &theirs.provider, &theirs.subject).await?);
    assert!(!has(app, "slack", &theirs.subject).await?);
    assert!(!has(app, &theirs.provider, "somebody").await?);
    assert!(!has(app, &theirs.provider, "nul\0").await?);
    assert!(store.revoke_grant(revoke(&theirs)).await?.is_done());
    assert!(!has(app, &theirs.provider, &theirs.subject).await?);
    Ok(())
}
