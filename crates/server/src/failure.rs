//! What programs and developers are told about a flow that made no grant: one row for each cause. The page, the SDK, the
//! poll and `docs/reference/failures.md` are made from this table. The cause itself says who has to act
//! ([`alter_core::Cause::fault`]). What a person reads is in [`crate::for_people`] and `ui/pages`.

use alter_core::{Cause, Failure};
use alter_flows::Names;
use serde_json::{Map, Value};

use crate::pages::ProviderFault;

/// What is told about one cause.
#[derive(Debug)]
pub struct Told {
    /// The code of the browser SDK's `onError`.
    pub sdk: &'static str,
    /// The poll's `error_code`.
    pub poll: &'static str,
    /// What the user sees.
    pub page: FailurePage,
    /// What happened. `{provider}` and `{code}` are replaced by the failure's own, if it has them.
    pub sentence: &'static str,
    /// Who has to do what next.
    pub mend: &'static str,
}

impl Told {
    /// The sentence, filled in. `provider` is `None` when the provider's name is not known.
    pub fn sentence_of(&self, provider: Option<&str>, code: &str) -> String {
        let sentence = self.sentence.replace("{code}", code);
        match (provider, sentence.strip_prefix("{provider}")) {
            (Some(provider), _) => sentence.replace("{provider}", provider),
            (None, Some(rest)) => format!("The provider{rest}"),
            (None, None) => sentence.replace("{provider}", "the provider"),
        }
    }
}

/// The two pages of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailurePage {
    /// The user refused.
    Denied,
    /// Any other failure.
    Error(ProviderFault),
}

macro_rules! failures {
    ($($cause:ident = $sdk:literal, $poll:literal, $page:expr, $sentence:literal, $mend:literal;)*) => {
        /// The row of a cause.
        pub fn told(cause: &Cause) -> &'static Told {
            match cause {
                $(Cause::$cause { .. } => {
                    &Told { sdk: $sdk, poll: $poll, page: $page, sentence: $sentence, mend: $mend }
                })*
            }
        }
    };
}

use FailurePage::{Denied, Error};
use ProviderFault::{
    AgentGone, AgentSuspended, BadAnswer, Interrupted, Misconfigured, Refused, Unavailable, Unreadable,
};

failures! {
    Denied = "oauth_denied", "connect_denied", Denied,
        "The user refused to connect {provider}.", "The user may start again.";
    OtherBrowser = "binding_failed", "connect_flow_error", Error(Interrupted),
        "The flow came back in another browser than the one that started it.", "The user starts again and stays in one browser.";
    OtherUser = "binding_failed", "connect_flow_error", Error(Interrupted),
        "Another person than the one who started completed the flow.", "The account was not connected. The user starts again and stays in one browser.";
    NotConfirmed = "session_expired", "connect_flow_error", Error(Interrupted),
        "The app did not confirm the connection.", "The app's backend mints with `user_token` or `code_challenge`, and calls `POST /sdk/oauth/connect/session/finalize` within five minutes; the user starts again.";
    CookiesBlocked = "binding_failed", "connect_flow_error", Error(Interrupted),
        "The browser keeps no cookies of the Connect server.", "The user allows them for its address and starts again.";
    ProviderRefused = "oauth_provider_error", "connect_flow_error", Error(Refused),
        "{provider} answered with an error{code}.", "The provider's documentation says what its code means.";
    ProviderUnavailable = "oauth_provider_error", "connect_flow_error", Error(Unavailable),
        "{provider} cannot answer at the moment{code}.", "The user tries again later.";
    CallbackNotUnderstood = "oauth_provider_error", "connect_flow_error", Error(Unreadable),
        "{provider} sent the user back with something that cannot be read.", "The operator's log says what is wrong with it.";
    CodeRefused = "oauth_provider_error", "connect_flow_error", Error(Refused),
        "{provider} did not take the code that it had sent{code}.", "The user starts again.";
    ClientRefused = "oauth_provider_error", "invalid_client", Error(Misconfigured),
        "{provider} does not accept the configured client{code}.", "The operator corrects client id and secret, or how they are sent (`--client-auth post`): `alter provider set`.";
    CallbackUrlRefused = "oauth_provider_error", "invalid_redirect_uri", Error(Misconfigured),
        "{provider} does not accept the callback URL{code}.", "The operator registers it at the provider: `alter provider list` shows it.";
    TokenRequestRefused = "oauth_provider_error", "connect_flow_error", Error(Refused),
        "{provider} refused the token request{code}.", "The user tries again; if it stays so, the operator asks the provider.";
    TokenEndpointFailed = "oauth_provider_error", "connect_flow_error", Error(Unavailable),
        "{provider} could not answer{code}.", "The user tries again later.";
    TokenEndpointUnreachable = "oauth_provider_error", "connect_flow_error", Error(Unavailable),
        "{provider} could not be reached.", "The user tries again later; the operator's log says why.";
    TokenAnswerNotUnderstood = "oauth_provider_error", "connect_flow_error", Error(BadAnswer),
        "{provider} sent an answer that could not be read.", "The operator's log says what is wrong with it.";
    IdTokenMissing = "oauth_provider_error", "connect_flow_error", Error(BadAnswer),
        "{provider} was asked for an id_token and sent none.", "The operator compares the configured scopes with the provider's documentation.";
    IdTokenInvalid = "oauth_provider_error", "connect_flow_error", Error(BadAnswer),
        "{provider} sent an id_token that fails a check.", "The operator's log names the check.";
    KeysUnreadable = "oauth_provider_error", "provider_configuration_unavailable", Error(Misconfigured),
        "The keys of {provider} cannot be read.", "The operator's log says why: `alter doctor` asks for them, `alter provider set` corrects where they are.";
    KeysUnreachable = "oauth_provider_error", "connect_flow_error", Error(Unavailable),
        "The keys of {provider} could not be fetched.", "The user tries again later; the operator's log says why.";
    UserinfoFailed = "oauth_provider_error", "connect_flow_error", Error(Unavailable),
        "{provider} did not say whose account it is.", "The user tries again later; the operator's log says why.";
    IdentityUnreadable = "oauth_provider_error", "connect_flow_error", Error(BadAnswer),
        "What {provider} says of the account names nobody.", "The operator corrects where the recipe looks for the account.";
    IssMismatch = "oauth_provider_error", "connect_flow_error", Error(BadAnswer),
        "The answer came from another issuer than {provider}.", "The operator checks the configured issuer. If it is right, somebody interfered.";
    MixUp = "oauth_provider_error", "connect_flow_error", Error(BadAnswer),
        "The answer of {provider} arrived on another provider's callback URL.", "The operator checks the app's providers: one of them may be hostile.";
    ProviderNotConfigured = "oauth_provider_error", "provider_configuration_unavailable", Error(Misconfigured),
        "{provider} was removed from the app's configuration meanwhile.", "The operator configures it again: `alter provider set`.";
    ProviderMisconfigured = "oauth_provider_error", "provider_configuration_unavailable", Error(Misconfigured),
        "{provider} cannot be asked as it is configured on the Connect server.", "The operator corrects the setting that the log names.";
    AgentRevoked = "session_expired", "connect_config_error", Error(AgentGone),
        "The agent of this session was deleted meanwhile.", "The app mints a session for an agent that exists.";
    AgentInactive = "session_expired", "connect_config_error", Error(AgentSuspended),
        "The agent of this session was suspended meanwhile.", "The app resumes the agent, or mints a session for another one.";
    Interrupted = "server_error", "service_unavailable", Error(Interrupted),
        "The Connect server was interrupted.", "The user tries again.";
    ServerFault = "server_error", "service_unavailable", Error(Interrupted),
        "The Connect server failed.", "The user tries again; the operator's log has the request id.";
}

