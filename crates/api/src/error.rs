//! Every error code there is: its status, what it means and what to do. One table; `contract/error-codes.json` and
//! `docs/reference/errors.md` are made from it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every error on `/sdk/*` and `/connect/*`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The code, for programs.
    pub error: String,
    /// A sentence for people: what was wrong and what to do.
    pub message: String,
    /// Quote it to the operator; also in the `X-Request-ID` header.
    pub request_id: String,
    /// Facts about this very error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
    /// Facts that published clients read beside `error`: `grant_id`, `candidates` and the like.
    #[serde(flatten)]
    #[schema(ignore)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $meaning:literal;)*) => {
        /// Every error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $meaning] $name,)* }

        impl ErrorCode {
            /// All of them, in the order of the table.
            pub const ALL: &[ErrorCode] = &[$(Self::$name,)*];

            /// As it stands on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What it means and what to do.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", 400, "The request is malformed: the message names the field. Correct it.";
    UnsupportedField = "unsupported_field", 400, "A field or header that this version does not build arrived with a value. Leave it out.";
    InvalidOrigin = "invalid_origin", 400, "`allowed_origin` is not a bare origin: the message names the part at fault and the corrected value.";
    AllowedOriginRequired = "allowed_origin_required", 400, "`allowed_origin` is missing and the app has no `website_url`. Give one of them. A session for a link needs neither: its app has a sign-in (`alter idp set APP ... --client-id`) or `--allow-unverified-links`.";
    CredentialRevoked = "credential_revoked", 400, "The provider no longer gives tokens for this grant: `details.reason` says why, and `details.since` since when. Let the user connect again; the grant keeps its id.";
    CallerAgentMismatch = "caller_agent_mismatch", 400, "`X-Alter-Caller` names an agent that does not own the key.";
    AgentRequiresUserToken = "agent_requires_user_token", 400, "`agent` came without `user_token`, and only a user can delegate. Send the user's token.";
    ProofRequired = "proof_required", 400, "At binding level L3 the app's backend proves at the end who started, and the session has nothing for that. Mint with `user_token`, or with `code_challenge` and `code_challenge_method` `S256`.";
    InvalidReturnUrl = "invalid_return_url", 400, "`return_url` is not https, not registered, or carries a parameter of the result.";
    ReturnUrlRequired = "return_url_required", 400, "The user came by a redirect, or the session is at L3 and for no page, and it has no `return_url` to go back to. Give one at the mint.";
    NoProviders = "no_providers", 400, "None of the allowed providers is configured on the app. Configure one: `alter provider set`.";
    IdpNotConfigured = "idp_not_configured", 400, "The app has no identity provider, so nobody vouches for its users. The operator sets one: `alter idp set`.";
    AmbiguousTarget = "ambiguous_target", 400, "The path has an encoded slash, a dot segment, a control character or invalid UTF-8.";
    InvalidKey = "invalid_key", 401, "The API key is missing, malformed or unknown.";
    KeyRevoked = "key_revoked", 401, "The API key was revoked. Use another.";
    AgentInactive = "agent_inactive", 401, "The agent is suspended. The app resumes it: `PATCH /sdk/agents/{id}`.";
    AgentRevoked = "agent_revoked", 401, "The agent and its keys were deleted.";
    SignatureRequired = "signature_required", 401, "The request is not signed and the app does not accept bearer calls.";
    InvalidSignature = "invalid_signature", 401, "The signature is incomplete or wrong, or its nonce was used before.";
    SignatureExpired = "signature_expired", 401, "The signature's timestamp is more than 300 s from the server's clock. Set your clock.";
    JwtValidationError = "jwt_validation_error", 401, "The user token is not valid: the message says which check failed. Where it has run out, sign the user in again; otherwise compare it with what `alter idp show APP` prints.";
    BindingFailed = "binding_failed", 403, "The page was not opened by the app's own page. Start again from the app.";
    ForeignOrigin = "foreign_origin", 403, "The request names no origin, or two, so nobody knows which page asks.";
    CsrfRefused = "csrf_refused", 403, "A state-changing request did not come from our own page.";
    AuthSessionsNotAllowed = "auth_sessions_not_allowed", 403, "The operator has not allowed auth sessions for this app: `alter app set APP --allow-auth-sessions`. SECURITY.md says what that risks.";
    AppKeyRequired = "app_key_required", 403, "This call needs the app's own key, but it came with an agent's key.";
    AgentKeyRequired = "agent_key_required", 403, "This path is for agents: call it with an agent's key.";
    MeRequiresAgentKey = "me_requires_agent_key", 403, "`/sdk/agents/me` tells an agent about itself: call it with an agent's key.";
    AgentCannotMintSubagents = "agent_cannot_mint_subagents", 403, "Agents are managed with the app's own key.";
    UseSelfRevokePath = "use_self_revoke_path", 403, "An agent gives up its own delegation: `DELETE /sdk/grants/{grant_id}/delegations/me`.";
    AgentScopeNotAllowed = "agent_scope_not_allowed", 403, "The token carries scopes that the agent may not use: `details.scopes`; of them the user has not approved `unapproved_scopes`, and the agent's own limit leaves out `over_limit_scopes`.";
    GrantExpired = "grant_expired", 403, "The grant has come to its own end. Let the user connect again.";
    GrantRevoked = "grant_revoked", 403, "The grant was revoked. Let the user connect again.";
    UserTokenRequired = "user_token_required", 403, "The app requires the user's token for a user's grant. Send `user_token`.";
    SystemGrantUserTokenMismatch = "system_grant_user_token_mismatch", 403, "The grant is the app's own, but the call has a user token. Leave `user_token` out.";
    InvalidToken = "invalid_token", 404, "The session token is malformed or unknown. Mint a fresh session.";
    InvalidResultCode = "invalid_result_code", 404, "The result code is malformed or unknown.";
    GrantNotFound = "grant_not_found", 404, "The app has no such grant.";
    NoDelegatedGrant = "no_delegated_grant", 404, "No grant that fits was delegated to the agent. Let the user connect with `agent`.";
    AgentNotFound = "agent_not_found", 404, "The app has no such agent, or it is not active.";
    KeyNotFound = "key_not_found", 404, "The agent has no such key.";
    NotFound = "not_found", 404, "There is nothing at this address.";
    MethodNotAllowed = "method_not_allowed", 405, "The address exists with another method.";
    WaitingForApp = "waiting_for_app", 409, "The app page has not contacted this server yet: ask again in half a second.";
    AmbiguousGrant = "ambiguous_grant", 409, "Several grants fit: `candidates`. Choose by `grant_id`, `account` or `label`.";
    AgentNameExists = "agent_name_exists", 409, "Another agent of the app has this name.";
    AgentConcurrentUpdate = "agent_concurrent_update", 409, "The agent is now at another version: `details.version`. Read it again.";
    AgentGone = "agent_revoked", 409, "The agent was deleted; it can no longer be changed.";
    KeyAlreadyRevoked = "key_revoked", 409, "The agent's key is already revoked.";
    LastActiveKey = "last_active_key", 409, "This is the agent's last active key. Pass `force=true`, or make another key first.";
    AgentKeyLimitReached = "agent_key_limit_reached", 409, "The agent already has the maximum of 10 keys. Revoke one.";
    IdempotencyKeyBodyMismatch = "idempotency_key_body_mismatch", 409, "The `Idempotency-Key` was used with another request. Use a new one.";
    IdempotencyKeyAgentInactive = "idempotency_key_agent_inactive", 409, "The agent made with this `Idempotency-Key` is suspended.";
    IdempotencyKeyAgentRevoked = "idempotency_key_agent_revoked", 409, "The agent made with this `Idempotency-Key` was deleted. Use a new key.";
    AppUnreachable = "app_unreachable", 409, "The app page cannot reach this server: its CSP `connect-src` needs our origin.";
    StepMoved = "step_moved", 409, "The step no longer applies: reload the page.";
    TokenRefreshInProgress = "token_refresh_in_progress", 409, "The access token is being replaced: it has run out and its refresh takes longer than a call waits (20 s), or the grant changed at every try, because its user connects again. Try again after `Retry-After`.";
    NothingToConfirm = "nothing_to_confirm", 409, "The flow has no connection to confirm: the message says how it ended.";
    ProviderNotConfigured = "provider_not_configured", 409, "The operator removed the provider.";
    SessionExpired = "session_expired", 410, "The session expired, was used, or is open in another browser: `details.reason`. Mint a fresh session.";
    BodyTooLarge = "body_too_large", 413, "The request body is larger than the endpoint takes: 256 KiB, or 4 KiB from a page.";
    UnsupportedMediaType = "unsupported_media_type", 415, "The body must be `application/json`.";
    WrongHost = "wrong_host", 421, "The Host header is not that of ALTER_PUBLIC_URL.";
    BlockedDestination = "blocked_destination", 422, "`request.url` is not one of the provider's API hosts. The operator adds hosts with `--api-host`.";
    HeadersTooLarge = "headers_too_large", 431, "The request headers are larger than 16 KiB. Clear this site's cookies.";
    RateLimitExceeded = "rate_limit_exceeded", 429, "Too many sessions in this minute: wait `retry_after` seconds. The operator sets the share: `alter app set --sessions-per-minute`.";
    ServerError = "server_error", 500, "We failed. Quote the request id to the operator.";
    NotBuilt = "not_built", 501, "This version does not have the call: the message names it. Asking again, or connecting anew, changes nothing.";
    IdpUnreachable = "idp_unreachable", 503, "The app's identity provider cannot be reached, so the user token could not be checked. Try again; `alter doctor` says more.";
    ProviderUnavailable = "provider_unavailable", 503, "The access token has run out, and the provider does not give a new one at the moment. Try again after `retry_after_seconds`.";
    ProviderConfigurationUnavailable = "provider_configuration_unavailable", 503, "The provider cannot be used as it is configured: it does not accept our client and the access token has run out, or the stored configuration has no valid seal, or the grant's row was changed in the database. The operator mends it: `alter doctor` says more.";
    ServiceUnavailable = "service_unavailable", 503, "Storage does not answer. Nothing was released. Try again.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_explained() {
        let mut seen = std::collections::HashSet::new();
        for code in ErrorCode::ALL {
            // Published clients read some codes by their status too: `key_revoked` is 401 and 409.
            assert!(seen.insert((code.as_str(), code.status())), "{} twice", code.as_str());
            assert!((400..600).contains(&code.status()));
            assert!(code.meaning().ends_with('.'), "{}", code.as_str());
        }
    }
}
