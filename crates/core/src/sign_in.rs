//! Signing in at the app's identity provider (S9). A browser that a link let in is nobody until its user has signed in there as
//! the user that the session was minted for. Until then nothing of the session can be used.
//!
//! The browser goes to the identity provider and comes back, like to any provider: a trip. Its `state`, nonce and PKCE verifier
//! are not stored. They are derived from the browser key in the cookie and from the trip's salt, so that another browser can
//! neither come back from the trip nor use its code, and whoever reads the database can do neither.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    Cause, ConfigId, Level, Micros, Session, SessionId,
    secret::{base64url, same},
    session::State,
};

/// How long a trip may take, seconds; it never outlives the session.
pub const TRIP_TTL: i64 = 600;
/// How many trips one session may have.
const TRIPS_MAX: u32 = 20;

/// Where a session stands whose user has to sign in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// The trip under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trip: Option<Trip>,
    /// How many have been begun.
    #[serde(default)]
    pub trips: u32,
    /// Why the newest trip proved nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<SignInFault>,
    /// Somebody else was signed in there once, so that the identity provider shall ask who it is. A later fault does not
    /// take that away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_user: bool,
    /// When the user had signed in as the right one; `None` = not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Micros>,
}

/// A way to the identity provider and back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// 256 random bits, base64url; what is derived for one trip is of no use for another.
    pub salt: String,
    /// The sign-in client; the browser must come back on its callback path.
    pub config: ConfigId,
    /// When the user left.
    pub at: Micros,
}

/// Why a trip proved nothing. The user may try again, until there were too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInFault {
    /// Somebody signed in, who is not the session's user.
    OtherUser,
    /// The user refused at the identity provider.
    Denied,
    /// The identity provider, or what it sent, does not do.
    Failed,
    /// The user came back after [`TRIP_TTL`].
    Late,
    /// The session has no trip left.
    TooMany,
}

impl From<&Cause> for SignInFault {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::OtherUser => Self::OtherUser,
            Cause::Denied => Self::Denied,
            _ => Self::Failed,
        }
    }
}

/// What is derived for one trip.
#[derive(Debug)]
pub struct TripSecrets {
    /// `state`: the session's id and 256 bits.
    pub state: SecretString,
    /// 256 bits.
    pub nonce: String,
    /// The PKCE verifier (RFC 7636): 43 characters.
    pub verifier: SecretString,
}

impl TripSecrets {
    /// What belongs to a trip of the browser that holds this key.
    pub fn derive(sid: &SessionId, browser_key: &SecretString, trip: &Trip) -> Self {
        use aws_lc_rs::hmac;
        let key = hmac::Key::new(hmac::HMAC_SHA256, browser_key.expose_secret().as_bytes());
        let part = |name: &str| {
            let place = format!("alter sign-in {name}\n{sid}\n{}\n{}", trip.config, trip.salt);
            base64url(hmac::sign(&key, place.as_bytes()).as_ref())
        };
        Self {
            state: format!("{sid}.{}", part("state")).into(),
            nonce: part("nonce"),
            verifier: part("verifier").into(),
        }
    }

    /// Whether a `state` is this trip's.
    pub fn is_state(&self, state: &str) -> bool {
        same(state.as_bytes(), self.state.expose_secret().as_bytes())
    }
}

/// The session in whose sign-in a `state` was sent; `None` = the `state` of a connection, or none of ours. The rest of it may
/// still be wrong.
pub fn session_of_state(state: &str) -> Option<SessionId> {
    SessionId::parse(state.split_once('.')?.0)
}

impl Session {
    /// Whether the browser that has the session still has to prove whose it is.
    pub fn has_to_sign_in(&self) -> bool {
        self.data.sign_in.as_ref().is_some_and(|sign_in| sign_in.done_at.is_none())
    }

    /// Whether the person in front of the browser signed in as the session's user.
    pub fn is_signed_in(&self) -> bool {
        self.data.sign_in.as_ref().is_some_and(|sign_in| sign_in.done_at.is_some())
    }

    /// The user leaves for the identity provider; returns `false` when that is not due. A trip before is over: only the newest
    /// can come back.
    pub fn sign_in_begun(&mut self, trip: Trip) -> bool {
        let due = matches!(self.data.state, State::Claimed(_)) && trip.at < self.expires_at;
        let Some(sign_in) = self.data.sign_in.as_mut().filter(|sign_in| due && sign_in.done_at.is_none())
        else {
            return false;
        };
        if sign_in.trips >= TRIPS_MAX {
            sign_in.fault = Some(SignInFault::TooMany);
            return false;
        }
        sign_in.trips += 1;
        sign_in.fault = None;
        sign_in.trip = Some(trip);
        true
    }

    /// Takes the trip from which the user has come back, once; `None` when it is not the newest. One that came too late is
    /// over too, and proves nothing.
    pub fn sign_in_back(&mut self, trip: &Trip, now: Micros) -> Option<Trip> {
        let open = matches!(self.data.state, State::Claimed(_));
        let sign_in = self.data.sign_in.as_mut().filter(|_| open)?;
        let trip = sign_in.trip.take_if(|newest| newest == trip)?;
        if now < trip.at.plus_seconds(TRIP_TTL) {
            return Some(trip);
        }
        self.sign_in_failed(SignInFault::Late, now);
        None
    }

    /// A trip proved nothing. After the last one the user is told that there is no other.
    pub fn sign_in_failed(&mut self, fault: SignInFault, now: Micros) {
        if let Some(sign_in) = self.data.sign_in.as_mut().filter(|sign_in| sign_in.done_at.is_none()) {
            sign_in.other_user |= fault == SignInFault::OtherUser;
            sign_in.fault = Some(if sign_in.trips < TRIPS_MAX { fault } else { SignInFault::TooMany });
        }
        self.data.signals.page_at = Some(now);
    }

    /// The right user has signed in: the session is bound as by the proof of the app's page; an auth session is done. Returns
    /// `false` when it was over meanwhile.
    pub fn signed_in(&mut self, now: Micros) -> bool {
        let (State::Claimed(claim), Some(sign_in)) = (&mut self.data.state, &mut self.data.sign_in) else {
            return false;
        };
        if sign_in.done_at.is_some() || now >= self.expires_at {
            return false;
        }
        claim.level = Level::L2;
        sign_in.done_at = Some(now);
        sign_in.fault = None;
        self.data.signals.page_at = Some(now);
        if self.data.auth.is_some() {
            self.finish_auth(now);
        }
        self.select_single(now);
        true
    }
}

#[cfg(test)]
#[path = "sign_in_tests.rs"]
mod tests;
