//! Cases for refreshing credentials.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{
    AppId, Asked, AuditKind, BeginRefresh, Begun, ConfigId, Credential, DiscardRefresh, EndRefresh, Grant,
    GrantId, Micros, ReconnectCount, ReconnectReason, RefreshAttempt, RefreshEnded, RefreshId, RefreshResult,
    RefreshState, RefusedClient, Revocation, RevocationId, RevocationOutcome, RevokeGrant, Store, StoreError,
    SystemRandom, WhatNow,
    cause::ProviderCode,
    recipe::Refresh,
    refresh::{Outcome, Trouble, Verdict},
};

use super::sample::{
    T0, assert_same, audit, complete, count_true, found, grant, recorded, sent, stored_app, stored_grant,
    unwritable_audit,
};

/// When the sample grant's access token is in its early window.
pub const EARLY: Micros = Micros(T0.0 + 3_500_000_000);
/// How long an attempt of these cases holds its lease, seconds.
pub const HOLD: u32 = 40;

/// A provider that rotates and takes an old refresh token for a while.
fn facts() -> Refresh {
    Refresh { rotates: Some(true), reuse_window_seconds: Some(60), ..Refresh::default() }
}

/// A call's request for the lease.
pub fn begin(grant: &Grant, at: Micros) -> BeginRefresh {
    BeginRefresh {
        id: RefreshId::new(&SystemRandom),
        app_id: grant.app_id,
        grant_id: grant.id,
        generation: grant.credential.generation,
        asked: Asked::Call,
        facts: facts(),
        hold: HOLD,
        at,
        audit: audit(grant.app_id, AuditKind::ReconnectNeeded),
    }
}

/// Takes the lease.
pub async fn begun(
    store: &dyn Store,
    grant: &Grant,
    at: Micros,
) -> Result<(Grant, RefreshAttempt), StoreError> {
    Ok(taken(store.begin_refresh(begin(grant, at)).await?))
}

/// Takes the lease for an attempt that counts as broken off from then on: leases may be measured by a clock that these cases
/// cannot move.
async fn broken_off(store: &dyn Store, grant: &Grant) -> Result<RefreshAttempt, StoreError> {
    let begin = BeginRefresh { hold: 0, ..begin(grant, EARLY) };
    Ok(taken(store.begin_refresh(begin).await?).1)
}

fn taken(begun: Begun) -> (Grant, RefreshAttempt) {
    match begun {
        Begun::Taken(grant, attempt) => (*grant, attempt),
        other => panic!("the lease is free: {other:?}"),
    }
}

fn next(grant: &Grant) -> Credential {
    Credential {
        generation: grant.credential.generation + 1,
        token_type: "bearer".into(),
        issued_at: EARLY,
        expires_at: Some(EARLY.plus_seconds(3600)),
        access_token: vec![11, 0, 255],
        refresh_token: Some(vec![12, 0, 255]),
        id_token: None,
    }
}

/// What a success brings.
pub fn tokens(grant: &Grant) -> RefreshResult {
    RefreshResult::Tokens {
        credential: Box::new(next(grant)),
        scopes: vec!["mail".into()],
        missing_scopes: vec!["calendar".into(), "profile".into()],
    }
}

/// The end of an attempt.
pub fn end(attempt: &RefreshAttempt, result: RefreshResult, at: Micros) -> EndRefresh {
    let kind = match result {
        RefreshResult::Tokens { .. } => AuditKind::CredentialRefreshed,
        RefreshResult::Nothing(_) => AuditKind::ReconnectNeeded,
    };
    EndRefresh { attempt: attempt.clone(), result, facts: facts(), at, audit: audit(attempt.app_id, kind) }
}

/// The provider's refusal of the refresh token.
pub fn refused() -> RefreshResult {
    RefreshResult::Nothing(Outcome::Refused(ProviderCode::default()))
}

async fn read(store: &dyn Store, grant: &Grant) -> Result<Grant, StoreError> {
    store.get_grant(grant.app_id, grant.id).await.map(found)
}

