//! The client side of OAuth 2.0 and OpenID Connect.
//!
//! This crate builds every message to a provider and reads every message that comes back; it believes nothing that it
//! has not checked. Not here: the order of the steps, the journal, what is stored and sealed (`flows`), which addresses
//! may be dialled (`egress`), and what is true of one provider only (a field of [`Recipe`](alter_core::Recipe), never
//! an `if` in this crate).
//!
//! | file | what it does |
//! |---|---|
//! | `pkce.rs` | the verifier and its challenge (RFC 7636) |
//! | `authorize.rs` | the authorization request (RFC 6749 section 4.1.1) |
//! | `callback.rs` | the authorization response (section 4.1.2) and its issuer (RFC 9207) |
//! | `token_request.rs` | the token request (section 4.1.3): sends it, and returns the answer unread |
//! | `refresh.rs` | the refresh request (section 6), and what a failed refresh means |
//! | `raw_answer.rs` | that answer, in the form in which it is journalled |
//! | `token_answer.rs` | reading the answer (section 5): tolerant where providers vary, strict where tolerance is dangerous |
//! | `expiry.rs` | when an access token ends, as far as anybody says |
//! | `provider_error.rs` | what a provider's error codes mean, at the callback and in the token answer |
//! | `jwks.rs`, `jwks_cache.rs`, `kept.rs` | the keys that sign JWTs (RFC 7517), and caching them for each app separately |
//! | `algorithms.rs` | the signature algorithms that are verified (RFC 7518, RFC 8037, RFC 9864) |
//! | `jws.rs` | a signed JWT: its header and its signature (RFC 7515, RFC 8725) |
//! | `id_token.rs`, `claims.rs` | the id_token: a signed JWT, then its claims (OpenID Connect Core section 3.1.3.7) |
//! | `user_token.rs`, `user_claims.rs` | the token of an app's user, signed by the app's identity provider |
//! | `userinfo.rs` | asking the provider whose account it is |
//! | `identity.rs` | deciding whose account it is, from what was read |
//! | `revoke.rs` | ending a grant at the provider (RFC 7009) |
//! | `discovery.rs` | the provider's own description (OpenID Connect Discovery, RFC 8414), read when it is configured |
//! | `strict_json.rs`, `clean.rs` | JSON without duplicate members; text from strangers made fit to show |
//!
//! Sending and reading are separate (`token_request` and `token_answer`), so that the answer can be made durable in
//! between.

#![warn(missing_docs)] // others build on it

/// Statuses that mean "not now" rather than "no" (RFC 9110, RFC 8470, RFC 6585).
pub(crate) const LATER: [u16; 3] = [408, 425, 429];

mod algorithms;
mod authorize;
mod callback;
mod claims;
mod clean;
mod discovery;
mod expiry;
mod id_token;
mod identity;
mod jwks;
mod jwks_cache;
mod jws;
mod kept;
mod pkce;
mod provider_error;
mod raw_answer;
mod refresh;
mod revoke;
mod strict_json;
mod token_answer;
mod token_request;
mod user_claims;
mod user_token;
mod userinfo;

pub use authorize::{AuthorizationRequest, OauthError, authorize_url};
pub use callback::{
    BadCallback, Callback, CallbackOutcome, MixUp, brought, check_iss, outcome_of, parse_callback,
};
pub use claims::BadClaim;
pub use discovery::{Discovered, DiscoveryError, discover};
pub use expiry::Expiry;
pub use id_token::IdTokenRefused;
pub use identity::{Identity, IdentityUnreadable, Need, identity, needs_userinfo};
pub use jwks::{JwksError, look_at_keys};
pub use jwks_cache::{AppKeySets, JwksCache};
pub use pkce::Pkce;
pub use raw_answer::{BadRawAnswer, RawAnswer};
pub use refresh::{judge_answer, judge_silence, refresh};
pub use revoke::{RevokeError, RevokedToken, revoke};
pub use token_answer::{TokenRefused, TokenSet, parse_token_answer, words_of};
pub use token_request::{Client, ExchangeError, exchange};
pub use user_claims::{BadUserClaim, UserClaims};
pub use user_token::{
    BadUserToken, IdpFound, IdpUnreachable, UserTokenRefused, look_at_idp, verify_user_token,
};
pub use userinfo::{UserinfoError, introspect, userinfo};
