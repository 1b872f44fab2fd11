use proptest::prelude::*;

use super::*;

const T: Micros = Micros(1_800_000_000_000_000);

fn credential(issued_at: Micros, life: Option<i64>, refresh_token: bool) -> Credential {
    Credential {
        generation: 1,
        token_type: "Bearer".into(),
        issued_at,
        expires_at: life.map(|seconds| issued_at.plus_seconds(seconds)),
        access_token: Vec::new(),
        refresh_token: refresh_token.then(Vec::new),
        id_token: None,
    }
}

fn grant_id(last: u8) -> GrantId {
    GrantId(uuid::Uuid::from_u128(u128::from(last)))
}

fn facts() -> impl Strategy<Value = Refresh> {
    let rotates = prop_oneof![Just(None), any::<bool>().prop_map(Some)];
    let window = prop_oneof![Just(None), (0_u32..120).prop_map(Some)];
    let idle = prop_oneof![Just(None), (1_u32..90).prop_map(Some)];
    (rotates, window, idle).prop_map(|(rotates, reuse_window_seconds, idle_expiry_days)| Refresh {
        rotates,
        reuse_window_seconds,
        idle_expiry_days,
        ..Refresh::default()
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let trouble = prop_oneof![Just(Trouble::Provider), Just(Trouble::Client), Just(Trouble::Us)];
    let after = prop_oneof![Just(None), any::<u32>().prop_map(Some)];
    prop_oneof![
        Just(Outcome::Unknown),
        Just(Outcome::Refused(ProviderCode::default())),
        (trouble, after).prop_map(|(trouble, retry_after)| Outcome::Failed { trouble, retry_after }),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![Just(Asked::Call), Just(Asked::Clock), Just(Asked::Report), Just(Asked::Operator)]
}

/// A state that attempts have led to, and the time of the last one.
fn history() -> impl Strategy<Value = (Vec<(Outcome, i64)>, Refresh)> {
    (prop::collection::vec((outcome(), 0_i64..100_000), 0..8), facts())
}

fn after(history: &[(Outcome, i64)], facts: &Refresh) -> (RefreshState, Micros) {
    let (mut state, mut now) = (RefreshState::default(), T);
    for (outcome, pause) in history {
        state = begun(&state, Asked::Call, now.plus_seconds(40));
        now = now.plus_seconds(*pause);
        state = reconcile(&state, state.attempt, outcome, facts, now);
    }
    (state, now)
}

proptest! {
    #[test]
    fn a_token_that_is_valid_makes_nobody_wait(
        (history, facts) in history(), asked in asked(), life in 1_i64..100_000, later in 0_i64..1_000_000, refresh in any::<bool>(),
    ) {
        let (state, now) = after(&history, &facts);
        let credential = credential(now, Some(life + later), refresh);
        let situation = Situation { grant: grant_id(7), credential: &credential, last_used_at: None, state: &state, facts: &facts };
        prop_assume!(!(state.reported && state.verdict.is_some()));
        let decision = what_now(&situation, asked, now.plus_seconds(later));
        prop_assert!(matches!(decision, WhatNow::Serve | WhatNow::Refresh), "{decision:?}");
    }

    #[test]
    fn waiting_has_an_end_and_a_call_does_not_argue_with_a_verdict(
        (history, facts) in history(), later in 0_i64..100_000, leased in any::<bool>(),
    ) {
        let (mut state, now) = after(&history, &facts);
        if leased {
            state = begun(&state, Asked::Call, now.plus_seconds(40));
        }
        let now = now.plus_seconds(later);
        let credential = credential(T, Some(1), true);
        let situation = Situation { grant: grant_id(7), credential: &credential, last_used_at: None, state: &state, facts: &facts };
        match what_now(&situation, Asked::Call, now.plus_seconds(2)) {
            WhatNow::Wait(until, _) => prop_assert!(until > now),
            WhatNow::Refresh => prop_assert!(state.verdict.is_none()),
            WhatNow::Reconnect(..) => prop_assert!(state.verdict.is_some()),
            WhatNow::Serve => prop_assert!(false, "it has run out"),
        }
    }

    #[test]
    fn f19_the_outcome_of_an_attempt_that_is_not_the_newest_changes_nothing(
        (history, facts) in history(), outcome in outcome(), behind in 1_u32..5,
    ) {
        let (state, now) = after(&history, &facts);
        let leased = begun(&state, Asked::Call, now.plus_seconds(40));
        prop_assert_eq!(&reconcile(&leased, leased.attempt.saturating_sub(behind), &outcome, &facts, now), &leased);
        prop_assert_eq!(&reconcile(&state, state.attempt, &outcome, &facts, now), &state, "it was settled");
    }

    #[test]
    fn a_refresh_token_whose_answers_never_come_is_sent_once_once_more_and_three_times_at_most(
        facts in facts(), refused in any::<bool>(),
    ) {
        prop_assume!(facts.rotates != Some(false));
        let credential = credential(T, Some(3600), true);
        let (mut state, mut sent) = (RefreshState::default(), 0);
        let end = if refused { Outcome::Refused(ProviderCode::default()) } else { Outcome::Unknown };
        for minute in 60..60 * 24 * 10 {
            let now = T.plus_seconds(minute * 60);
            let situation = Situation { grant: grant_id(7), credential: &credential, last_used_at: Some(now), state: &state, facts: &facts };
            let clock = what_now(&situation, Asked::Clock, now);
            if clock == WhatNow::Refresh || what_now(&situation, Asked::Call, now) == WhatNow::Refresh {
                sent += 1;
                state = begun(&state, Asked::Clock, now.plus_seconds(40));
                let outcome = if sent == 1 { Outcome::Unknown } else { end.clone() };
                state = reconcile(&state, state.attempt, &outcome, &facts, now);
            }
        }
        let probes = if refused || punishes_reuse(&facts) { 0 } else { 3 + 3 };
        prop_assert!(sent <= 2 + probes, "{sent}");
        prop_assert!(state.verdict.is_some());
    }

    #[test]
    fn a_grant_is_looked_at_in_time_and_never_at_once_again_for_nothing(
        (history, facts) in history(), life in 1_i64..100_000, later in 0_i64..1_000_000, last in any::<u8>(),
    ) {
        let (state, now) = after(&history, &facts);
        let credential = credential(now, Some(life), true);
        let situation = Situation { grant: grant_id(last), credential: &credential, last_used_at: Some(now), state: &state, facts: &facts };
        let now = now.plus_seconds(later);
        let again = look_at(&situation, now);
        if what_now(&situation, Asked::Clock, now) == WhatNow::Refresh {
            prop_assert!(again.is_some_and(|at| at <= now), "due: {again:?}");
        } else {
            let wiped = state.verdict.as_ref().is_some_and(|verdict| is_over(verdict, now));
            prop_assert!(wiped || again.is_none_or(|at| at > now), "not due: {again:?}");
        }
    }
}

#[test]
fn the_early_window_is_a_tenth_of_the_life_between_a_minute_and_ten_spread_by_a_quarter() {
    let facts = Refresh::default();
    for (life, least, most) in
        [(3600, 360, 450), (36_000, 600, 750), (600, 60, 75), (60, 30, 30), (10, 5, 5), (90, 45, 45)]
    {
        for last in [0, 1, 128, 255] {
            let (credential, state) = (credential(T, Some(life), true), RefreshState::default());
            let situation = Situation {
                grant: grant_id(last),
                credential: &credential,
                last_used_at: None,
                state: &state,
                facts: &facts,
            };
            let early = early_at(&situation).expect("it has an end");
            let window = T.plus_seconds(life).since(early);
            assert!((least * SECOND..=most * SECOND).contains(&window), "{life} s, {last}: {window}");
        }
    }
}

#[test]
fn f52_grants_that_got_their_tokens_together_are_not_refreshed_together() {
    let (credential, state, facts) =
        (credential(T, Some(3600), true), RefreshState::default(), Refresh::default());
    let moments: std::collections::HashSet<_> = (0..=255)
        .map(|last| {
            let grant = grant_id(last);
            early_at(&Situation {
                grant,
                credential: &credential,
                last_used_at: None,
                state: &state,
                facts: &facts,
            })
        })
        .collect();
    assert_eq!(moments.len(), 256);
}

#[test]
fn a_lease_that_is_moved_to_another_clock_and_back_is_as_it_was_and_nothing_else_moves() {
    let state = RefreshState {
        attempt: 3,
        lease_until: Some(Micros(7_000_001)),
        not_before: Some(Micros(5)),
        ..RefreshState::default()
    };
    let moved = state.clone().with_lease_moved(-2 * SECOND);
    assert_eq!(moved, RefreshState { lease_until: Some(Micros(5_000_001)), ..state.clone() });
    assert_eq!(moved.with_lease_moved(2 * SECOND), state);
    assert_eq!(RefreshState::default().with_lease_moved(SECOND), RefreshState::default());
}

#[test]
fn an_attempt_that_a_report_asked_for_is_remembered_as_such_until_it_has_ended() {
    let begin = |state: &RefreshState, asked| begun(state, asked, Micros(9));
    let asked = begin(&RefreshState::default(), Asked::Report);
    assert_eq!((asked.reported, asked.attempt, asked.lease_until), (true, 1, Some(Micros(9))));
    assert!(begin(&asked, Asked::Call).reported);
    for other in [Asked::Call, Asked::Clock] {
        assert!(!begin(&RefreshState::default(), other).reported, "{other:?}");
    }
}
