use super::*;
use crate::{
    Claim, ClaimRefused, Mode, SystemRandom,
    session::tests::{T0, session},
};

fn at(seconds: i64) -> Micros {
    T0.plus_seconds(seconds)
}

fn sid() -> SessionId {
    SessionId::new(&SystemRandom)
}

fn trip(salt: &str, at: Micros) -> Trip {
    Trip { salt: salt.into(), config: ConfigId::new(&SystemRandom), at }
}

/// Opened by a link whose user has to sign in.
fn opened_by_link() -> Session {
    let mut session = session(&["google"]);
    session.data.sign_in = Some(SignIn::default());
    let claim =
        Claim { level: Level::L0, cb: None, browser: [7; 32], marker: None, at: at(1), mode: Mode::Redirect };
    session.claim_by(claim).expect("who signs in may come without proof");
    session
}

#[test]
fn t06_a_link_is_of_no_use_until_its_user_has_signed_in() {
    let mut session = opened_by_link();
    assert!(session.has_to_sign_in() && !session.is_signed_in());
    assert_eq!(session.data.selected, None);
    assert!(!session.select("google", at(2)));
    assert!(!session.can_start(at(2)));
    assert!(session.signed_in(at(3)));
    assert!(session.can_start(at(3)) && session.is_signed_in());
    assert_eq!(session.claim().map(|claim| claim.level), Some(Level::L2));
    assert_eq!(session.data.selected.as_deref(), Some("google"), "the only provider, as after any claim");
    assert!(!session.signed_in(at(4)), "once");
}

#[test]
fn t06_without_a_sign_in_to_come_a_claim_below_the_sessions_level_is_refused() {
    let mut session = session(&["google"]);
    let claim =
        Claim { level: Level::L0, cb: None, browser: [7; 32], marker: None, at: at(1), mode: Mode::Popup };
    assert_eq!(session.claim_by(claim), Err(ClaimRefused::Binding));
}

#[test]
fn only_the_newest_trip_comes_back_and_only_once_and_in_time() {
    let mut session = opened_by_link();
    let (first, second) = (trip("a", at(2)), trip("b", at(3)));
    assert!(session.sign_in_begun(first.clone()) && session.sign_in_begun(second.clone()));
    assert_eq!(session.sign_in_back(&first, at(4)), None, "another has been begun since");
    let mut late = session.clone();
    assert_eq!(late.sign_in_back(&second, at(3 + TRIP_TTL)), None, "too late");
    assert_eq!(fault(&late), Some(SignInFault::Late));
    assert_eq!(late.sign_in_back(&second, at(4)), None, "and no clock brings it back");
    assert_eq!(session.sign_in_back(&second, at(2 + TRIP_TTL)), Some(second.clone()));
    assert_eq!(session.sign_in_back(&second, at(4)), None, "a code is used once");
}

fn fault(session: &Session) -> Option<SignInFault> {
    session.data.sign_in.as_ref()?.fault
}

#[test]
fn that_somebody_else_was_signed_in_is_not_forgotten_by_the_next_fault_or_trip() {
    let mut session = opened_by_link();
    let other_user = |session: &Session| session.data.sign_in.as_ref().is_some_and(|s| s.other_user);
    session.sign_in_failed(SignInFault::Denied, at(2));
    assert!(!other_user(&session));
    session.sign_in_failed(SignInFault::OtherUser, at(2));
    session.sign_in_failed(SignInFault::Denied, at(3));
    assert_eq!((fault(&session), other_user(&session)), (Some(SignInFault::Denied), true));
    assert!(session.sign_in_begun(trip("a", at(4))));
    assert_eq!((fault(&session), other_user(&session)), (None, true));
}

#[test]
fn trips_have_an_end() {
    let mut session = opened_by_link();
    for n in 0..TRIPS_MAX {
        assert!(session.sign_in_begun(trip(&n.to_string(), at(2))), "{n}");
    }
    let mut last = session.clone();
    assert!(!session.sign_in_begun(trip("more", at(2))));
    assert_eq!(fault(&session), Some(SignInFault::TooMany));
    last.sign_in_failed(SignInFault::Denied, at(3));
    assert_eq!(fault(&last), Some(SignInFault::TooMany), "the last one is told at once");
}

#[test]
fn a_session_that_is_over_takes_nobody_in() {
    let mut session = opened_by_link();
    assert!(!session.clone().signed_in(session.expires_at), "its time is over");
    assert!(!session.sign_in_begun(trip("late", session.expires_at)));
    session.finish(at(3));
    assert!(!session.signed_in(at(4)));
    assert!(!session.sign_in_begun(trip("late", at(4))));
}

#[test]
fn t02_what_is_derived_is_another_for_each_browser_session_trip_and_client() {
    let (sid, key) = (sid(), SecretString::from("the browser key"));
    let base = trip("salt", at(1));
    let of = |sid: &SessionId, key: &SecretString, trip: &Trip| {
        let all = TripSecrets::derive(sid, key, trip);
        [all.state.expose_secret().to_owned(), all.nonce, all.verifier.expose_secret().to_owned()]
    };
    let own = of(&sid, &key, &base);
    assert_eq!(own, of(&sid, &key, &base), "the browser that comes back derives the same");
    let others = [
        of(&self::sid(), &key, &base),
        of(&sid, &SecretString::from("another"), &base),
        of(&sid, &key, &Trip { salt: "other".into(), ..base.clone() }),
        of(&sid, &key, &Trip { config: ConfigId::new(&SystemRandom), ..base.clone() }),
    ];
    for other in &others {
        assert!(own.iter().all(|part| !other.contains(part)), "{other:?}");
    }
    assert_ne!(own[1], own[2]);
    assert_eq!((own[1].len(), own[2].len()), (43, 43));
    assert_eq!(session_of_state(&own[0]), Some(sid));
    for none in ["", "x", own[1].as_str(), ".abc", "abc.def"] {
        assert_eq!(session_of_state(none), None, "{none}");
    }
}

#[test]
fn a_session_of_an_older_version_has_nobody_to_sign_in() {
    let mut stored = serde_json::to_value(session(&["google"]).data).expect("JSON");
    assert!(stored.as_object_mut().expect("an object").get("sign_in").is_none(), "nor is it written");
}
