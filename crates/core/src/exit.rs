//! The exit rule (protocol 5): when a closed popup ends the flow. To the app page, a real close and a popup severed by
//! COOP look alike, so `closed` proves nothing while the user may be at a provider that severs (T36). What is known of a
//! provider's pages: [`crate::opener`].
//!
//! A redirect flow has no popup, and nobody watches it: its deadline ends it, or the user, or the app that cancels.

use crate::{
    Cause, Coop, Failure, Micros, Session,
    session::{State, Underway},
};

/// How long the popup must be closed when it was closed before the claim, seconds.
const BEFORE_CLAIM: i64 = 10;
/// How long after the newest page's goodbye the flow ends, microseconds.
const AFTER_BYE: i64 = 2_500_000;
/// How long the popup must be closed at a provider known to keep the opener, seconds.
const AT_PROVIDER: i64 = 5;
/// How long a page may be silent without a goodbye (a crashed browser), seconds. Pages send `seen` every 15 s, but
/// browsers slow a hidden tab's timers to one per minute: a shorter time would end the flow of a user who is looking up a
/// password in another tab.
const SILENT_PAGE: i64 = 150;

/// How long a browser that came back without its cookie may still come with it, seconds. A scanner may have fetched the
/// address first, and has no cookies.
const WITHOUT_COOKIE: i64 = 3;

/// Where the user is, as far as the server can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The popup has not claimed the session.
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
            Some(a) if has_left(session, a) => Place::Provider(a.coop),
            _ => Place::OurPage,
        },
    }
}

/// If we served a page after the user left for the provider, the user has come back. A sign of life of the page that was
/// left proves nothing: it stays until the provider's first page is there, and that may take long.
fn has_left(session: &Session, attempt: &Underway) -> bool {
    let signals = &session.data.signals;
    match attempt.page {
        Some(page) => signals.page_instance <= page,
        None => signals.page_at.is_none_or(|at| at <= attempt.started_at),
    }
}

/// Whether the user has left the flow for good.
pub fn is_left(session: &Session, now: Micros) -> bool {
    left_at(session).is_some_and(|at| now >= at)
}

/// When the user has left for good, if nothing more is heard; `None` = never by waiting alone.
fn left_at(session: &Session) -> Option<Micros> {
    let signals = &session.data.signals;
    let closed = signals.closed_since.filter(|_| !session.is_redirect())?;
    match place(session) {
        Place::NotClaimed => Some(closed.plus_seconds(BEFORE_CLAIM)),
        Place::OurPage => {
            let said_bye = signals.bye_at.map(|bye| Micros(bye.0.saturating_add(AFTER_BYE)));
            let last_sign = signals.page_at.map_or(closed, |at| at.max(closed));
            let silent = last_sign.plus_seconds(SILENT_PAGE);
            Some(said_bye.map_or(silent, |bye| bye.min(silent)))
        }
        Place::Provider(Coop::Keeps) => {
            closed_there(session, closed).then_some(closed.plus_seconds(AT_PROVIDER))
        }
        // Waiting longer would be for a user who may be gone. One who is there after all keeps the attempt's own time.
        Place::Provider(Coop::Unknown) => closed_there(session, closed).then_some(session.expires_at),
        Place::Provider(Coop::Severs) | Place::Exchanging | Place::Over => None,
    }
}

/// A popup that looked closed before the user left for the provider was severed by another page, earlier.
fn closed_there(session: &Session, closed: Micros) -> bool {
    session.data.underway.as_ref().is_some_and(|a| closed >= a.started_at)
}

impl Session {
    /// Records that a page was served, and returns its instance number. Earlier goodbyes no longer count.
    pub fn page_served(&mut self, now: Micros) -> u64 {
        let signals = &mut self.data.signals;
        signals.page_instance += 1;
        signals.page_at = Some(now);
        signals.bye_at = None;
        signals.cookieless_since = None;
        signals.page_instance
    }

    /// Records that the browser that claimed the session came back without its cookie; returns `true` when that is new.
    pub fn came_without_cookie(&mut self, now: Micros) -> bool {
        let since = &mut self.data.signals.cookieless_since;
        let is_new = since.is_none();
        since.get_or_insert(now);
        is_new
    }

    /// The user is back at the app's page. A cookie that did not come with the browser will not come any more; returns
    /// whether that ended the session.
    pub fn left_without_cookie(&mut self, now: Micros) -> bool {
        let cookieless = self.end().is_none() && self.data.signals.cookieless_since.is_some();
        if cookieless {
            end_without_cookie(self, now);
        }
        cookieless
    }

    /// Records a sign of life from the newest page; returns `true` when that changed something.
    pub fn page_seen(&mut self, instance: u64, now: Micros) -> bool {
        let signals = &mut self.data.signals;
        let newest = instance == signals.page_instance;
        if newest {
            signals.page_at = Some(now);
            signals.bye_at = None;
        }
        newest
    }

    /// Records that a page was left. Only the newest page counts: after a reload, the old page's beacon arrives after the new
    /// page was served.
    pub fn page_left(&mut self, instance: u64, now: Micros) -> bool {
        let signals = &mut self.data.signals;
        let newest = instance == signals.page_instance;
        if newest {
            signals.bye_at = Some(now);
        }
        newest
    }

    /// Records what the SDK reports about the popup; returns `true` when that changed something. A redirect flow has none.
    pub fn window_reported(&mut self, closed: Option<bool>, now: Micros) -> bool {
        if self.is_redirect() {
            return false;
        }
        let signals = &mut self.data.signals;
        let first = signals.first_status_at.is_none();
        if first {
            signals.first_status_at = Some(now);
        }
        let before = signals.closed_since;
        match closed {
            Some(true) => signals.closed_since = before.or(Some(now)),
            Some(false) => {
                signals.flickered |= before.is_some();
                signals.closed_since = None;
            }
            None => {}
        }
        first || before != signals.closed_since
    }
}

/// When it is certain that the session's browser keeps no cookies, so that no page can be served to it.
fn cookieless_at(session: &Session) -> Option<Micros> {
    session.data.signals.cookieless_since.map(|since| since.plus_seconds(WITHOUT_COOKIE))
}

/// When [`settle`] ends the session, if nothing more is heard; `None` = not by time alone. Who waits for the end looks
/// again then.
pub fn settles_at(session: &Session) -> Option<Micros> {
    if session.end().is_some() {
        return None;
    }
    [session.expires_by(), cookieless_at(session), left_at(session)].into_iter().flatten().min()
}

fn end_without_cookie(session: &mut Session, now: Micros) {
    let failure = Failure { cause: Cause::CookiesBlocked, provider: None, request_id: None, said: None };
    session.attempt_failed(failure, now);
}

/// Applies the deadline and the exit rule; returns `true` when that ended the session.
pub fn settle(session: &mut Session, now: Micros) -> bool {
    if session.expire(now) {
        return true;
    }
    if session.end().is_none() && cookieless_at(session).is_some_and(|at| now >= at) {
        end_without_cookie(session, now);
        return true;
    }
    let left = session.end().is_none() && is_left(session, now);
    if left {
        session.finish(now);
    }
    left
}
