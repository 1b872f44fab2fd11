//! The app's user, as a JWT of the app's identity provider (wire 3.8).

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Secret;

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

/// `POST /sdk/auth/session`: no fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAuthSession {}

/// 201 of `POST /sdk/auth/session`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedAuthSession {
    /// For the poll.
    #[schema(value_type = String)]
    pub session_token: Secret,
    /// For the user's browser.
    #[schema(value_type = String)]
    pub auth_url: Secret,
    /// Show it to the user: the page shows the same one, `WDJB-MJHT`.
    pub user_code: String,
    /// Seconds until `expires_at`.
    pub expires_in: u32,
    /// RFC 3339: the user can sign in until then.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// `POST /sdk/auth/poll`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PollAuthSession {
    /// From `POST /sdk/auth/session`.
    #[schema(value_type = String)]
    pub session_token: Secret,
    /// How long the answer may wait for news, milliseconds; more than 25,000 count as 25,000.
    #[serde(default)]
    pub wait_ms: Option<u32>,
}

/// Where an auth session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthStatus {
    /// Nobody has signed in yet.
    Pending,
    /// Here is the token. It is not released again.
    Completed,
    /// It came to nothing: `error_code` and `error_message` say why.
    Error,
    /// Nobody signed in in time.
    Expired,
}

/// 200 of `POST /sdk/auth/poll`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolledAuthSession {
    /// How far it is.
    pub status: AuthStatus,
    /// The user's token, for `user_token` of other calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_token: Option<UserToken>,
    /// Who the user is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_info: Option<UserInfo>,
    /// `access_denied`, `token_released` or `jwt_validation_error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// Who has signed in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserInfo {
    /// The identity provider's id for the user. Only `iss` and `sub` together identify the user.
    pub sub: String,
    /// The identity provider.
    pub iss: String,
    /// What pages call the user.
    pub name: String,
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