pub async fn a_refresh_replaces_the_credential_and_keeps_the_grant(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (before, other) = (stored_grant(&*store, app).await?, stored_grant(&*store, app).await?);
    let (leased, attempt) = begun(&*store, &before, EARLY).await?;
    assert_eq!((attempt.attempt, leased.refresh.attempt), (1, 1));
    assert_same(&read(&*store, &before).await?.credential, &before.credential);
    assert!(store.journal_refresh(&attempt, vec![7]).await?.is_done());
    let ended = store.end_refresh(end(&attempt, tokens(&before), EARLY)).await?;
    assert_eq!(ended, RefreshEnded::Refreshed);

    let after = read(&*store, &before).await?;
    assert_same(&after.credential, &next(&before));
    assert_eq!(
        (after.scopes, after.missing_scopes),
        (vec!["mail".to_owned()], vec!["calendar".into(), "profile".into()])
    );
    assert_eq!(after.refresh, RefreshState::default());
    assert!(after.refresh_at.is_some_and(|at| at > EARLY && at < EARLY.plus_seconds(3600)));
    assert_eq!((after.created_at, after.updated_at), (before.created_at, before.updated_at));
    assert_same(&read(&*store, &other).await?, &other);
    let attempts = store.list_refresh_attempts(app, before.id, 9).await?;
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].outcome.as_deref(), &attempts[0].body), (Some("refreshed"), &None));
    assert!(store.list_journalled_refreshes(EARLY.plus_seconds(9), 9).await?.is_empty());
    assert_eq!(recorded(&*store, app).await?[0].0, "credential_refreshed");
    Ok(())
}

pub async fn f58_of_many_that_want_to_refresh_one_gets_the_lease(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let taken = count_true(&store, 20, |store| {
        let begin = begin(&grant, EARLY);
        async move { store.begin_refresh(begin).await.map(|begun| matches!(begun, Begun::Taken(..))) }
    });
    assert_eq!(taken.await, 1);
    // The token is still valid, so whoever comes second serves it; after its end, they wait.
    assert!(matches!(store.begin_refresh(begin(&grant, EARLY)).await?, Begun::Not(WhatNow::Serve)));
    assert_eq!(store.list_refresh_attempts(app, grant.id, 99).await?.len(), 1);
    Ok(())
}

pub async fn a_token_that_needs_no_refresh_and_one_of_another_generation_get_no_lease(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let grant = stored_grant(&*store, app).await?;
    assert!(matches!(store.begin_refresh(begin(&grant, T0)).await?, Begun::Not(WhatNow::Serve)));
    let moved = [
        BeginRefresh { generation: 2, ..begin(&grant, EARLY) },
        BeginRefresh { app_id: other, ..begin(&grant, EARLY) },
        BeginRefresh { grant_id: GrantId::new(&SystemRandom), ..begin(&grant, EARLY) },
    ];
    for begin in moved {
        assert!(matches!(store.begin_refresh(begin).await?, Begun::Moved));
    }
    assert!(store.list_refresh_attempts(app, grant.id, 9).await?.is_empty());
    assert_eq!(read(&*store, &grant).await?.refresh, RefreshState::default());
    Ok(())
}

pub async fn f14_an_attempt_that_was_broken_off_is_unknown_and_the_token_is_sent_once_more(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    broken_off(&*store, &grant).await?;
    let over = EARLY.plus_seconds(i64::from(HOLD));
    let (leased, second) = begun(&*store, &grant, over).await?;
    assert_eq!((second.attempt, leased.refresh.unknown), (2, 1));
    assert_eq!(store.end_refresh(end(&second, refused(), over)).await?, RefreshEnded::Condemned);
    let condemned = read(&*store, &grant).await?;
    assert_eq!(found(condemned.refresh.verdict).reason, ReconnectReason::RotationLost);
    assert!(condemned.credential.refresh_token.is_some(), "it is kept for a week");
    let words: Vec<_> =
        store.list_refresh_attempts(app, grant.id, 9).await?.into_iter().map(|a| a.outcome).collect();
    assert_eq!(words, [Some("refused".to_owned()), Some("unknown".to_owned())]);
    assert_eq!(recorded(&*store, app).await?[0].0, "reconnect_needed");
    Ok(())
}

