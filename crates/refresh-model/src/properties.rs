//! What must never be seen, and what must be possible.

use alter_core::{
    Asked, Micros, ReconnectReason, RefreshEnded, WhatNow,
    recipe::Refresh,
    refresh::{Situation, what_now},
};
use stateright::Property;

use crate::{
    Action, Refreshing, State,
    model::Step,
    provider::{Answer, Token},
    store::Store,
};

/// The pause before a probe, seconds.
const PROBE: i64 = 300;
/// The longest time for which a call is told to wait, seconds.
const LONGEST: i64 = 24 * 3600;

/// What an action did that it must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// A grant was taken for dead while a success of its generation was in the journal.
    BuriedAnswer,
    /// A grant was taken for dead while a newer attempt had its lease and was under way.
    BuriedAttempt,
    /// A refresh token was sent more often than the rule says.
    SentTooOften,
    /// A refresh token was sent although a success of its generation was in the journal.
    AskedBesideAnswer,
    /// Tokens that came too late were ended at the provider, and they are the ones that are stored.
    EndedStored,
    /// An answer came, and the journal did not take it.
    AnswerNotTaken,
}

/// What has been seen on the way to a state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The first thing that was wrong.
    pub wrong: Option<Wrong>,
    /// The family that the user connected last.
    pub reconnected: Option<u8>,
    /// Tokens that were journalled.
    journalled: Vec<Token>,
    /// Tokens that were stored and made room for later ones.
    done: Vec<Token>,
    /// Tokens that were discarded.
    discarded: Vec<Token>,
    /// Attempts of the current generation of which it is not known that they did nothing.
    tries: u8,
    /// When the last of them began.
    tried_at: Option<Micros>,
    /// A success came after the grant was taken for dead.
    revived: bool,
}

impl Seen {
    /// Something is wrong.
    pub fn found(&mut self, wrong: Wrong) {
        self.wrong.get_or_insert(wrong);
    }

    /// An answer is kept durably.
    pub fn journalled(&mut self, answer: Answer) {
        if let Answer::Tokens(token) = answer {
            note(&mut self.journalled, token);
        }
    }

    /// A stored token makes room for a later one.
    pub fn done_with(&mut self, token: Token) {
        note(&mut self.done, token);
    }

    pub(crate) fn shift(&mut self, shift: impl Fn(Micros, i64) -> Micros) {
        self.tried_at = self.tried_at.map(|at| shift(at, PROBE));
    }

    /// A new generation begins.
    pub fn begin_anew(&mut self) {
        (self.tries, self.tried_at) = (0, None);
    }
}

fn note(tokens: &mut Vec<Token>, token: Token) {
    if let Err(place) = tokens.binary_search(&token) {
        tokens.insert(place, token);
    }
}

/// An attempt begins.
pub(crate) fn watch_attempt(state: &mut State, before: &Store, facts: &Refresh) {
    if before.has_success() {
        state.seen.found(Wrong::AskedBesideAnswer);
    }
    if !may_try(state, before, facts) {
        state.seen.found(Wrong::SentTooOften);
    }
    state.seen.tries += 1;
    state.seen.tried_at = Some(state.now);
}

/// Once, once more after an unknown outcome, and after that or after a verdict at a probe's pauses, three times at most.
fn may_try(state: &State, before: &Store, facts: &Refresh) -> bool {
    let rested = state.seen.tried_at.is_none_or(|at| at.plus_seconds(PROBE) <= state.now);
    let punishes = facts.rotates == Some(true) && facts.reuse_window_seconds.unwrap_or(0) == 0;
    let lost = |reason| reason == ReconnectReason::RotationLost;
    match (&before.grant.refresh.verdict, state.seen.tries) {
        (Some(verdict), _) => rested && !punishes && !lost(verdict.reason) && verdict.probes < 3,
        (None, _) if facts.rotates == Some(false) => true,
        (None, 0 | 1) => true,
        (None, tries) => rested && !punishes && tries < 5,
    }
}

/// A transaction has changed the state. `row`: the attempt that it ended.
pub(crate) fn watch_verdict(state: &mut State, before: &Store, row: Option<usize>) {
    let condemned = before.grant.refresh.verdict.is_none() && state.store.grant.refresh.verdict.is_some();
    if !condemned {
        return;
    }
    if state.store.has_success() {
        state.seen.found(Wrong::BuriedAnswer);
    }
    let leased = before.grant.refresh.lease_until.is_some_and(|until| until > state.now);
    let newest = (before.grant.generation, before.grant.refresh.attempt);
    let tasks = state.processes.iter().filter_map(|process| process.task);
    let under_way =
        tasks.filter(|task| matches!(task.step, Step::Sent | Step::Answered(_)) && Some(task.row) != row);
    let mut rows = under_way.map(|task| &before.rows[task.row]);
    if leased && rows.any(|row| (row.generation, row.attempt) == newest) {
        state.seen.found(Wrong::BuriedAttempt);
    }
}

/// An attempt has ended.
pub(crate) fn watch_end(state: &mut State, before: &Store, row: usize, ended: RefreshEnded, answer: Answer) {
    match ended {
        RefreshEnded::Refreshed => {
            if before.rows[row].generation == before.grant.generation {
                state.seen.done_with(before.grant.access);
            }
            state.seen.revived |= before.grant.refresh.verdict.is_some();
            state.seen.begin_anew();
        }
        RefreshEnded::Failed if answer == Answer::Busy => {
            state.seen.tries = state.seen.tries.saturating_sub(1);
            state.seen.tried_at = None;
        }
        _ => {}
    }
}

