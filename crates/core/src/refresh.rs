//! Refreshing a credential: one pure decision ([`what_now`]), and what each outcome of an attempt changes
//! ([`reconcile`]). Storage calls both inside its transactions, on what it has just read.
//!
//! The rules, in the order of their weight:
//! - A success that began from the current generation counts whenever it arrives, whatever failed in the meantime.
//! - A refresh token is sent once. It is sent again when the provider said that it did nothing, once more when an outcome
//!   is unknown, and three times at long intervals when outcomes stay unknown or after a refusal, because providers have
//!   outages that look like one.
//! - A token that is still valid serves while its refresh is slow or fails.

use serde::{Deserialize, Serialize};

use crate::{
    BeginRefresh, Credential, EndRefresh, Grant, GrantId, Micros, ProviderCode, RefreshEnded, recipe::Refresh,
};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 3600;
/// The longest early window, seconds.
const EARLY_MAX: i64 = 600;
/// The shortest early window, seconds, of a token that lives at least twice as long.
const EARLY_MIN: i64 = 60;
/// A grant that was used within this time is refreshed before anyone asks, seconds.
const USED_WITHIN: i64 = 7 * DAY;
/// A rejection that is reported earlier than this after the token came is not believed, seconds.
const REJECTED_AFTER: i64 = 60;
/// The pauses before the probes that follow a refusal, seconds after it.
const PROBES: [i64; 3] = [300, 3600, DAY];
/// How long a refused refresh token is kept, seconds.
const KEPT: i64 = 7 * DAY;
/// The pauses after failures that change nothing, seconds; the last one repeats.
const PAUSES: [i64; 7] = [2, 5, 10, 30, 60, 120, 300];
/// The shortest pause after the provider refused our client, seconds.
const CLIENT_PAUSE: i64 = 60;
/// The longest `Retry-After` that is obeyed, seconds.
const RETRY_AFTER_MAX: u32 = 3600;

/// What is known about refreshing the current generation of a grant's credential. A new generation begins with the
/// default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct RefreshState {
    /// How many attempts have begun: the fence. Only the newest one may change the state by failing.
    pub attempt: u32,
    /// Set while an attempt is under way: until when it may be.
    pub lease_until: Option<Micros>,
    /// How many attempts ended without anyone knowing how.
    pub unknown: u32,
    /// How many attempts in a row failed without changing anything at the provider.
    pub failures: u32,
    /// Nothing is sent before this.
    pub not_before: Option<Micros>,
    /// Why the last attempt failed, while that matters to whoever waits.
    pub trouble: Option<Trouble>,
    /// The provider was asked because somebody reported that its API rejects the token.
    pub reported: bool,
    /// The refresh token is taken for dead.
    pub verdict: Option<Verdict>,
}

/// A refresh token that is taken for dead.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Verdict {
    /// Why.
    pub reason: ReconnectReason,
    /// Since when.
    pub since: Micros,
    /// How often the provider was asked again.
    pub probes: u32,
}

/// Why a user has to connect again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReconnectReason {
    /// The provider refused the refresh token.
    RefreshRefused,
    /// The provider gave a new refresh token that never reached us, and refuses the old one.
    RotationLost,
    /// The refresh token was sent several times, and no answer came.
    OutcomeUnknown,
    /// The access token has run out, and the provider gave no refresh token.
    NoRefreshToken,
}

impl ReconnectReason {
    const ALL: [Self; 4] =
        [Self::RefreshRefused, Self::RotationLost, Self::OutcomeUnknown, Self::NoRefreshToken];

    /// The reason of a word that [`Self::as_str`] wrote.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// The word in storage, in `details.reason` and in the command line's output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RefreshRefused => "refresh_refused",
            Self::RotationLost => "rotation_lost",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::NoRefreshToken => "no_refresh_token",
        }
    }
}