pub async fn f16_an_answer_in_the_journal_is_finished_and_not_asked_for_again(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let attempt = broken_off(&*store, &grant).await?;
    assert!(store.journal_refresh(&attempt, vec![7]).await?.is_done());
    let over = EARLY.plus_seconds(i64::from(HOLD));
    let found = match store.begin_refresh(begin(&grant, over)).await? {
        Begun::Journalled(found) => found,
        other => panic!("there is an answer: {other:?}"),
    };
    assert_eq!(found, RefreshAttempt { body: Some(vec![7]), ..attempt.clone() });
    assert_eq!(store.list_journalled_refreshes(over, 9).await?, [found]);
    assert_eq!(store.end_refresh(end(&attempt, tokens(&grant), over)).await?, RefreshEnded::Refreshed);
    assert_eq!(store.end_refresh(end(&attempt, tokens(&grant), over)).await?, RefreshEnded::Superseded);
    Ok(())
}

pub async fn f20_a_late_success_beats_a_refusal_that_came_before_it(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let stalled = broken_off(&*store, &grant).await?;
    let over = EARLY.plus_seconds(i64::from(HOLD));
    let (_, successor) = begun(&*store, &grant, over).await?;
    assert_eq!(store.end_refresh(end(&successor, refused(), over)).await?, RefreshEnded::Condemned);
    assert!(store.journal_refresh(&stalled, vec![7]).await?.is_done());
    assert_eq!(store.end_refresh(end(&stalled, tokens(&grant), over)).await?, RefreshEnded::Refreshed);
    let revived = read(&*store, &grant).await?;
    assert_eq!((revived.credential.generation, revived.refresh), (2, RefreshState::default()));
    Ok(())
}

pub async fn f20_no_grant_is_condemned_while_a_success_of_its_generation_is_in_the_journal(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let stalled = broken_off(&*store, &grant).await?;
    let over = EARLY.plus_seconds(i64::from(HOLD));
    let (_, successor) = begun(&*store, &grant, over).await?;
    assert!(store.journal_refresh(&stalled, vec![7]).await?.is_done());
    assert_eq!(store.end_refresh(end(&successor, refused(), over)).await?, RefreshEnded::Late);
    let held = read(&*store, &grant).await?.refresh;
    assert_eq!(held.verdict, None);
    assert!(matches!(store.begin_refresh(begin(&grant, over)).await?, Begun::Journalled(_)));
    assert_eq!(store.end_refresh(end(&stalled, tokens(&grant), over)).await?, RefreshEnded::Refreshed);
    Ok(())
}

pub async fn f20_a_late_answer_of_an_older_attempt_is_applied_before_the_token_is_sent_again(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let stalled = broken_off(&*store, &grant).await?;
    let (_, successor) = begun(&*store, &grant, EARLY.plus_seconds(1)).await?;
    let unknown = end(&successor, RefreshResult::Nothing(Outcome::Unknown), EARLY.plus_seconds(2));
    store.end_refresh(unknown).await?;
    assert!(store.journal_refresh(&stalled, vec![7]).await?.is_done());
    let next = BeginRefresh { asked: Asked::Operator, ..begin(&grant, EARLY.plus_seconds(3)) };
    let found = store.begin_refresh(next).await?;
    assert!(matches!(&found, Begun::Journalled(attempt) if attempt.id == stalled.id), "{found:?}");
    Ok(())
}

pub async fn f20_a_late_answer_is_applied_although_the_next_attempt_failed_or_broke_off(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    for failure in [None, Some(Outcome::Failed { trouble: Trouble::Provider, retry_after: None })] {
        let grant = stored_grant(&*store, app).await?;
        let stalled = broken_off(&*store, &grant).await?;
        let successor = broken_off(&*store, &grant).await?;
        if let Some(failure) = failure {
            let failed = end(&successor, RefreshResult::Nothing(failure), EARLY);
            assert_eq!(store.end_refresh(failed).await?, RefreshEnded::Failed);
        }
        assert!(store.journal_refresh(&stalled, vec![7]).await?.is_done());
        let found = store.begin_refresh(begin(&grant, EARLY.plus_seconds(9))).await?;
        assert!(matches!(&found, Begun::Journalled(attempt) if attempt.id == stalled.id), "{found:?}");
        assert_eq!(read(&*store, &grant).await?.refresh.verdict, None);
        let renewed = end(&stalled, tokens(&grant), EARLY);
        assert_eq!(store.end_refresh(renewed).await?, RefreshEnded::Refreshed);
    }
    Ok(())
}

