//! Who may call an operation, and every error that it can answer: one row each. The test server checks every response of
//! every test against this table.

use std::collections::BTreeMap;

use alter_api::ErrorCode::{self, *};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, Ref, RefOr, ResponseBuilder, path::Operation,
    security::SecurityRequirement,
};

/// The errors of every signed call, before its route runs.
const SIGNED: &[ErrorCode] = &[
    InvalidRequest,
    UnsupportedField,
    AmbiguousTarget,
    InvalidKey,
    KeyRevoked,
    AgentRevoked,
    SignatureRequired,
    InvalidSignature,
    SignatureExpired,
    BodyTooLarge,
    WrongHost,
    HeadersTooLarge,
    ServerError,
    ServiceUnavailable,
];
/// In addition, where a suspended agent is refused.
const ACTIVE: &[ErrorCode] = &[AgentInactive];
/// Where only the app's own key may call.
const APP: &[ErrorCode] = &[AppKeyRequired];
/// Where a user token is checked.
const USER: &[ErrorCode] = &[IdpNotConfigured, JwtValidationError, IdpUnreachable];
/// Where the path names one of the app's agents.
const AGENT: &[ErrorCode] = &[AppKeyRequired, AgentNotFound];

const MINT: &[ErrorCode] = &[
    InvalidOrigin,
    AllowedOriginRequired,
    AgentRequiresUserToken,
    InvalidReturnUrl,
    ReturnUrlRequired,
    NoProviders,
    AgentNotFound,
    RateLimitExceeded,
    ProofRequired,
];
const FINALIZE: &[ErrorCode] = &[BindingFailed, InvalidResultCode, NothingToConfirm, SessionExpired];
const RELEASE: &[ErrorCode] = &[
    CallerAgentMismatch,
    AgentScopeNotAllowed,
    GrantRevoked,
    UserTokenRequired,
    SystemGrantUserTokenMismatch,
    GrantNotFound,
    NoDelegatedGrant,
    AmbiguousGrant,
    ProviderNotConfigured,
    BlockedDestination,
    CredentialRevoked,
    GrantExpired,
    TokenRefreshInProgress,
    ProviderUnavailable,
    ProviderConfigurationUnavailable,
];
const NEW_AGENT: &[ErrorCode] = &[
    AgentCannotMintSubagents,
    AgentNameExists,
    IdempotencyKeyBodyMismatch,
    IdempotencyKeyAgentInactive,
    IdempotencyKeyAgentRevoked,
];
const STATUS: &[ErrorCode] = &[
    InvalidRequest,
    AmbiguousTarget,
    BindingFailed,
    ForeignOrigin,
    BodyTooLarge,
    WrongHost,
    HeadersTooLarge,
    ServerError,
    ServiceUnavailable,
];
const PROBE: &[ErrorCode] = &[AmbiguousTarget, HeadersTooLarge];

/// The errors of an operation, and whether it is signed.
fn row(operation: &str) -> (bool, Vec<&'static [ErrorCode]>) {
    let signed = |more: &[&'static [ErrorCode]]| (true, [&[SIGNED, ACTIVE], more].concat());
    match operation {
        "create_session" => signed(&[APP, USER, MINT]),
        "poll_session" => signed(&[APP, &[InvalidToken]]),
        "finalize_session" => signed(&[APP, USER, FINALIZE]),
        "retrieve_token" => signed(&[USER, RELEASE]),
        "report_call" => signed(&[&[GrantNotFound, NoDelegatedGrant]]),
        "verify_user_token" => signed(&[APP, USER]),
        "create_auth_session" => {
            signed(&[APP, &[IdpNotConfigured, AuthSessionsNotAllowed, RateLimitExceeded]])
        }
        "poll_auth_session" => signed(&[APP, &[AuthSessionsNotAllowed, InvalidToken, IdpUnreachable]]),
        "list_grants" => signed(&[USER]),
        "list_providers" => signed(&[]),
        "revoke_grant" => signed(&[APP, USER, &[GrantNotFound]]),
        "revoke_delegation" => signed(&[&[UseSelfRevokePath, GrantNotFound, AgentNotFound]]),
        "give_up_delegation" => signed(&[&[AgentKeyRequired, NoDelegatedGrant]]),
        "create_agent" => signed(&[NEW_AGENT]),
        "list_agents" => signed(&[APP]),
        "get_own_agent" => (true, vec![SIGNED, &[MeRequiresAgentKey]]),
        "get_agent" | "delete_agent" | "list_agent_keys" => signed(&[AGENT]),
        "update_agent" => signed(&[AGENT, &[AgentGone, AgentConcurrentUpdate]]),
        "create_agent_key" => signed(&[AGENT, &[AgentGone, AgentKeyLimitReached]]),
        "revoke_agent_key" => signed(&[AGENT, &[KeyNotFound, KeyAlreadyRevoked, LastActiveKey]]),
        "deprecate_agent_key" | "undeprecate_agent_key" => signed(&[AGENT, &[KeyNotFound]]),
        "get_flow_status" => (false, vec![STATUS, &[InvalidToken]]),
        "get_flow_result" => (false, vec![STATUS, &[InvalidToken, InvalidResultCode, SessionExpired]]),
        "get_liveness" => (false, vec![PROBE]),
        "get_readiness" => (false, vec![PROBE, &[ServiceUnavailable]]),
        other => unreachable!("{other} has no row"),
    }
}

/// Writes an operation's row into the document.
pub(super) fn declare(operation: &mut Operation) {
    let (signed, codes) = row(operation.operation_id.as_deref().unwrap_or_default());
    let requirement = signed.then(|| SecurityRequirement::new("signed", <[&str; 0]>::default()));
    operation.security = Some(requirement.into_iter().collect());
    let mut by_status = BTreeMap::<u16, Vec<ErrorCode>>::new();
    for code in codes.concat() {
        by_status.entry(code.status()).or_default().push(code);
    }
    for (status, codes) in by_status {
        operation.responses.responses.insert(status.to_string(), response(&codes));
    }
}

fn response(codes: &[ErrorCode]) -> RefOr<utoipa::openapi::Response> {
    let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody")));
    for code in codes {
        let example = Ref::new(format!("#/components/examples/{code:?}"));
        content = content.examples_from_iter([(code.as_str(), RefOr::Ref(example))]);
    }
    let words: Vec<_> = codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
    let mut response = ResponseBuilder::new()
        .description(format!("{}.", words.join(", ")))
        .content("application/json", content.build());
    if codes.contains(&RateLimitExceeded) {
        let seconds = HeaderBuilder::new().description(Some("Seconds to wait.")).build();
        response = response.header("Retry-After", seconds);
    }
    response.build().into()
}