/// Why an attempt failed that says nothing about the refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The provider did not answer, or not with tokens.
    Provider,
    /// The provider does not accept our client, or it cannot be asked as it is configured: the operator's affair.
    Client,
    /// This server could not open a secret or build the request.
    Us,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The provider did nothing: the request was not sent, or the answer says so.
    Failed {
        /// Whose affair it is.
        trouble: Trouble,
        /// `Retry-After`, seconds.
        retry_after: Option<u32>,
    },
    /// The request may have been sent, and no whole answer came.
    Unknown,
    /// The provider refused the refresh token.
    Refused(ProviderCode),
}

impl Outcome {
    /// The word in storage and in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Failed { trouble: Trouble::Provider, .. } => "failed",
            Self::Failed { trouble: Trouble::Client, .. } => "client_refused",
            Self::Failed { trouble: Trouble::Us, .. } => "fault",
            Self::Unknown => "unknown",
            Self::Refused(_) => "refused",
        }
    }
}

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A call that needs the access token.
    Call,
    /// Nobody: it is time to look.
    Clock,
    /// A caller to whom the provider's API said 401 for this generation's token.
    Report,
    /// The operator.
    Operator,
}

/// What is to be done with a credential now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhatNow {
    /// The access token is good as it is.
    Serve,
    /// Ask the provider for a new one.
    Refresh,
    /// The access token cannot be used, and the next attempt cannot begin before this time. `None`: an attempt is under
    /// way until then; `Some`: the last one failed.
    Wait(Micros, Option<Trouble>),
    /// Only the user can help, by connecting again.
    Reconnect(ReconnectReason, Micros),
}

/// Everything that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Spreads refreshes that would fall on the same moment.
    pub grant: GrantId,
    /// The current generation.
    pub credential: &'a Credential,
    /// When its token was last released.
    pub last_used_at: Option<Micros>,
    /// Of the current generation.
    pub state: &'a RefreshState,
    /// What is known about the provider.
    pub facts: &'a Refresh,
}

/// Decides. Pure: the same arguments give the same result, in every process.
pub fn what_now(situation: &Situation<'_>, asked: Asked, now: Micros) -> WhatNow {
    let Situation { credential, state, facts, .. } = *situation;
    // Rejected by the API and refused at the token endpoint: the access was taken away, whatever the token's end says.
    let taken_away = state.reported && state.verdict.is_some();
    let valid = is_valid(credential, now) && !taken_away;
    let otherwise = |other| if valid { WhatNow::Serve } else { other };
    if credential.refresh_token.is_none() {
        let (reason, since) = match &state.verdict {
            Some(verdict) => (verdict.reason, verdict.since),
            None => (ReconnectReason::NoRefreshToken, credential.expires_at.unwrap_or(now)),
        };
        return otherwise(WhatNow::Reconnect(reason, since));
    }
    if !is_wanted(situation, asked, now) {
        return WhatNow::Serve;
    }
    if let Some(until) = state.lease_until.filter(|_| state.is_leased(now)) {
        return otherwise(WhatNow::Wait(until, None));
    }
    if let Some(verdict) = &state.verdict {
        let probed = match asked {
            Asked::Operator => true,
            Asked::Clock => state.not_before.is_some_and(|at| at <= now) && !is_over(verdict, now),
            Asked::Call | Asked::Report => false,
        };
        let may = probed && may_probe(verdict.reason, facts);
        return if may {
            WhatNow::Refresh
        } else {
            otherwise(WhatNow::Reconnect(verdict.reason, verdict.since))
        };
    }
    match state.not_before.filter(|at| *at > now) {
        Some(at) if asked != Asked::Operator => {
            otherwise(WhatNow::Wait(at, Some(state.trouble.unwrap_or(Trouble::Provider))))
        }
        _ => WhatNow::Refresh,
    }
}

/// Whether a whole second of the access token's life is left. A token whose end is not known is taken for valid.
pub fn is_valid(credential: &Credential, now: Micros) -> bool {
    credential.expires_at.is_none_or(|at| at.since(now) >= SECOND)
}