pub async fn a_refusal_that_comes_late_is_not_left_in_the_journal(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let stalled = broken_off(&*store, &grant).await?;
    let (leased, _) = begun(&*store, &grant, EARLY).await?;
    assert!(store.journal_refresh(&stalled, vec![7]).await?.is_done());
    assert_eq!(store.end_refresh(end(&stalled, refused(), EARLY)).await?, RefreshEnded::Late);
    assert!(store.list_journalled_refreshes(EARLY.plus_seconds(9), 9).await?.is_empty());
    assert_eq!(read(&*store, &grant).await?.refresh.unknown, leased.refresh.unknown);
    Ok(())
}

pub async fn what_failed_beside_an_answer_that_brought_nothing_counts_as_broken_off(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let stalled = broken_off(&*store, &grant).await?;
    let (_, successor) = begun(&*store, &grant, EARLY).await?;
    assert!(store.journal_refresh(&stalled, vec![7]).await?.is_done());
    assert_eq!(store.end_refresh(end(&successor, refused(), EARLY)).await?, RefreshEnded::Late);
    assert!(matches!(store.begin_refresh(begin(&grant, EARLY)).await?, Begun::Journalled(_)));
    assert_eq!(store.end_refresh(end(&stalled, refused(), EARLY)).await?, RefreshEnded::Late);
    assert!(matches!(store.begin_refresh(begin(&grant, EARLY)).await?, Begun::Not(WhatNow::Serve)));
    let state = read(&*store, &grant).await?.refresh;
    assert_eq!((state.attempt, state.unknown, state.lease_until), (2, 2, None));
    assert!(state.not_before.is_some(), "it was sent twice, and rests");
    Ok(())
}

pub async fn after_two_unknown_outcomes_the_token_rests(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    broken_off(&*store, &grant).await?;
    broken_off(&*store, &grant).await?;
    assert!(matches!(store.begin_refresh(begin(&grant, EARLY)).await?, Begun::Not(WhatNow::Serve)));
    let state = read(&*store, &grant).await?.refresh;
    assert_eq!((state.attempt, state.unknown, state.not_before), (2, 2, Some(EARLY.plus_seconds(300))));
    Ok(())
}

pub async fn f19_a_failure_of_an_attempt_that_was_overtaken_changes_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let stalled = broken_off(&*store, &grant).await?;
    let over = EARLY.plus_seconds(i64::from(HOLD));
    let (_, successor) = begun(&*store, &grant, over).await?;
    let leased = read(&*store, &grant).await?;
    assert_eq!(store.end_refresh(end(&stalled, refused(), over)).await?, RefreshEnded::Late);
    assert_same(&read(&*store, &grant).await?, &leased);
    assert_eq!(store.end_refresh(end(&successor, tokens(&grant), over)).await?, RefreshEnded::Refreshed);
    Ok(())
}

pub async fn a_failure_that_says_nothing_about_the_token_leaves_it_and_waits(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let (under_way, attempt) = begun(&*store, &grant, EARLY).await?;
    assert!(under_way.refresh_at.is_some_and(|at| at > EARLY), "nobody looks while it is under way");
    let outcome = Outcome::Failed { trouble: Trouble::Provider, retry_after: Some(30) };
    let failed = end(&attempt, RefreshResult::Nothing(outcome), EARLY);
    assert_eq!(store.end_refresh(failed).await?, RefreshEnded::Failed);
    let after = read(&*store, &grant).await?;
    let pause = Some(EARLY.plus_seconds(30));
    assert_eq!((after.refresh.failures, after.refresh.not_before), (1, pause));
    assert_eq!(after.refresh_at, pause, "looked at when the pause is over");
    assert!(matches!(store.begin_refresh(begin(&grant, EARLY)).await?, Begun::Not(WhatNow::Serve)));
    begun(&*store, &grant, EARLY.plus_seconds(30)).await?;
    assert!(recorded(&*store, app).await?.iter().all(|(kind, _)| kind != "reconnect_needed"));
    Ok(())
}

