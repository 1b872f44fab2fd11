//! Connections that wait for the app's word (binding level L3, threats 6.2).
//!
//! After the exchange such a connection is *staged*: its attempt keeps the sealed tokens, and there is no grant that
//! anybody could use, list or delegate. Whoever consented may be another person than the one who started. The app's
//! backend confirms that both are one, and then the grant is made at L3; otherwise, or after [`CONFIRM_WITHIN`], the
//! tokens are wiped. Only the data and the rules; the steps are in `flows`.

use serde::{Deserialize, Serialize};

use crate::{AttemptId, Cause, Connection, End, EndKind, EventName, Failure, Level, Micros, Session, State};

/// How long the app may take to confirm after the flow has ended, seconds.
pub const CONFIRM_WITHIN: i64 = 300;

/// A connection of a session that is not a grant yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The attempt that has the tokens.
    pub attempt: AttemptId,
    /// Provider id.
    pub provider: String,
    /// Provider name.
    pub provider_name: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// When it was staged.
    pub at: Micros,
}

impl Session {
    /// Whether all that is connected in this session waits for the app's backend.
    pub fn is_confirmed_by_app(&self) -> bool {
        self.data.min_binding == Level::L3
    }

    /// Whether the app can prove who started: the session has a user, or a challenge.
    pub fn can_be_confirmed(&self) -> bool {
        self.data.user.is_some() || self.data.challenge.is_some()
    }

    /// Whether anything was connected in the session, also what waits for the app.
    pub fn has_connected(&self) -> bool {
        !self.data.connections.is_empty() || !self.data.staged.is_empty()
    }

    /// Whether the flow is over and the app has not given its word yet.
    pub fn awaits_the_app(&self) -> bool {
        self.end().is_some() && !self.data.staged.is_empty() && self.data.confirmed_at.is_none()
    }

    /// Until when the app may confirm; `None` = the user has not finished.
    pub fn confirm_by(&self) -> Option<Micros> {
        self.end().map(|end| end.at.plus_seconds(CONFIRM_WITHIN))
    }

    /// The attempt's connection was made and waits for the app.
    pub fn staged(&mut self, staged: Staged) {
        let (attempt, provider, at) = (staged.attempt, staged.provider.clone(), staged.at);
        self.data.staged.push(staged);
        self.back_from(attempt, &provider, at);
        self.push_event(EventName::OauthComplete, &provider, at);
        self.finish_single(at);
    }

    /// The app has confirmed a staged connection, and its grant was made.
    pub fn confirmed(&mut self, attempt: AttemptId, mut connection: Connection) {
        let at = connection.at;
        // Nobody is asked: the user has left.
        connection.unanswered.clear();
        self.data.staged.retain(|staged| staged.attempt != attempt);
        self.data.connections.retain(|c| c.grant_id != connection.grant_id);
        self.data.connections.push(connection);
        if self.data.staged.is_empty() {
            self.data.confirmed_at.get_or_insert(at);
        }
    }

    /// A staged connection was given up. When nothing is left of a flow, it has failed.
    pub fn discarded(&mut self, attempt: AttemptId, failure: Failure, at: Micros) {
        self.data.staged.retain(|staged| staged.attempt != attempt);
        let nothing_left = self.data.staged.is_empty() && self.data.connections.is_empty();
        if let (true, State::Ended { end, .. }) = (nothing_left, &mut self.data.state)
            && end.kind == EndKind::Done
        {
            *end = End { kind: EndKind::Failed, at, failure: Some(failure) };
        }
    }

    /// Whether the app's word came too late, or was that another person had completed the flow.
    pub fn was_given_up(&self) -> Option<&Failure> {
        let failure = self.end()?.failure.as_ref()?;
        matches!(failure.cause, Cause::OtherUser | Cause::NotConfirmed).then_some(failure)
    }
}

#[cfg(test)]
#[path = "staged_tests.rs"]
mod tests;