/// Whether whoever asks has a reason to.
fn is_wanted(situation: &Situation<'_>, asked: Asked, now: Micros) -> bool {
    let Situation { credential, state, last_used_at, facts, .. } = *situation;
    let soon = || early_at(situation).is_some_and(|at| at <= now);
    match asked {
        Asked::Operator => true,
        // A report that the provider could not judge yet is not forgotten.
        Asked::Call => soon() || state.reported,
        Asked::Report => !state.reported && credential.issued_at.plus_seconds(REJECTED_AFTER) <= now,
        Asked::Clock if state.verdict.is_some() => true,
        Asked::Clock => {
            let used = last_used_at.unwrap_or(credential.issued_at);
            let busy = used.plus_seconds(USED_WITHIN) > now;
            (busy && (soon() || state.reported)) || idle_at(credential, facts).is_some_and(|at| at <= now)
        }
    }
}

/// When the early window of the access token begins: 10 % of its life before its end, at most 10 minutes, at least a
/// minute or half of its life. Grants that got their tokens together are spread over a quarter of that time.
fn early_at(situation: &Situation<'_>) -> Option<Micros> {
    let credential = situation.credential;
    let end = credential.expires_at?;
    let life = end.since(credential.issued_at).max(0);
    let least = (EARLY_MIN * SECOND).min(life / 2);
    let window = (life / 10).min(EARLY_MAX * SECOND).max(least);
    // 0 to 255, from the id: the same in every process and after every restart.
    let spread = i64::from(situation.grant.0.as_bytes()[15]);
    let window = (window + window / 4 * spread / 255).min(life / 2);
    Some(Micros(end.0 - window))
}

/// When the refresh token has lived half of the time after which the provider forgets an unused one.
fn idle_at(credential: &Credential, facts: &Refresh) -> Option<Micros> {
    let days = i64::from(facts.idle_expiry_days?);
    Some(credential.issued_at.plus_seconds(days * DAY / 2))
}

/// Whether a refresh token that is taken for dead is sent again. Never after a lost rotation: the provider has replaced
/// it. Never where an old token that comes back ends everything.
fn may_probe(reason: ReconnectReason, facts: &Refresh) -> bool {
    reason != ReconnectReason::RotationLost && !punishes_reuse(facts)
}

fn punishes_reuse(facts: &Refresh) -> bool {
    facts.rotates == Some(true) && facts.reuse_window_seconds.unwrap_or(0) == 0
}

fn is_over(verdict: &Verdict, now: Micros) -> bool {
    verdict.since.plus_seconds(KEPT) <= now
}

/// Whether the refused refresh token has been kept long enough, so that it is wiped.
pub fn is_to_wipe(state: &RefreshState, now: Micros) -> bool {
    state.verdict.as_ref().is_some_and(|verdict| is_over(verdict, now))
}

/// The state when an attempt begins. `until` is the end of its lease.
pub fn begun(state: &RefreshState, asked: Asked, until: Micros) -> RefreshState {
    RefreshState {
        attempt: state.attempt + 1,
        lease_until: Some(until),
        reported: state.reported || asked == Asked::Report,
        ..state.clone()
    }
}

/// The state after an attempt that brought no tokens. An outcome that comes after its attempt was settled changes nothing.
pub fn reconcile(
    state: &RefreshState,
    attempt: u32,
    outcome: &Outcome,
    facts: &Refresh,
    now: Micros,
) -> RefreshState {
    if attempt != state.attempt || state.lease_until.is_none() {
        return state.clone();
    }
    let mut next = RefreshState { lease_until: None, ..state.clone() };
    match (outcome, &state.verdict) {
        (Outcome::Failed { trouble, retry_after }, _) => {
            failed(&mut next, (*trouble, *retry_after), facts, now)
        }
        (Outcome::Unknown, Some(verdict)) => condemn(&mut next, verdict.reason, facts, now),
        // Where nothing rotates, sending the same token again does no harm.
        (Outcome::Unknown, None) if facts.rotates == Some(false) => {
            failed(&mut next, (Trouble::Provider, None), facts, now);
        }
        (Outcome::Unknown, None) => unknown(&mut next, facts, now),
        (Outcome::Refused(_), _) if state.unknown > 0 => {
            condemn(&mut next, ReconnectReason::RotationLost, facts, now);
        }
        (Outcome::Refused(_), _) => condemn(&mut next, ReconnectReason::RefreshRefused, facts, now),
    }
    next
}

