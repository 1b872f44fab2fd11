//! How a grant is revoked at the provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BodyFormat, ClientAuth, Recipe, yes};
use crate::GrantSecret;

/// How a grant is revoked at the provider. With every field at its default, this is RFC 7009.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The endpoint. `{client_id}` in its path stands for our client's id, percent-encoded.
    pub url: String,
    /// Default `post`.
    #[serde(default)]
    pub method: RevokeMethod,
    /// Who the request authenticates as. Default `client`.
    #[serde(default)]
    pub auth: RevokeAuth,
    /// The client authentication, where it is not the token endpoint's.
    #[serde(default)]
    pub client_auth: Option<ClientAuth>,
    /// Which token is revoked. Default `strongest`.
    #[serde(default)]
    pub token: RevokeToken,
    /// How the body is written. Default `form`.
    #[serde(default)]
    pub body: BodyFormat,
    /// The body's field for the token. Default `token`; empty = the body does not contain the token (the header does, or it is
    /// not needed).
    #[serde(default = "token_field")]
    pub token_field: String,
    /// Whether to send `token_type_hint` (RFC 7009 section 2.1). Default true.
    #[serde(default = "yes")]
    pub hint: bool,
    /// Additional fields of the body. `{client_id}` in a value is our client's id, `{subject}` the grant's subject.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// What a revocation ends. Default `grant`.
    #[serde(default)]
    pub ends: RevokeEnds,
}

/// HTTP methods for revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeMethod {
    /// As RFC 7009.
    #[default]
    Post,
    /// The grant is a resource (GitHub).
    Delete,
}

/// Who a revocation authenticates as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeAuth {
    /// Our client, as at the token endpoint.
    #[default]
    Client,
    /// The token itself, in the header of [`super::ApiAuth`] (Slack, Dropbox).
    Token,
}

/// Which token a revocation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeToken {
    /// The refresh token where there is one, else the access token.
    #[default]
    Strongest,
    /// The access token.
    Access,
    /// The refresh token; nothing can be revoked without one.
    Refresh,
}

/// What is over after a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeEnds {
    /// Everything that the user gave our client.
    #[default]
    Grant,
    /// The named token and what was made from it; the account's other grants live on.
    Token,
}

impl RevokeToken {
    /// Chooses the token that is named, among these two; `None` = without a refresh token nothing can be revoked.
    pub fn of<T>(self, access: T, refresh: Option<T>) -> Option<(GrantSecret, T)> {
        match (self, refresh) {
            // Revoking the refresh token ends the whole grant (RFC 7009 section 2.1).
            (Self::Strongest | Self::Refresh, Some(token)) => Some((GrantSecret::RefreshToken, token)),
            (Self::Strongest, None) | (Self::Access, _) => Some((GrantSecret::AccessToken, access)),
            (Self::Refresh, None) => None,
        }
    }
}

impl Revoke {
    /// RFC 7009 at this URL.
    pub fn rfc7009(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: RevokeMethod::default(),
            auth: RevokeAuth::default(),
            client_auth: None,
            token: RevokeToken::default(),
            body: BodyFormat::default(),
            token_field: token_field(),
            hint: true,
            params: BTreeMap::new(),
            ends: RevokeEnds::default(),
        }
    }
}

impl Recipe {
    /// How a grant is revoked at the provider, from `revoke` or `revoke_url`; `None` when the provider offers no way.
    pub fn revocation(&self) -> Option<Revoke> {
        self.revoke.clone().or_else(|| self.revoke_url.as_deref().map(Revoke::rfc7009))
    }
}

fn token_field() -> String {
    "token".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_that_says_only_where_is_that_of_rfc_7009() {
        let read: Revoke = serde_json::from_value(serde_json::json!({"url":"https://x/r"})).expect("enough");
        assert_eq!(read, Revoke::rfc7009("https://x/r"));
        assert_eq!((read.token_field.as_str(), read.hint), ("token", true));
    }

    #[test]
    fn the_token_that_is_named_is_the_recipes_choice() {
        let of = |token: RevokeToken, refresh| token.of("access", refresh);
        let (access, refresh) =
            ((GrantSecret::AccessToken, "access"), (GrantSecret::RefreshToken, "refresh"));
        for (token, with, without) in [
            (RevokeToken::Strongest, Some(refresh), Some(access)),
            (RevokeToken::Access, Some(access), Some(access)),
            (RevokeToken::Refresh, Some(refresh), None),
        ] {
            assert_eq!((of(token, Some("refresh")), of(token, None)), (with, without), "{token:?}");
        }
    }
}
