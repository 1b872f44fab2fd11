//! The switches: every way in which a test can make this provider differ from a friendly one.

use std::time::Duration;

use serde_json::Value;

use crate::faults::TokenFault;
use crate::quirks::{AccessTokens, Alg, ClientAuth, Gate, IdTokenFault, Raw, ResponseParam, RevokeEnds};
use crate::refresh_rules::RefreshRules;

/// How the provider behaves. `Default` is friendly and follows the standards.
///
/// Where a field takes a JSON object to merge, `Value::Null` (the default) changes nothing, and a member
/// that is null removes the member of that name.
#[derive(Clone, Debug)]
pub struct Switches {
    // --- time and keys ---
    /// Seconds added to the provider's clock, by which codes and tokens expire and tokens are dated.
    pub clock_offset_s: i64,
    /// Seconds since 1970 at which the provider's clock stands still, so that a test can meet an edge to the second.
    /// `clock_offset_s` still moves it. `None` follows the machine's clock.
    pub clock_stands_at: Option<i64>,
    /// The generation of the signing key. Each number has its own key and `kid`.
    pub key_generation: u32,
    /// Whether the key set also contains every earlier generation, as after a careful rotation.
    pub jwks_keep_old: bool,
    /// The algorithm of id_tokens and user tokens. The first use of RS256 makes an RSA key, which takes
    /// a moment.
    pub id_token_alg: Alg,

    // --- any endpoint ---
    /// Headers to set on answers: (path, header name, value). They replace headers of the same name.
    pub headers: Vec<(String, String, String)>,
    /// Pauses before a request is processed: (path, how long).
    pub delays: Vec<(String, Duration)>,
    /// Holds requests before they are processed: (path, until this gate is opened).
    pub gates: Vec<(String, Gate)>,

    // --- authorization endpoint ---
    /// Makes `/authorize` answer 303 with a code at once, without a page. The user is `auto_user`.
    pub auto_approve: bool,
    /// Makes `/authorize` answer 303 with the error at once. Takes precedence over `auto_approve`.
    pub auto_deny: bool,
    /// The `sub` of the user that `auto_approve` signs in; `None` is the user of `login_hint`, else the
    /// first.
    pub auto_user: Option<String>,
    /// The error code of a denial; any text.
    pub deny_error: String,
    /// The `error_description` of a denial; any text of any length. `None` sends none.
    pub deny_description: Option<String>,
    /// The `iss` parameter of authorization responses, errors included (RFC 9207).
    pub iss: ResponseParam,
    /// Whether the metadata say `authorization_response_iss_parameter_supported`.
    pub advertise_iss: bool,
    /// The `state` parameter of authorization responses.
    pub state: ResponseParam,
    /// More parameters at the end of authorization responses; may repeat a name.
    pub extra_response_params: Vec<(String, String)>,
    /// Whether a redirect URI must equal a registered one, and in the token request the one of the
    /// authorization request. If off, any URI with the origin of a registered one passes, and the token
    /// endpoint does not compare.
    pub strict_redirect_uri: bool,
    /// Makes `/authorize` answer every request with 302 to this URL and the query that it got.
    pub redirect_to_evil: Option<String>,
    /// The `Cross-Origin-Opener-Policy` of `/authorize` and `/authorize/decide`; `None` sends none.
    pub coop: Option<String>,
    /// HTML that `/authorize` sends instead of the page, without a Content-Security-Policy, so that its
    /// scripts run. `{{form}}` in it becomes the form with the two buttons.
    pub authorize_html: Option<String>,

    // --- token endpoint ---
    /// Whether codes are redeemed without checking the verifier, and authorization requests need no
    /// challenge.
    pub ignore_pkce: bool,
    /// The ways of client authentication that are accepted and advertised.
    pub client_auth: ClientAuth,
    /// What a refresh does, and how it fails.
    pub refresh: RefreshRules,
    /// How long access tokens really work.
    pub access_token_life: Duration,
    /// What access tokens look like.
    pub access_tokens: AccessTokens,
    /// The granted scope, instead of the one asked for; words separated by spaces.
    pub granted_scopes: Option<String>,
    /// The JSON value of `expires_in`, whatever the token's real life is.
    pub expires_in: Option<Value>,
    /// The `token_type`; `None` is `Bearer`.
    pub token_type: Option<String>,
    /// Whether to issue no refresh token.
    pub omit_refresh_token: bool,
    /// Names of members to leave out of the token answer.
    pub omit_token_fields: Vec<String>,
    /// The answer to every valid token request, to replay a documented answer. In the body
    /// `{{id_token}}`, `{{access_token}}` and `{{refresh_token}}` become what was really issued.
    pub token_response: Option<Raw>,
    /// A pause between processing a token request and answering it.
    pub token_delay: Duration,
    /// Holds every answer of the token endpoint, after processing, until the gate is opened.
    pub token_gate: Option<Gate>,
    /// A failure of the token endpoint, whatever the `grant_type`.
    pub token_fault: Option<TokenFault>,
    /// How many more token requests get `token_fault`; counts down. `None` means all of them.
    pub token_fault_times: Option<u32>,

    // --- id_token ---
    /// What is wrong with id_tokens.
    pub id_token: IdTokenFault,
    /// Merged over the claims of id_tokens, after `id_token`.
    pub id_token_claims: Value,

    // --- the other endpoints ---
    /// Merged over the metadata documents, for example a wrong issuer or endpoints elsewhere.
    pub discovery_fields: Value,
    /// Replaces the whole answer of the metadata endpoints.
    pub discovery: Option<Raw>,
    /// Replaces the whole answer of the key set endpoint.
    pub jwks: Option<Raw>,
    /// Merged over the claims of userinfo.
    pub userinfo_claims: Value,
    /// Replaces the answer of userinfo to a valid access token.
    pub userinfo: Option<Raw>,
    /// Replaces the answer of everything under `/api/` to a valid access token.
    pub api: Option<Raw>,
    /// What is over once a token was revoked.
    pub revoke_ends: RevokeEnds,
    /// Replaces the answer of the revocation endpoint, which then revokes nothing.
    pub revoke: Option<Raw>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            clock_offset_s: 0,
            clock_stands_at: None,
            key_generation: 0,
            jwks_keep_old: false,
            id_token_alg: Alg::Es256,
            headers: Vec::new(),
            delays: Vec::new(),
            gates: Vec::new(),
            auto_approve: false,
            auto_deny: false,
            auto_user: None,
            deny_error: "access_denied".to_owned(),
            deny_description: Some("The user chose not to allow access.".to_owned()),
            iss: ResponseParam::Present,
            advertise_iss: true,
            state: ResponseParam::Present,
            extra_response_params: Vec::new(),
            strict_redirect_uri: true,
            redirect_to_evil: None,
            coop: None,
            authorize_html: None,
            ignore_pkce: false,
            client_auth: ClientAuth::Any,
            refresh: RefreshRules::default(),
            access_token_life: Duration::from_secs(3600),
            access_tokens: AccessTokens::Opaque,
            granted_scopes: None,
            expires_in: None,
            token_type: None,
            omit_refresh_token: false,
            omit_token_fields: Vec::new(),
            token_response: None,
            token_delay: Duration::ZERO,
            token_gate: None,
            token_fault: None,
            token_fault_times: None,
            id_token: IdTokenFault::None,
            id_token_claims: Value::Null,
            discovery_fields: Value::Null,
            discovery: None,
            jwks: None,
            userinfo_claims: Value::Null,
            userinfo: None,
            api: None,
            revoke_ends: RevokeEnds::Grant,
            revoke: None,
        }
    }
}