fn failed(
    next: &mut RefreshState,
    (trouble, retry_after): (Trouble, Option<u32>),
    facts: &Refresh,
    now: Micros,
) {
    next.failures += 1;
    next.trouble = Some(trouble);
    let pause = pause(next.failures, trouble, retry_after);
    // A probe that met an outage is made again, but no more often than the first one.
    let least = if next.verdict.is_some() { PROBES[0] } else { 0 };
    next.not_before = Some(now.plus_seconds(pause.max(least)));
    if next.verdict.as_ref().is_some_and(|verdict| !may_probe(verdict.reason, facts)) {
        next.not_before = None;
    }
}

/// After the first unknown outcome the token is sent once more, at once: inside the reuse window, where there is one.
/// After that it is sent at the pauses of a probe, and then it is taken for dead.
fn unknown(next: &mut RefreshState, facts: &Refresh, now: Micros) {
    next.unknown += 1;
    next.trouble = Some(Trouble::Provider);
    let more = usize::try_from(next.unknown).unwrap_or(usize::MAX);
    match more.checked_sub(2).map(|n| PROBES.get(n)) {
        None => next.not_before = None,
        Some(Some(pause)) if !punishes_reuse(facts) => next.not_before = Some(now.plus_seconds(*pause)),
        Some(_) => condemn(next, ReconnectReason::OutcomeUnknown, facts, now),
    }
}

fn condemn(next: &mut RefreshState, reason: ReconnectReason, facts: &Refresh, now: Micros) {
    let verdict = match next.verdict.take() {
        Some(before) => Verdict { probes: before.probes + 1, ..before },
        None => Verdict { reason, since: now, probes: 0 },
    };
    let pause = usize::try_from(verdict.probes).ok().and_then(|n| PROBES.get(n));
    next.not_before = pause
        .filter(|_| may_probe(verdict.reason, facts))
        .map(|pause| verdict.since.plus_seconds(*pause).max(now));
    (next.failures, next.trouble) = (0, None);
    next.verdict = Some(verdict);
}

fn pause(failures: u32, trouble: Trouble, retry_after: Option<u32>) -> i64 {
    let step = usize::try_from(failures).unwrap_or(usize::MAX).saturating_sub(1);
    let pause = PAUSES[step.min(PAUSES.len() - 1)];
    let pause = if trouble == Trouble::Client { pause.max(CLIENT_PAUSE) } else { pause };
    pause.max(i64::from(retry_after.unwrap_or(0).min(RETRY_AFTER_MAX)))
}

/// When the grant has to be looked at next although nobody calls; `None`: not before somebody uses it.
pub fn look_at(situation: &Situation<'_>, now: Micros) -> Option<Micros> {
    let Situation { credential, state, facts, .. } = *situation;
    credential.refresh_token.as_ref()?;
    if state.lease_until.is_some() {
        return state.lease_until;
    }
    if let Some(verdict) = &state.verdict {
        let wiped = verdict.since.plus_seconds(KEPT);
        return Some(state.not_before.map_or(wiped, |probe| probe.min(wiped)));
    }
    let later = |at: Micros| state.not_before.map_or(at, |pause| pause.max(at));
    // A time that has passed was looked at already: what is not wanted now is wanted by the next call alone.
    let wanted = is_wanted(situation, Asked::Clock, now);
    let times = [early_at(situation), idle_at(credential, facts)];
    times.into_iter().flatten().filter(|at| wanted || *at > now).map(later).min()
}

