//! Everything that can happen, for each kind of provider.
#![expect(clippy::print_stdout, reason = "what was found is for people")]

use std::{collections::BTreeSet, time::Instant};

use alter_refresh_model::{Broken, Kind, Limits, Refreshing, trace::tell};
use stateright::{Checker, Expectation, Model};

const NOTHING: Limits = Limits {
    attempts: 2,
    crashes: 0,
    busy: 0,
    mistakes: 0,
    strays: 0,
    reconnects: 0,
    revokes: 0,
    expiries: 0,
};

/// Two processes with two attempts each, a crash, a user who connects again, a revocation and a refusal by mistake; and
/// what else can happen, each beside a crash.
const SCENES: [Limits; 4] = [
    Limits { crashes: 1, reconnects: 1, revokes: 1, mistakes: 1, ..NOTHING },
    Limits { crashes: 1, reconnects: 1, busy: 1, ..NOTHING },
    Limits { crashes: 1, reconnects: 1, strays: 1, ..NOTHING },
    Limits { crashes: 1, expiries: 1, ..NOTHING },
];

/// Much more of it at once.
const LONG: [Limits; 3] = [
    Limits { crashes: 1, busy: 1, mistakes: 1, reconnects: 1, revokes: 1, strays: 1, ..NOTHING },
    Limits { crashes: 2, busy: 1, mistakes: 1, reconnects: 1, ..NOTHING },
    Limits { crashes: 1, mistakes: 1, reconnects: 1, expiries: 1, ..NOTHING },
];

/// Walks through the scenes. Returns the properties of which an example or a counterexample was found.
fn walk(kind: Kind, scenes: &[Limits], exceptions: &[&'static str]) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for limits in scenes {
        let model = Refreshing { kind, limits: *limits, broken: Broken::Nothing };
        let started = Instant::now();
        let checker = model.checker().threads(2).spawn_bfs().join();
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        println!(
            "{kind:?} {limits:?}: {states} states, depth {depth}, {:.1} s",
            started.elapsed().as_secs_f64()
        );
        assert!(checker.is_done());
        let unexpected =
            |name| model.property(name).expectation == Expectation::Always && !exceptions.contains(&name);
        for (name, path) in checker.discoveries() {
            if unexpected(name) {
                println!("not so: {name}\n{}", tell(&model, path));
            }
            found.insert(name);
        }
    }
    found
}

/// Every event that must be possible was seen, and nothing else but these exceptions.
fn check(kind: Kind, scenes: &[Limits], exceptions: &[&'static str]) {
    let model = Refreshing { kind, limits: NOTHING, broken: Broken::Nothing };
    let possible = model.properties().into_iter().filter(|p| p.expectation == Expectation::Sometimes);
    let expected: BTreeSet<_> = possible.map(|p| p.name).chain(exceptions.iter().copied()).collect();
    assert_eq!(walk(kind, scenes, exceptions), expected);
}

/// Two answers to one refresh token, the older one is stored first, and the provider takes the newer one alone.
const NEWEST: &[&str] = &["a token that was replaced is not believed"];

#[test]
fn a_provider_that_keeps_its_refresh_tokens() {
    check(Kind::Keeps, &SCENES, &[]);
}

#[test]
fn a_provider_that_rotates_and_punishes_reuse() {
    check(Kind::Rotates, &SCENES, &[]);
}

#[test]
fn a_provider_of_which_we_do_not_know_that_it_rotates() {
    check(Kind::RotatesUnsaid, &SCENES, &[]);
}

#[test]
fn a_provider_that_repeats_its_answer_within_a_window() {
    check(Kind::Repeats, &SCENES, &[]);
}

#[test]
fn a_provider_whose_answers_within_a_window_are_all_good() {
    check(Kind::Branches, &SCENES, &[]);
}

#[test]
fn a_provider_whose_last_answer_within_a_window_alone_is_good() {
    check(Kind::Newest, &SCENES, NEWEST);
}

#[test]
#[ignore = "takes minutes: cargo test --release --package alter-refresh-model --test protocol -- --ignored --nocapture"]
fn the_long_walk() {
    for kind in [Kind::Keeps, Kind::Rotates, Kind::RotatesUnsaid, Kind::Repeats, Kind::Branches] {
        check(kind, &LONG, &[]);
    }
    check(Kind::Newest, &LONG, NEWEST);
}
