//! Where a provider's answers hold their fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// JSON pointers (RFC 6901) into the token response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenPaths {
    /// Default `/access_token`.
    pub access_token: String,
    /// Default `/refresh_token`.
    pub refresh_token: String,
    /// Seconds, number or string. Default `/expires_in`.
    pub expires_in: String,
    /// The same as a moment, where there is no `expires_in`: seconds or milliseconds since 1970, or RFC 3339. Default
    /// `/expires_at`.
    pub expires_at: String,
    /// How long an access token lives, in seconds, where neither the answer nor the token says it. Without it such a token
    /// is taken for endless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed_life_seconds: Option<u32>,
    /// String or array. Default `/scope`.
    pub scope: String,
    /// An empty `scope` means that the token has none. Otherwise it is as if it were absent: then the scopes that were asked
    /// for are granted (RFC 6749 section 5.1).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_scope_is_none: bool,
    /// Default `/token_type`.
    pub token_type: String,
    /// Default `/id_token`.
    pub id_token: String,
    /// An error code in a 200 answer. Default `/error`.
    pub error: String,
    /// Its description. Default `/error_description`.
    pub error_description: String,
    /// A boolean that is `false` on failure (`/ok` at Slack).
    pub ok: Option<String>,
}

impl Default for TokenPaths {
    fn default() -> Self {
        let path = |name: &str| format!("/{name}");
        Self {
            access_token: path("access_token"),
            refresh_token: path("refresh_token"),
            expires_in: path("expires_in"),
            expires_at: path("expires_at"),
            assumed_life_seconds: None,
            scope: path("scope"),
            empty_scope_is_none: false,
            token_type: path("token_type"),
            id_token: path("id_token"),
            error: path("error"),
            error_description: path("error_description"),
            ok: None,
        }
    }
}

/// Which document carries the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentitySource {
    /// The verified id_token; fields that it lacks are looked up in userinfo where there is one.
    #[default]
    IdToken,
    /// Only the userinfo answer.
    Userinfo,
    /// The token response itself.
    TokenResponse,
    /// None: the provider does not tell. Each connect is a new grant, named by its label.
    None,
}

/// JSON pointers into the id_token's claims, the userinfo answer or the token response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityPaths {
    /// Which document tells whose account was connected.
    pub from: IdentitySource,
    /// The provider's stable id of the account (string or number). Default `/sub`.
    pub subject: String,
    /// Where `subject` is not unique at the whole provider: what it is unique within (the workspace's id). These values are
    /// put before it, joined by `/`. All of them must be there.
    pub subject_within: Vec<String>,
    /// What the user knows the account by; the first that is a non-empty string. Default `/email`,
    /// `/preferred_username`, `/sub`.
    pub account: Vec<String>,
    /// For paths of `account`: what shows that the name is the account's own. A name that no entry covers is one that its
    /// owner may have made up. Default: `/email`, shown by `/email_verified` (OpenID Connect Core section 5.1).
    #[serde(skip_serializing_if = "is_openid")]
    pub verified: BTreeMap<String, Verified>,
    /// A display name; the first that is there. Default `/name`.
    pub display_name: Vec<String>,
}

/// What shows that the name of an account is its own: that its owner has proven an address, or that the provider gives a
/// name to one account at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Verified {
    /// The provider shows no other names (`always`).
    Always,
    /// A JSON pointer into the document that has the name: `true`, the text `"true"`, or 1.
    By(String),
}

impl From<String> for Verified {
    fn from(text: String) -> Self {
        if text == "always" { Self::Always } else { Self::By(text) }
    }
}

impl From<Verified> for String {
    fn from(verified: Verified) -> Self {
        match verified {
            Verified::Always => "always".into(),
            Verified::By(path) => path,
        }
    }
}

fn openid() -> BTreeMap<String, Verified> {
    BTreeMap::from([("/email".into(), Verified::By("/email_verified".into()))])
}

/// The default is not written: seals of configurations from before this fact cover a recipe without it.
fn is_openid(verified: &BTreeMap<String, Verified>) -> bool {
    *verified == openid()
}

impl Default for IdentityPaths {
    fn default() -> Self {
        Self {
            from: IdentitySource::default(),
            subject: "/sub".into(),
            subject_within: Vec::new(),
            account: vec!["/email".into(), "/preferred_username".into(), "/sub".into()],
            verified: openid(),
            display_name: vec!["/name".into()],
        }
    }
}