impl RefreshState {
    /// Whether an attempt is under way.
    pub fn is_leased(&self, now: Micros) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }

    /// Whether an attempt was begun whose lease has run out: its process died, or it is so slow that it counts as dead.
    pub fn is_broken_off(&self, now: Micros) -> bool {
        self.lease_until.is_some_and(|until| until <= now)
    }

    /// The same state, with a lease of this attempt that ends now at the latest.
    fn with_lease_cut(&self, attempt: u32, now: Micros) -> Self {
        let cut = |until: Micros| if attempt == self.attempt { until.min(now) } else { until };
        Self { lease_until: self.lease_until.map(cut), ..self.clone() }
    }

    /// The same state, with the end of the lease by a clock that is ahead of this one by so many microseconds.
    #[must_use]
    pub fn with_lease_moved(self, ahead: i64) -> Self {
        let lease_until = self.lease_until.map(|until| Micros(until.0.saturating_add(ahead)));
        Self { lease_until, ..self }
    }
}

/// What [`crate::RefreshStore::begin_refresh`] writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The decision. The lease is in `state` if it is to refresh.
    pub now: WhatNow,
    /// The grant's state from now on.
    pub state: RefreshState,
    /// [`look_at`] for that state.
    pub look_at: Option<Micros>,
    /// An attempt that was broken off led to the verdict that only the user can help.
    pub condemned: bool,
    /// The refresh token has been kept long enough after its verdict.
    pub wipe: bool,
}

impl Beginning {
    /// Settles an attempt that was broken off without an answer, decides, and begins the next one if it is to be.
    pub fn of(grant: &Grant, begin: &BeginRefresh) -> Self {
        let BeginRefresh { asked, facts, hold, at, .. } = begin;
        let before = &grant.refresh;
        let mut state = before.clone();
        if before.is_broken_off(*at) {
            state = reconcile(before, before.attempt, &Outcome::Unknown, facts, *at);
        }
        let condemned = state.verdict.is_some() && before.verdict.is_none();
        let wipe = is_to_wipe(&state, *at);
        let now = what_now(&Situation { state: &state, ..grant.situation(facts) }, *asked, *at);
        if now == WhatNow::Refresh {
            state = begun(&state, *asked, at.plus_seconds(i64::from(*hold)));
        }
        let situation = Situation { state: &state, ..grant.situation(facts) };
        let look_at = if wipe { None } else { look_at(&situation, *at) };
        Self { now, look_at, condemned, wipe, state }
    }
}

/// What [`crate::RefreshStore::end_refresh`] writes after an attempt that brought no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The grant's state from now on.
    pub state: RefreshState,
    /// [`look_at`] for that state.
    pub look_at: Option<Micros>,
    /// What is told.
    pub ended: RefreshEnded,
}

impl Ending {
    /// `answered`: another attempt of the same generation has its answer in the journal. Then nothing is judged: that
    /// answer may be a success, and a success beats every failure. The lease ends, so that whoever comes next finishes the
    /// answer; if it was no success, this attempt counts as broken off.
    pub fn of(grant: &Grant, end: &EndRefresh, outcome: &Outcome, answered: bool) -> Self {
        let before = &grant.refresh;
        let state = if answered {
            before.with_lease_cut(end.attempt.attempt, end.at)
        } else {
            reconcile(before, end.attempt.attempt, outcome, &end.facts, end.at)
        };
        let ended = match (&before.verdict, &state.verdict) {
            _ if answered => RefreshEnded::Late,
            (None, Some(_)) => RefreshEnded::Condemned,
            _ => RefreshEnded::Failed,
        };
        let look_at = look_at(&Situation { state: &state, ..grant.situation(&end.facts) }, end.at);
        Self { state, look_at, ended }
    }
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