pub async fn the_user_who_connects_again_wins_over_a_refresh_under_way(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let (_, attempt) = begun(&*store, &grant, EARLY).await?;
    let (session, reconnecting) = sent(&*store, app).await?;
    let mut anew = grant.clone();
    anew.credential.generation = 2;
    anew.credential.access_token = vec![42];
    assert!(store.complete_connect(complete(&session, &reconnecting, &anew)).await?.is_done());
    assert_eq!(read(&*store, &grant).await?.refresh, RefreshState::default());

    assert!(store.journal_refresh(&attempt, vec![7]).await?.is_done());
    assert_eq!(store.end_refresh(end(&attempt, tokens(&grant), EARLY)).await?, RefreshEnded::Superseded);
    assert_eq!(read(&*store, &grant).await?.credential.access_token, [42]);
    assert_eq!(
        store.list_journalled_refreshes(EARLY.plus_seconds(1), 9).await?.len(),
        1,
        "still there to be ended"
    );
    let discard = discard(&attempt, None);
    assert!(store.discard_refresh(discard.clone()).await?.is_done());
    assert!(!store.discard_refresh(discard).await?.is_done(), "once");
    assert!(store.list_journalled_refreshes(EARLY.plus_seconds(1), 9).await?.is_empty());
    assert_eq!(recorded(&*store, app).await?[0].0, "refresh_discarded");
    Ok(())
}

/// The end of an attempt whose tokens came too late.
pub fn discard(attempt: &RefreshAttempt, request: Option<Revocation>) -> DiscardRefresh {
    let audit = audit(attempt.app_id, AuditKind::RefreshDiscarded);
    DiscardRefresh { attempt: attempt.clone(), outcome: "discarded", request, at: EARLY, audit }
}

/// A request to the provider to end a token.
pub fn request(grant: &Grant) -> Revocation {
    Revocation {
        id: RevocationId::new(&SystemRandom),
        grant_id: grant.id,
        app_id: grant.app_id,
        config_id: grant.config_id.clone(),
        is_refresh_token: true,
        token: vec![5],
        attempts: 0,
        next_at: EARLY,
        created_at: EARLY,
    }
}

fn revoke(grant: &Grant, request: Result<Revocation, RevocationOutcome>) -> RevokeGrant {
    RevokeGrant {
        call: None,
        app_id: grant.app_id,
        grant_id: grant.id,
        generation: 1,
        at: EARLY,
        reason: None,
        request,
        audit: audit(grant.app_id, AuditKind::GrantRevoked),
    }
}

pub async fn tokens_of_a_grant_that_was_revoked_meanwhile_go_to_the_queue_and_nowhere_else(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let (_, attempt) = begun(&*store, &grant, EARLY).await?;
    let first = request(&grant);
    let revoke = revoke(&grant, Ok(first.clone()));
    assert!(store.revoke_grant(revoke).await?.is_done());
    assert!(matches!(store.begin_refresh(begin(&grant, EARLY)).await?, Begun::Moved));
    assert!(store.list_due_refreshes(EARLY.plus_seconds(9999), &[], 9).await?.is_empty());
    assert!(store.journal_refresh(&attempt, vec![7]).await?.is_done());
    assert_eq!(store.end_refresh(end(&attempt, tokens(&grant), EARLY)).await?, RefreshEnded::Revoked);
    let second = request(&grant);
    assert!(store.discard_refresh(discard(&attempt, Some(second.clone()))).await?.is_done());
    let revoked = read(&*store, &grant).await?;
    assert_eq!(
        (revoked.credential.access_token.as_slice(), &revoked.credential.refresh_token),
        (&[][..], &None)
    );

    let ended = |request: &Revocation| {
        let entry = audit(app, AuditKind::RevocationEnded);
        (request.id, RevocationOutcome::Confirmed, entry)
    };
    assert_eq!(store.list_due_revocations(EARLY, 9).await?.len(), 2);
    let (id, outcome, entry) = ended(&first);
    assert!(store.end_revocation(id, outcome, entry).await?.is_done());
    assert_eq!(
        found(read(&*store, &grant).await?.revoked).outcome,
        RevocationOutcome::Pending,
        "one is left"
    );
    let (id, outcome, entry) = ended(&second);
    assert!(store.end_revocation(id, outcome, entry).await?.is_done());
    assert_eq!(found(read(&*store, &grant).await?.revoked).outcome, RevocationOutcome::Confirmed);
    Ok(())
}

