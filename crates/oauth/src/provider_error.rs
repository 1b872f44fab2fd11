//! What a provider's error codes mean. Only this file reads them: everywhere else they are a [`Cause`].

use alter_core::{Cause, ProviderCode};

/// Codes by which a provider reports that the user refused: the standard one, Salesforce's spelling of it, and the two
/// that LinkedIn documents. Any other code is a failure, not a decision.
const DENIALS: [&str; 4] =
    ["access_denied", "access-denied", "user_cancelled_login", "user_cancelled_authorize"];

/// Codes that mean "not now" rather than "no" (RFC 6749 section 4.1.2.1); token endpoints send them too.
const LATER: [&str; 2] = ["temporarily_unavailable", "server_error"];

/// Codes by which a provider refuses our client itself: RFC 6749 section 5.2, then those that GitHub and Slack
/// document.
const CLIENT: [&str; 5] = [
    "invalid_client",
    "unauthorized_client",
    "incorrect_client_credentials",
    "invalid_client_id",
    "bad_client_secret",
];

/// Codes by which a provider refuses the authorization code: RFC 6749 section 5.2, then GitHub's.
const CODE: [&str; 2] = ["invalid_grant", "bad_verification_code"];

/// Returns the cause for the `error` of an authorization response.
pub(crate) fn of_callback(sent: &str) -> Cause {
    let code = code(sent);
    match code.as_str() {
        _ if DENIALS.contains(&sent) => Cause::Denied,
        later if LATER.contains(&later) => Cause::ProviderUnavailable(code),
        _ => Cause::ProviderRefused(code),
    }
}

/// Returns the cause for the error code of a token answer.
pub(crate) fn of_token_answer(sent: &str) -> Cause {
    let code = code(sent);
    match code.as_str() {
        url if url.contains("redirect_uri") => Cause::CallbackUrlRefused(code),
        client if CLIENT.contains(&client) => Cause::ClientRefused(code),
        spent if CODE.contains(&spent) => Cause::CodeRefused(code),
        later if LATER.contains(&later) => Cause::ProviderUnavailable(code),
        _ => Cause::ProviderRefused(code),
    }
}

#[expect(clippy::disallowed_methods, reason = "only this function reads a provider's code")]
fn code(sent: &str) -> ProviderCode {
    ProviderCode::cleaned(sent)
}
