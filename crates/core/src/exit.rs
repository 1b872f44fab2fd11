//! The exit rule (protocol 5): when a closed popup ends the flow. A real close and a COOP cut look alike to
//! the app page, so `closed` alone is never a verdict while the user may be at a provider that severs (T36).

use crate::{Coop, Micros, Session, session::State};

/// Closed before the claim, seconds.
const BEFORE_CLAIM: i64 = 10;
/// After the newest page's goodbye, microseconds.
const AFTER_BYE: i64 = 2_500_000;
/// At a provider known to keep the opener, seconds.
const AT_PROVIDER: i64 = 5;
/// A page that went silent without goodbye (a crashed browser), seconds. Pages say `seen` every 15 s; browsers slow a
/// hidden tab's timers to one a minute, so less would end the flow of somebody who looks up a password.
const SILENT_PAGE: i64 = 150;

/// Where the user is, as far as the server can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The popup has not reached us.
    NotClaimed,
    /// On one of our pages.
    OurPage,
    /// At the provider.
    Provider(Coop),
    /// The code has arrived.
    Exchanging,
    /// The session is over.
    Over,
}

/// Where the user is.
pub fn place(session: &Session) -> Place {
    match &session.data.state {
        State::Minted => Place::NotClaimed,
        State::Ended { .. } => Place::Over,
        State::Claimed(_) => match &session.data.underway {
            Some(a) if a.exchanging => Place::Exchanging,
            // A page of ours that was served after the user left means that the user came back.
            Some(a) if session.data.signals.page_at.is_none_or(|at| at <= a.started_at) => {
                Place::Provider(a.coop)
            }
            _ => Place::OurPage,
        },
    }
}

/// Whether the flow has been left for good.
pub fn is_left(session: &Session, now: Micros) -> bool {
    let signals = &session.data.signals;
    let Some(closed) = signals.closed_since else { return false };
    let closed_for = |seconds: i64| now >= closed.plus_seconds(seconds);
    match place(session) {
        Place::NotClaimed => closed_for(BEFORE_CLAIM),
        Place::OurPage => {
            let said_bye = signals.bye_at.is_some_and(|bye| now.since(bye) >= AFTER_BYE);
            let silent = signals.page_at.is_none_or(|at| now >= at.plus_seconds(SILENT_PAGE));
            said_bye || (silent && closed_for(SILENT_PAGE))
        }
        Place::Provider(Coop::Keeps) => {
            // Closed before the user left for the provider: some other page severed the opener earlier.
            let left = session.data.underway.as_ref().map(|a| a.started_at);
            left.is_some_and(|left| closed >= left) && closed_for(AT_PROVIDER)
        }
        Place::Provider(Coop::Unknown | Coop::Severs) | Place::Exchanging | Place::Over => false,
    }
}

impl Session {
    /// A page was served: its instance number. Earlier goodbyes no longer count.
    pub fn page_served(&mut self, now: Micros) -> u64 {
        let signals = &mut self.data.signals;
        signals.page_instance += 1;
        signals.page_at = Some(now);
        signals.bye_at = None;
        signals.page_instance
    }

    /// The newest page shows itself again.
    pub fn page_seen(&mut self, instance: u64, now: Micros) -> bool {
        let signals = &mut self.data.signals;
        let newest = instance == signals.page_instance;
        if newest {
            signals.page_at = Some(now);
            signals.bye_at = None;
        }
        newest
    }

    /// A page was left. Counts for the newest alone: the beacon of a reloaded page arrives after the new page.
    pub fn page_left(&mut self, instance: u64, now: Micros) -> bool {
        let signals = &mut self.data.signals;
        let newest = instance == signals.page_instance;
        if newest {
            signals.bye_at = Some(now);
        }
        newest
    }

    /// What the SDK reports of the popup; `true` when that changed something.
    pub fn window_reported(&mut self, closed: Option<bool>, now: Micros) -> bool {
        let signals = &mut self.data.signals;
        let first = signals.first_status_at.is_none();
        if first {
            signals.first_status_at = Some(now);
        }
        let before = signals.closed_since;
        match closed {
            Some(true) => signals.closed_since = before.or(Some(now)),
            Some(false) => signals.closed_since = None,
            None => {}
        }
        first || before != signals.closed_since
    }
}

/// Applies the deadline and the exit rule; returns `true` when that ended the session.
pub fn settle(session: &mut Session, now: Micros) -> bool {
    if session.expire(now) {
        return true;
    }
    let left = session.end().is_none() && is_left(session, now);
    if left {
        session.finish(now);
    }
    left
}
