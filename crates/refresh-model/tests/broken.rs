//! What each part of the protocol is for: without it, something happens that must not. The same situations are cases of
//! `alter-store-contract`, on the stores themselves.
#![expect(clippy::print_stdout, reason = "what was found is for people")]

use alter_refresh_model::{Broken, Kind, Limits, Refreshing, trace::tell};
use stateright::{Checker, Model};

const CALM: Limits = Limits {
    attempts: 2,
    crashes: 0,
    busy: 0,
    mistakes: 0,
    strays: 0,
    reconnects: 0,
    revokes: 0,
    expiries: 0,
};

/// Leaves a part out and looks for the shortest way to what must not happen.
fn without(broken: Broken, kind: Kind, limits: Limits, name: &'static str) {
    let model = Refreshing { kind, limits, broken };
    let walk = |depth| model.checker().target_max_depth(depth).spawn_bfs().join().discovery(name);
    let path = (1..30).find_map(walk).unwrap_or_else(|| panic!("{broken:?} is not missed"));
    println!("without {broken:?}, {kind:?}: not so: {name}\n{}", tell(&model, path));
}

#[test]
fn without_the_fence_an_overtaken_attempt_buries_a_grant_that_is_being_refreshed() {
    without(
        Broken::Fence,
        Kind::Branches,
        Limits { mistakes: 1, ..CALM },
        "no grant is buried under an attempt",
    );
}

#[test]
fn without_the_compare_and_set_a_late_success_overwrites_the_account_that_was_connected_again() {
    let limits = Limits { reconnects: 1, ..CALM };
    without(Broken::Generation, Kind::Rotates, limits, "the user who connects again wins");
}

#[test]
fn without_the_look_before_a_verdict_a_grant_is_buried_beside_its_success() {
    without(Broken::LookBeforeVerdict, Kind::Rotates, CALM, "no grant is buried beside its success");
}

#[test]
fn without_the_look_before_an_attempt_a_token_is_sent_beside_its_success() {
    without(Broken::LookBeforeAttempt, Kind::Branches, CALM, "no token is sent beside its success");
}

#[test]
fn without_the_look_before_an_attempt_a_grant_is_buried_beside_its_success() {
    without(Broken::LookBeforeAttempt, Kind::Rotates, CALM, "no grant is buried beside its success");
}

#[test]
fn without_the_count_of_unknown_outcomes_a_token_is_sent_too_often() {
    without(Broken::Count, Kind::Rotates, CALM, "no token is sent too often");
}

#[test]
fn a_late_refusal_that_is_left_in_the_journal_never_comes_to_rest() {
    without(Broken::Emptying, Kind::Rotates, CALM, "left alone, everything comes to rest");
}

#[test]
fn without_comparing_a_repeated_answer_is_ended_as_a_late_one_although_it_is_stored() {
    without(Broken::Compare, Kind::Repeats, CALM, "no stored token is ended as a late one");
}

#[test]
fn an_attempt_that_fails_beside_an_answer_and_does_not_count_is_made_too_often() {
    without(Broken::Cut, Kind::Rotates, CALM, "no token is sent too often");
}

/// What the protocol does not promise: two answers came of one refresh token, the older one was stored first, and the
/// provider takes the newer one alone.
#[test]
fn where_the_last_answer_alone_is_good_the_older_of_two_answers_may_be_kept() {
    without(Broken::Nothing, Kind::Newest, CALM, "a token that was replaced is not believed");
}
