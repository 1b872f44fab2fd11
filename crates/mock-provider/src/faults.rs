//! The failures of the token endpoint by name. A fault either comes instead of the request's effect, or after it: the
//! second kind is what makes a client's outcome unknown.

use crate::quirks::{Gate, Raw};

/// A failure of the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// The request takes effect (the code is spent, the token rotated), then the connection closes.
    CloseBeforeAnswer,
    /// The request takes effect, half of the announced answer arrives, then the connection closes.
    CloseMidBody,
    /// The request takes effect, and the answer arrives at ten bytes a second.
    Trickle,
    /// The request takes effect, and the answer waits at the gate: the client may be gone by then.
    HoldAnswer(Gate),
    /// The request takes effect, and this answer hides it, as a gateway's 504 does.
    AnswerAfterEffect(Raw),
    /// The request waits at the gate and then takes effect, even if the client is gone by then. Behind a gate that
    /// nobody opens the provider hangs.
    HoldBeforeEffect(Gate),
    /// No effect; the connection closes.
    CloseBeforeEffect,
    /// No effect; this status with an empty JSON object.
    Status(u16),
    /// No effect; 200 with an HTML page.
    Html200,
    /// No effect; 200 with a JSON body that says `bad_verification_code`.
    Error200,
    /// No effect; 401 `invalid_client`.
    InvalidClient,
    /// No effect; this error code in the form of RFC 6749 section 5.2 (`invalid_grant` by mistake).
    Refuse(String),
    /// No effect; this answer.
    Answer(Raw),
    /// No effect; 429 with this `Retry-After`.
    TooMany(RetryAfter),
    /// No effect; 200 with a JSON body of about this many bytes.
    Huge(usize),
}

impl TokenFault {
    /// Returns whether the request is turned away, so that nobody judges its code or token.
    pub(crate) fn turns_away(&self) -> bool {
        match self {
            Self::CloseBeforeAnswer
            | Self::CloseMidBody
            | Self::Trickle
            | Self::HoldAnswer(_)
            | Self::AnswerAfterEffect(_)
            | Self::HoldBeforeEffect(_) => false,
            Self::CloseBeforeEffect
            | Self::Status(_)
            | Self::Html200
            | Self::Error200
            | Self::InvalidClient
            | Self::Refuse(_)
            | Self::Answer(_)
            | Self::TooMany(_)
            | Self::Huge(_) => true,
        }
    }
}

/// The value of a `Retry-After` header (RFC 9110 section 10.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// A number of seconds; any number, `-1` and `1_000_000_000_000` too.
    Seconds(i64),
    /// An HTTP date this many seconds from now by the provider's clock; a negative number is in the past.
    Date(i64),
    /// Any text.
    Text(String),
}

/// The last second of the year 9999: an HTTP date has four digits for the year.
const LAST_DATE: i64 = 253_402_300_799;

impl RetryAfter {
    pub(crate) fn value(&self, now: i64) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Date(seconds) => http_date(now.saturating_add(*seconds)),
            Self::Text(text) => text.clone(),
        }
    }
}

fn http_date(unix: i64) -> String {
    let since = u64::try_from(unix.clamp(0, LAST_DATE)).expect("clamped to a positive number");
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(since))
}
