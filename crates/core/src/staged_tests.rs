use proptest::prelude::*;

use super::*;
use crate::{
    Cause, Failure, GrantId, Operation, SystemRandom,
    session::tests::{attempt, claimed},
};

const T0: Micros = Micros(1_800_000_000_000_000);

fn staged(provider: &str, at: Micros) -> Staged {
    Staged {
        attempt: AttemptId::new(&SystemRandom),
        provider: provider.into(),
        provider_name: provider.to_uppercase(),
        account_identifier: "ann@example.com".into(),
        at,
    }
}

fn connection(staged: &Staged, at: Micros) -> Connection {
    Connection {
        grant_id: GrantId::new(&SystemRandom),
        provider: staged.provider.clone(),
        provider_name: staged.provider_name.clone(),
        account_identifier: staged.account_identifier.clone(),
        account_verified: true,
        at,
        operation: Operation::Creation,
        scopes: vec![],
        missing_scopes: vec![],
        extra_scopes: vec![],
        unanswered: vec!["more".into()],
    }
}

fn failure(cause: Cause) -> Failure {
    Failure { cause, provider: Some("a".into()), request_id: None, said: None }
}

/// A session at L3.
fn at_l3(providers: &[&str]) -> Session {
    let mut session = claimed(providers);
    session.data.min_binding = Level::L3;
    session
}

#[test]
fn what_is_staged_ends_the_flow_for_the_user_and_is_no_connection() {
    let mut s = at_l3(&["a"]);
    let one = staged("a", T0.plus_seconds(9));
    s.staged(one.clone());
    assert!(s.awaits_the_app() && s.data.connections.is_empty() && s.has_connected());
    assert_eq!(s.end().unwrap().kind, EndKind::Done);
    assert_eq!(s.confirm_by(), Some(T0.plus_seconds(9 + CONFIRM_WITHIN)));
    assert_eq!(s.data.events.last().unwrap().name, EventName::OauthComplete);

    let told = s.data.events.len();
    s.confirmed(one.attempt, connection(&one, T0.plus_seconds(20)));
    assert!(!s.awaits_the_app());
    assert_eq!(s.data.confirmed_at, Some(T0.plus_seconds(20)));
    assert_eq!((s.data.connections.len(), s.data.events.len()), (1, told), "nothing happened for the user");
    assert!(s.asking().is_none() && s.data.connections[0].unanswered.is_empty(), "nobody is asked");
}

#[test]
fn of_several_providers_each_is_staged_and_the_session_waits_for_all() {
    let mut s = at_l3(&["a", "b"]);
    let (one, two) = (staged("a", T0.plus_seconds(1)), staged("b", T0.plus_seconds(2)));
    s.staged(one.clone());
    assert!(!s.awaits_the_app() && s.confirm_by().is_none(), "the user goes on");
    s.staged(two.clone());
    s.finish(T0.plus_seconds(3));
    assert_eq!(s.end().unwrap().kind, EndKind::Done);
    s.confirmed(one.attempt, connection(&one, T0.plus_seconds(4)));
    assert!(s.awaits_the_app(), "one of two");
    s.confirmed(two.attempt, connection(&two, T0.plus_seconds(5)));
    assert!(!s.awaits_the_app());
    // What arrives after the app's word is another matter: an end that was told never changes.
    s.staged(staged("a", T0.plus_seconds(6)));
    assert!(!s.awaits_the_app());
}

#[test]
fn what_is_discarded_fails_the_flow_when_nothing_else_is_left() {
    let mut s = at_l3(&["a", "b"]);
    let (one, two) = (staged("a", T0), staged("b", T0));
    s.staged(one.clone());
    s.staged(two.clone());
    s.finish(T0);
    s.discarded(one.attempt, failure(Cause::OtherUser), T0);
    assert!(s.awaits_the_app() && s.was_given_up().is_none());
    s.discarded(two.attempt, failure(Cause::OtherUser), T0.plus_seconds(1));
    assert!(!s.awaits_the_app() && s.was_given_up().is_some());
    let end = s.end().unwrap();
    assert_eq!((end.kind, end.at), (EndKind::Failed, T0.plus_seconds(1)));

    let mut kept = at_l3(&["a", "b"]);
    kept.staged(one.clone());
    kept.staged(two.clone());
    kept.finish(T0);
    kept.confirmed(one.attempt, connection(&one, T0));
    kept.discarded(two.attempt, failure(Cause::NotConfirmed), T0);
    assert_eq!(kept.end().unwrap().kind, EndKind::Done, "a grant was made");
    assert!(!kept.awaits_the_app() && kept.was_given_up().is_none());
}

#[test]
fn t08_at_l3_any_claim_is_let_in_and_at_a_lower_level_none_below_it() {
    use crate::ClaimRefused;
    for (least, level, fits) in [
        (Level::L3, Level::L0, true),
        (Level::L3, Level::L2, true),
        (Level::L2, Level::L1, false),
        (Level::L1, Level::L0, false),
    ] {
        let mut minted = claimed(&["a"]);
        let State::Claimed(mut claim) = std::mem::replace(&mut minted.data.state, State::Minted) else {
            unreachable!("it is claimed");
        };
        (minted.data.min_binding, claim.level) = (least, level);
        let expected = if fits { Ok(()) } else { Err(ClaimRefused::Binding) };
        assert_eq!(minted.claim_by(claim), expected, "{least:?} {level:?}");
    }
}

#[test]
fn a_session_from_before_there_was_l3_is_stored_as_ever() {
    let stored = serde_json::to_value(claimed(&["a"]).data).unwrap();
    for field in ["challenge", "staged", "confirmed_at"] {
        assert!(stored.get(field).is_none(), "{field}");
    }
}

proptest! {
    /// At L3, whatever happens in any order: nobody opens a session again, what waits is a connection with the app's word
    /// alone, and an end changes in one way: done becomes failed when nothing is left of it (T55).
    #[test]
    fn t55_an_end_at_l3_changes_only_when_the_app_leaves_nothing_of_it(moves in proptest::collection::vec(0u8..9, 1..40)) {
        let mut s = at_l3(&["a", "b"]);
        let mut confirmed = 0;
        for (i, m) in moves.iter().enumerate() {
            let now = T0.plus_seconds(30 * i64::try_from(i).unwrap());
            let (before, waiting) = (s.end().cloned(), s.data.staged.first().cloned());
            match (m, &waiting) {
                (0, _) => { s.select("a", now); }
                (1, _) if s.can_start(now) => s.start(attempt(crate::Coop::Keeps, now)),
                // An exchange may end after the session has.
                (2, _) => s.staged(staged("a", now)),
                (3, Some(waiting)) => { s.confirmed(waiting.attempt, connection(waiting, now)); confirmed += 1; }
                (4, Some(waiting)) => s.discarded(waiting.attempt, failure(Cause::OtherUser), now),
                (5, _) => s.attempt_failed(failure(Cause::Denied), now),
                (6, _) => s.finish(now),
                (7, _) => { crate::exit::settle(&mut s, now); }
                _ => { s.window_reported(Some(true), now); }
            }
            let claim = s.claim().cloned().expect("it was claimed at the start");
            prop_assert!(s.claim_by(claim).is_err(), "nobody opens it again");
            prop_assert_eq!(s.data.connections.len(), confirmed, "nothing is connected without the app's word");
            if let Some(before) = before {
                let nothing_left = *m == 4 && !s.has_connected() && before.kind == EndKind::Done;
                let after = s.end().expect("an end stays one");
                prop_assert!(*after == before || (nothing_left && after.kind == EndKind::Failed), "{before:?} became {after:?}");
            }
        }
    }
}
