//! When an access token ends, as far as its answer says.
//!
//! RFC 6749 has `expires_in`, and only recommends it. Some providers send a moment instead, and some neither, but a token
//! that says it itself (RFC 9068). To be wrong here costs a refresh too early, or a call that the provider refuses; it
//! opens nothing, so an unverified `exp` may be read.

use alter_core::{Micros, secret::from_base64url};
use serde_json::Value;

/// The longest believed life of a token, in seconds: ten years.
pub(crate) const LIFE_MAX: u32 = 315_360_000;

/// Numbers from here on are milliseconds: as seconds, they would be in the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// What an answer says about its access token's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Seconds from when the answer came: from 1 to ten years, rounded down.
    In(u32),
    /// A moment. It may be past.
    At(Micros),
    /// The `exp` of an access token that is a JWT.
    InToken(Micros),
}

impl Expiry {
    /// The moment, for an answer that came at `received_at`; at most ten years later. A token that says it had ended
    /// before it came says nothing: the clock that is wrong may be ours, and another token would say the same.
    pub fn moment(self, received_at: Micros) -> Option<Micros> {
        let latest = received_at.plus_seconds(i64::from(LIFE_MAX));
        match self {
            Self::In(seconds) => Some(received_at.plus_seconds(i64::from(seconds))),
            Self::At(moment) => Some(moment.min(latest)),
            Self::InToken(moment) => (moment > received_at).then(|| moment.min(latest)),
        }
    }
}

/// Reads `expires_in`: a number, or a string that holds one. Below 1 it says nothing: providers write 0 for tokens that do
/// not expire.
pub(crate) fn life(value: &Value) -> Option<Expiry> {
    // Between 1 and LIFE_MAX the cast loses only the fraction.
    number(value).filter(|n| *n >= 1.0).map(|n| Expiry::In(n.min(f64::from(LIFE_MAX)) as u32))
}

/// Reads `expires_at`: seconds or milliseconds since 1970, or a time as RFC 3339 writes it. 0 says nothing.
pub(crate) fn moment(value: &Value) -> Option<Expiry> {
    match number(value) {
        Some(n) if n >= MILLISECONDS_FROM => epoch(n / 1000.0),
        Some(n) => epoch(n),
        None => Micros::from_rfc3339(value.as_str()?.trim()),
    }
    .map(Expiry::At)
}

/// The life that a recipe assumes where nobody says.
pub(crate) fn assumed(seconds: u32) -> Expiry {
    Expiry::In(seconds.clamp(1, LIFE_MAX))
}

/// Reads the `exp` of an access token that is a JWT (RFC 7519 section 4.1.4).
pub(crate) fn of_token(access_token: &str) -> Option<Expiry> {
    let mut parts = access_token.split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims: Value = serde_json::from_slice(&from_base64url(claims)?).ok()?;
    claims.get("exp").and_then(Value::as_f64).and_then(epoch).map(Expiry::InToken)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// From seconds since 1970. The cast saturates.
fn epoch(seconds: f64) -> Option<Micros> {
    (seconds >= 1.0).then_some(Micros((seconds * 1e6) as i64))
}

#[cfg(test)]
mod tests {
    use alter_core::secret::base64url;
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Option<Expiry> {
        Some(Expiry::At(Micros(seconds * 1_000_000)))
    }

    #[test]
    fn a_moment_is_read_in_the_forms_that_providers_write() {
        for (value, expected) in [
            (json!(1_767_225_600), at(1_767_225_600)),
            (json!("1767225600"), at(1_767_225_600)),
            (json!(1_767_225_600_000_i64), at(1_767_225_600)),
            (json!("2020-01-01T00:00:00Z"), at(1_577_836_800)),
            (json!("2020-01-01T02:00:00+02:00"), at(1_577_836_800)),
            (json!("2020-01-01"), None),
            (json!(0), None),
            (json!(-5), None),
            (json!(null), None),
            (json!("never"), None),
            (json!([1_767_225_600]), None),
        ] {
            assert_eq!(moment(&value), expected, "{value}");
        }
    }

    #[test]
    fn a_token_that_is_a_jwt_says_it_itself_and_any_other_says_nothing() {
        let token = |claims: &str| format!("e30.{}.c2ln", base64url(claims.as_bytes()));
        let end = Micros(1_767_225_600_000_000);
        let said = of_token(&token(r#"{"exp":1767225600}"#)).expect("it says");
        assert_eq!(said, Expiry::InToken(end));
        assert_eq!(
            (said.moment(end.plus_seconds(-9)), said.moment(end)),
            (Some(end), None),
            "and not after its end"
        );
        let unread = [r#"{"exp":"1767225600"}"#, r#"{"iat":1}"#, r#"{"exp":-1}"#, "[]", "1", "{"].map(token);
        for other in unread.iter().map(String::as_str).chain(["", "opaque", "a.b.c", "...", "e30.e30"]) {
            assert_eq!(of_token(other), None, "{other}");
        }
        assert_eq!(of_token(&format!("{}.more", token(r#"{"exp":1767225600}"#))), None, "not a JWS");
    }

    #[test]
    fn nothing_is_believed_for_longer_than_ten_years() {
        let now = Micros(1_767_225_600_000_000);
        let latest = now.plus_seconds(i64::from(LIFE_MAX));
        for endless in [json!(1e300), json!(u64::MAX), json!("9999-12-30T00:00:00Z")] {
            assert_eq!(moment(&endless).and_then(|end| end.moment(now)), Some(latest), "{endless}");
        }
        assert_eq!(Expiry::In(60).moment(now), Some(now.plus_seconds(60)));
    }
}