pub async fn grants_are_due_at_their_time_the_longest_overdue_first(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    // "e" has ended, "a" ends later: a grant that nobody may use is not refreshed.
    for (at, ends, subject) in [
        (Some(20), None, "b"),
        (Some(10), Some(31), "a"),
        (None, None, "c"),
        (Some(31), None, "d"),
        (Some(5), Some(30), "e"),
    ] {
        let (mut grant, moment) = (grant(app), |at: Option<i64>| at.map(|s| T0.plus_seconds(s)));
        (grant.refresh_at, grant.ends_at, grant.subject) = (moment(at), moment(ends), subject.into());
        super::sample::store_grant(&*store, &grant).await?;
    }
    let due = store.list_due_refreshes(T0.plus_seconds(30), &[], 9).await?;
    assert_eq!(due.iter().map(|grant| grant.subject.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(store.list_due_refreshes(T0.plus_seconds(30), &[], 1).await?[0].subject, "a");
    let without = store.list_due_refreshes(T0.plus_seconds(30), &[due[0].config_id.clone()], 9).await?;
    assert_eq!(without.iter().map(|grant| grant.subject.as_str()).collect::<Vec<_>>(), ["b"]);
    Ok(())
}

pub async fn t77_grants_of_a_configuration_that_is_left_out_leave_their_places_to_others(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (shut, other) = (ConfigId::new(&SystemRandom), ConfigId::new(&SystemRandom));
    for (config, at, subject) in [(&shut, 10, "a"), (&shut, 20, "b"), (&other, 25, "c")] {
        let mut grant = grant(app);
        (grant.config_id, grant.subject) = (config.clone(), subject.into());
        grant.refresh_at = Some(T0.plus_seconds(at));
        super::sample::store_grant(&*store, &grant).await?;
    }
    let due = async |except: &[ConfigId]| {
        let due = store.list_due_refreshes(T0.plus_seconds(30), except, 1).await?;
        Ok::<_, StoreError>(due.into_iter().map(|grant| grant.subject).collect::<Vec<_>>())
    };
    assert_eq!(due(&[]).await?, ["a"]);
    assert_eq!(due(std::slice::from_ref(&shut)).await?, ["c"]);
    assert!(due(&[shut, other]).await?.is_empty());
    Ok(())
}

/// Stores a grant of this provider, in this state.
async fn stored_in(
    store: &dyn Store,
    app: AppId,
    provider: &str,
    refresh: RefreshState,
) -> Result<Grant, StoreError> {
    let grant = Grant { provider: provider.into(), refresh, ..grant(app) };
    super::sample::store_grant(store, &grant).await?;
    Ok(grant)
}

pub async fn grants_that_only_their_users_can_help_are_counted_by_app_provider_and_reason(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (one, two) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let dead = |reason| RefreshState {
        verdict: Some(Verdict { reason, since: T0, probes: 0 }),
        ..RefreshState::default()
    };
    let (refused, lost) = (ReconnectReason::RefreshRefused, ReconnectReason::RotationLost);
    for (app, provider, reason) in
        [(one, "a", refused), (one, "a", refused), (one, "a", lost), (one, "b", lost), (two, "a", lost)]
    {
        stored_in(&*store, app, provider, dead(reason)).await?;
    }
    stored_in(&*store, one, "a", RefreshState::default()).await?;
    let revoked = stored_in(&*store, one, "c", dead(refused)).await?;
    let revoked = store.revoke_grant(revoke(&revoked, Err(RevocationOutcome::NotOffered))).await?;
    assert!(revoked.is_done());

    let count = |app_id, provider: &str, reason, grants| ReconnectCount {
        app_id,
        provider: provider.into(),
        reason,
        grants,
    };
    let counts = store.count_reconnects().await?;
    let of = |app| counts.iter().filter(|count| count.app_id == app).cloned().collect::<Vec<_>>();
    assert_eq!(of(one), [count(one, "a", refused, 2), count(one, "a", lost, 1), count(one, "b", lost, 1)]);
    assert_eq!(of(two), [count(two, "a", lost, 1)]);
    Ok(())
}

pub async fn grants_whose_client_is_refused_are_counted_while_they_wait(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let trouble = |trouble| RefreshState { trouble: Some(trouble), failures: 1, ..RefreshState::default() };
    for (provider, why) in [("a", Trouble::Client), ("a", Trouble::Client), ("a", Trouble::Provider)] {
        stored_in(&*store, app, provider, trouble(why)).await?;
    }
    stored_in(&*store, app, "b", trouble(Trouble::Us)).await?;
    stored_in(&*store, app, "b", RefreshState::default()).await?;
    let due = T0.plus_seconds(3000);
    let refused = RefusedClient { app_id: app, provider: "a".into(), grants: 2 };
    assert_eq!(store.count_refused_clients(due).await?, [refused]);
    assert!(store.count_refused_clients(due.plus_seconds(-1)).await?.is_empty(), "they are not due yet");
    Ok(())
}

pub async fn a_refused_token_is_wiped_after_a_week_and_the_verdict_stays(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let (_, attempt) = begun(&*store, &grant, EARLY).await?;
    assert_eq!(store.end_refresh(end(&attempt, refused(), EARLY)).await?, RefreshEnded::Condemned);
    let week = EARLY.plus_seconds(7 * 24 * 3600);
    let look = |at| BeginRefresh { asked: Asked::Clock, ..begin(&grant, at) };
    let reconnect = WhatNow::Reconnect(ReconnectReason::RefreshRefused, EARLY);
    let before = store.begin_refresh(look(week.plus_seconds(-1))).await?;
    assert!(matches!(before, Begun::Taken(..)), "a probe was due: {before:?}");
    let Begun::Taken(_, probe) = before else { panic!("a probe") };
    assert_eq!(store.end_refresh(end(&probe, refused(), week)).await?, RefreshEnded::Failed);
    assert!(matches!(store.begin_refresh(look(week)).await?, Begun::Not(now) if now == reconnect));
    let wiped = read(&*store, &grant).await?;
    assert_eq!((&wiped.credential.refresh_token, wiped.refresh_at), (&None, None));
    assert_eq!(found(wiped.refresh.verdict).since, EARLY);
    Ok(())
}

pub async fn t97_a_refresh_whose_audit_entry_cannot_be_written_is_not_stored(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let (_, attempt) = begun(&*store, &grant, EARLY).await?;
    let leased = read(&*store, &grant).await?;
    for (result, kind) in
        [(tokens(&grant), AuditKind::CredentialRefreshed), (refused(), AuditKind::ReconnectNeeded)]
    {
        let end = EndRefresh { audit: unwritable_audit(app, kind), ..end(&attempt, result, EARLY) };
        assert!(matches!(store.end_refresh(end).await, Err(StoreError::Unstorable)));
        assert_same(&read(&*store, &grant).await?, &leased);
    }
    Ok(())
}

pub async fn the_attempts_of_a_grant_do_not_pile_up(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let mut grant = stored_grant(&*store, app).await?;
    for round in 0..30 {
        let at = EARLY.plus_seconds(round * 4000);
        let (_, attempt) = begun(&*store, &grant, at).await?;
        let mut result = tokens(&grant);
        if let RefreshResult::Tokens { credential, .. } = &mut result {
            (credential.issued_at, credential.expires_at) = (at, Some(at.plus_seconds(3600)));
        }
        assert_eq!(store.end_refresh(end(&attempt, result, at)).await?, RefreshEnded::Refreshed);
        grant = read(&*store, &grant).await?;
    }
    let kept = store.list_refresh_attempts(app, grant.id, 99).await?;
    assert_eq!((kept.len(), kept[0].generation), (20, 30));
    Ok(())
}