/// What happened and who does what next, for the developer of the app's backend.
pub(crate) fn message(failure: &Failure, names: &Names) -> String {
    let cause = &failure.cause;
    let code = cause.provider_code().map(|code| code.as_str().to_owned());
    let code = code.or_else(|| cause.provider_status().map(|status| status.to_string()));
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    let told = told(cause);
    format!("{} {}", told.sentence_of(names.provider.as_deref(), &code), told.mend)
}

/// `details` of the SDK's `onError`.
pub(crate) fn details(failure: &Failure) -> Map<String, Value> {
    let mut details = failure.cause.facts();
    details.insert("provider".to_owned(), failure.provider.clone().into());
    details.insert("request_id".to_owned(), failure.request_id.clone().into());
    if let Some(said) = &failure.said {
        details.insert("provider_message".to_owned(), said.as_str().into());
    }
    details
}

#[cfg(test)]
mod tests {
    use alter_core::Fault;

    use super::*;

    /// The poll's codes that published clients tell apart, and the one for everything else.
    const POLL_CODES: [&str; 7] = [
        "connect_denied",
        "connect_config_error",
        "invalid_redirect_uri",
        "invalid_client",
        "provider_configuration_unavailable",
        "service_unavailable",
        "connect_flow_error",
    ];

    #[test]
    fn every_row_has_codes_that_clients_know_and_says_who_goes_on() {
        let sdk_codes = include_str!("../../../sdk/browser/README.md");
        for cause in Cause::one_of_each() {
            let told = told(&cause);
            assert!(sdk_codes.contains(&format!("| `{}` |", told.sdk)), "{cause}: {}", told.sdk);
            assert!(POLL_CODES.contains(&told.poll), "{cause}: {}", told.poll);
            assert!(told.sentence.ends_with('.') && told.mend.ends_with('.'), "{cause}");
            let carries = cause.provider_code().is_some() || cause.provider_status().is_some();
            assert_eq!(told.sentence.contains("{code}"), carries, "{cause}: what the provider said is told");
        }
    }

    #[test]
    fn the_provider_is_blamed_for_what_it_did_and_for_nothing_else() {
        for cause in Cause::one_of_each() {
            let Told { sdk, poll, page, .. } = told(&cause);
            let of_provider = cause.fault() == Fault::Provider;
            assert_eq!(
                (*sdk, *poll) == ("oauth_provider_error", "connect_flow_error"),
                of_provider,
                "{cause}"
            );
            let blames = matches!(page, Error(Unavailable | Refused | BadAnswer | Unreadable));
            assert_eq!(blames, of_provider, "{cause}: {page:?}");
        }
    }

    #[test]
    fn a_message_names_provider_and_code() {
        let said = |cause, provider: Option<&str>| {
            let names = Names { app: "My App".into(), provider: provider.map(str::to_owned) };
            message(
                &Failure {
                    cause,
                    provider: provider.map(|_| "acme_id".into()),
                    request_id: None,
                    said: None,
                },
                &names,
            )
        };
        let refused = said(Cause::TokenEndpointFailed(503), Some("Acme"));
        assert_eq!(refused, "Acme could not answer (503). The user tries again later.");
        assert!(said(Cause::Denied, None).starts_with("The user refused to connect the provider."));
        assert!(
            said(Cause::TokenEndpointUnreachable, None).starts_with("The provider could not be reached.")
        );
        for cause in Cause::one_of_each() {
            assert!(!said(cause, Some("Acme")).contains(['{', '}']));
        }
    }
}