/// Tokens that came too late are gone. `asked`: the provider is asked to end them.
pub(crate) fn watch_discard(state: &mut State, late: Token, asked: bool) {
    if asked && !state.store.grant.revoked && state.store.grant.access == late {
        state.seen.found(Wrong::EndedStored);
    }
    note(&mut state.seen.discarded, late);
}

type Check = fn(&Refreshing, &State) -> bool;

/// Every property.
pub(crate) fn all() -> Vec<Property<Refreshing>> {
    let never: [(&str, Check); 6] = [
        ("no grant is buried beside its success", |_, s| s.seen.wrong != Some(Wrong::BuriedAnswer)),
        ("no grant is buried under an attempt", |_, s| s.seen.wrong != Some(Wrong::BuriedAttempt)),
        ("no token is sent too often", |_, s| s.seen.wrong != Some(Wrong::SentTooOften)),
        ("no token is sent beside its success", |_, s| s.seen.wrong != Some(Wrong::AskedBesideAnswer)),
        ("no stored token is ended as a late one", |_, s| s.seen.wrong != Some(Wrong::EndedStored)),
        ("the journal takes every answer", |_, s| s.seen.wrong != Some(Wrong::AnswerNotTaken)),
    ];
    let always: [(&str, Check); 5] = [
        ("no journalled token is lost", |_, s| s.seen.journalled.iter().all(|token| is_kept(s, *token))),
        ("a token that was replaced is not believed", |_, s| believes_the_newest(s)),
        ("the user who connects again wins", |_, s| reconnect_won(s)),
        ("a wait has an end", waits_end),
        ("left alone, everything comes to rest", rests),
    ];
    let always = never.into_iter().chain(always).map(|(name, check)| Property::always(name, check));
    always.chain(possible()).collect()
}

fn possible() -> impl Iterator<Item = Property<Refreshing>> {
    let sometimes: [(&str, Check); 5] = [
        ("a token is refreshed twice", |_, s| s.store.grant.generation > 2 && s.seen.reconnected.is_none()),
        ("a grant is taken for dead", |_, s| s.store.grant.refresh.verdict.is_some()),
        ("a late success revives a grant", |_, s| s.seen.revived),
        ("tokens come too late", |_, s| !s.seen.discarded.is_empty() && !s.store.grant.revoked),
        ("tokens come after a revocation", |_, s| !s.seen.discarded.is_empty() && s.store.grant.revoked),
    ];
    sometimes.into_iter().map(|(name, check)| Property::sometimes(name, check))
}

/// In the journal, stored, followed by a later one, or discarded on purpose.
fn is_kept(state: &State, token: Token) -> bool {
    let Seen { done, discarded, .. } = &state.seen;
    let journalled = state.store.rows.iter().any(|row| row.body == Some(Answer::Tokens(token)));
    let stored = !state.store.grant.revoked && state.store.grant.access == token;
    journalled || stored || done.contains(&token) || discarded.contains(&token)
}

/// The stored token is not one whose successor was received and thrown away.
fn believes_the_newest(state: &State) -> bool {
    let successor = state.store.grant.token.and_then(|token| state.provider.token(token).replaced_by);
    successor.is_none_or(|successor| !state.seen.discarded.contains(&successor))
}

fn reconnect_won(state: &State) -> bool {
    let family = state.provider.token(state.store.grant.access).family;
    state.seen.reconnected.is_none_or(|reconnected| reconnected == family)
}

fn waits_end(model: &Refreshing, state: &State) -> bool {
    match call(model, state) {
        WhatNow::Wait(at, _) => at > state.now && at <= state.now.plus_seconds(LONGEST),
        WhatNow::Serve | WhatNow::Refresh | WhatNow::Reconnect(..) => true,
    }
}

fn call(model: &Refreshing, state: &State) -> WhatNow {
    let facts = model.kind.facts();
    let grant = state.store.grant.grant();
    let situation: Situation<'_> = grant.situation(&facts);
    what_now(&situation, Asked::Call, state.now)
}

/// When nothing more goes wrong, the attempts end, the journal becomes empty, and a call is told something else than to
/// wait.
fn rests(model: &Refreshing, state: &State) -> bool {
    let mut state = state.clone();
    for _ in 0..24 {
        let Some(action) = next(&state) else { return calls_end(model, &state) };
        if state.seen.wrong.is_some() || model.take(&mut state, action).is_none() {
            return true;
        }
    }
    false
}

/// What a process does that is left alone.
fn next(state: &State) -> Option<Action> {
    let busy = state.processes.iter().enumerate().find_map(|(n, process)| Some((n, process.task?)));
    if let Some((n, task)) = busy {
        return Some(match task.step {
            Step::Sent => Action::Lose(n),
            Step::Answered(_) => Action::Journal(n),
            Step::Silent | Step::Journalled(_) => Action::End(n),
            Step::Late(_) => Action::Discard(n),
        });
    }
    state.store.rows.iter().position(|row| row.body.is_some()).map(|row| Action::Sweep(0, row))
}

fn calls_end(model: &Refreshing, state: &State) -> bool {
    let WhatNow::Wait(at, _) = call(model, state) else { return true };
    let later = State { now: at, ..state.clone() };
    !matches!(call(model, &later), WhatNow::Wait(..))
}
