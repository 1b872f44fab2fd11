//! Why a grant has no fresh token, in sentences for the operator: what happened, and what helps.

use alter_core::{Micros, ReconnectReason, refresh::Trouble};

/// Why only the user can help.
pub(super) fn why_reconnect(reason: ReconnectReason) -> &'static str {
    match reason {
        ReconnectReason::RefreshRefused => "the provider refused the refresh token",
        ReconnectReason::RotationLost => {
            "the provider replaced the refresh token, and the new one never arrived here"
        }
        ReconnectReason::OutcomeUnknown => "the refresh token was sent several times, and no answer came",
        ReconnectReason::NoRefreshToken => "the provider gave no refresh token",
    }
}

/// That the user must reconnect, why, and since when.
pub(super) fn reconnect(reason: ReconnectReason, since: Micros, now: Micros) -> String {
    let (why, when) = (why_reconnect(reason), since.to_rfc3339());
    if since > now {
        format!("{why}: the access token works until {when}, then the user must connect the account again")
    } else {
        format!("{why} (since {when}): only the user can help, by connecting the account again")
    }
}

/// Why the last attempt failed that says nothing about the refresh token. `app` and `provider` are ids.
pub(super) fn trouble(trouble: Trouble, app: &str, provider: &str) -> String {
    match trouble {
        Trouble::Provider => {
            "the provider did not answer, or not with tokens: it is asked again, and nothing has to \
                              be done unless this lasts (alter doctor asks whether it can be reached)"
                .to_owned()
        }
        Trouble::Client => format!(
            "the provider does not accept this client: give it the right client id and secret with \
             alter provider set {app} {provider}"
        ),
        Trouble::Us => {
            "this server could not prepare the request: alter doctor may tell why, and the log of \
                        alter serve does"
                .to_owned()
        }
    }
}
