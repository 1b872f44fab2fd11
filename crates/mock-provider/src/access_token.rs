//! The text of access tokens: opaque, or a JWT (RFC 9068).

use serde_json::json;

use crate::grants::Held;
use crate::quirks::AccessTokens;
use crate::random_name::random_name;
use crate::state::Inner;
use crate::switches::Switches;

/// Makes the text of an access token that begins now. It locks the keys only, so the world may be locked meanwhile.
pub(crate) fn mint(inner: &Inner, switches: &Switches, held: &Held, now: i64) -> String {
    match switches.access_tokens {
        AccessTokens::Opaque => random_name("mock_at_"),
        AccessTokens::Jwt => {
            let claims = json!({
                "iss": inner.issuer,
                "sub": held.sub,
                "aud": inner.issuer,
                "client_id": held.client_id,
                "scope": held.scope,
                "iat": now,
                "exp": expiry(switches, now),
                "jti": random_name(""),
            });
            inner.sign_by(switches, json!({ "typ": "at+jwt" }), &claims)
        }
    }
}

/// Returns the second in which an access token that begins now ends.
pub(crate) fn expiry(switches: &Switches, now: i64) -> i64 {
    now.saturating_add(seconds(switches.access_token_life))
}

/// Returns whole seconds; a time too long for the clock is for ever.
pub(crate) fn seconds(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
