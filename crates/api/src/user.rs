//! The app's user, as a JWT of the app's identity provider (wire 3.8).

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A user token: a JWT from the app's identity provider. Anyone who has it is taken for the user.
// Hence a secret type, as `Secret`: Debug hides it, and it is wiped when dropped.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, max_length = 32768)]
pub struct UserToken(#[serde(with = "crate::secret::text")] pub SecretString);

/// `POST /sdk/auth/verify-token`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyToken {
    /// A JWT of the app's identity provider, at most 32 KiB.
    pub token: UserToken,
}

/// 200 of `POST /sdk/auth/verify-token`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VerifiedUser {
    /// The identity provider's id for the user. Only `iss` and `sub` together identify the user.
    pub sub: String,
    /// The identity provider.
    pub iss: String,
    /// RFC 3339: `exp` of the token.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_token_is_a_string_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<VerifyToken>(text);
        assert_eq!(read(r#"{"token":"a.b.c"}"#).expect("a token").token.0.expose_secret(), "a.b.c");
        for bad in
            [r#"{"token":null}"#, r#"{"token":7}"#, r#"{"token":["a"]}"#, "{}", r#"{"token":"a","sub":"b"}"#]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
