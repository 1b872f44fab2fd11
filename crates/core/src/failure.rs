//! How a flow, or an attempt in it, failed: the cause, and what it concerns. Of a provider's text, its error code and its
//! description are kept, cleaned (T26).

use serde::{Deserialize, Serialize};

use crate::{Cause, ProviderCode, ProviderWords};

/// A failure as a session keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Failure {
    /// Why the attempt failed.
    pub cause: Cause,
    /// The id of the provider it concerns.
    pub provider: Option<String>,
    /// The id of the request, for the user to quote to the operator.
    pub request_id: Option<String>,
    /// What the provider said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<ProviderWords>,
}

/// A failure as this version or the one before wrote it into a session's document.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Cause {
        cause: Cause,
        provider: Option<String>,
        request_id: Option<String>,
        #[serde(default)]
        said: Option<ProviderWords>,
    },
    /// The first form: a kind, and one text that holds either the provider's code or our own words.
    Kind {
        kind: Kind,
        provider: Option<String>,
        provider_error: Option<ProviderCode>,
        request_id: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Denied,
    Provider,
    Misconfigured,
    RedirectUri,
    Browser,
    Server,
}

impl From<Stored> for Failure {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Cause { cause, provider, request_id, said } => Self { cause, provider, request_id, said },
            Stored::Kind { kind, provider, provider_error, request_id } => {
                Self { cause: cause_of(kind, provider_error), provider, request_id, said: None }
            }
        }
    }
}

fn cause_of(kind: Kind, code: Option<ProviderCode>) -> Cause {
    match kind {
        Kind::Denied => Cause::Denied,
        Kind::Browser => Cause::OtherBrowser,
        Kind::Server => match code {
            Some(code) if code.as_str() == Cause::Interrupted.as_str() => Cause::Interrupted,
            _ => Cause::ServerFault,
        },
        Kind::Misconfigured => Cause::ClientRefused(code.unwrap_or_default()),
        Kind::RedirectUri => Cause::CallbackUrlRefused(code.unwrap_or_default()),
        Kind::Provider => of_provider(code.unwrap_or_default()),
    }
}

/// The words that could stand in the place of the provider's code. Whether such a word was ours or the provider's cannot
/// be told any more; it was shown as ours.
fn of_provider(code: ProviderCode) -> Cause {
    let status = |prefix| code.as_str().strip_prefix(prefix)?.parse().ok();
    if let Some(status) = status("http_") {
        return Cause::TokenRequestRefused(status);
    }
    if let Some(status) = status("token_endpoint_") {
        return Cause::TokenEndpointFailed(status);
    }
    match code.as_str() {
        "token_endpoint_unreachable" => Cause::TokenEndpointUnreachable,
        "token_answer_not_understood" => Cause::TokenAnswerNotUnderstood,
        "id_token_missing" => Cause::IdTokenMissing,
        "id_token_invalid" => Cause::IdTokenInvalid,
        "userinfo_failed" => Cause::UserinfoFailed,
        "identity_unreadable" => Cause::IdentityUnreadable,
        "iss_mismatch" => Cause::IssMismatch,
        "mix_up" => Cause::MixUp,
        "provider_not_configured" => Cause::ProviderNotConfigured,
        "agent_revoked" => Cause::AgentRevoked,
        "temporarily_unavailable" | "server_error" => Cause::ProviderUnavailable(code),
        _ => Cause::ProviderRefused(code),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(stored: Value) -> Failure {
        serde_json::from_value(stored).unwrap()
    }

    /// A document as the previous version wrote it.
    fn before(kind: &str, provider_error: Option<&str>) -> Value {
        json!({ "kind": kind, "provider": "acme", "provider_error": provider_error, "request_id": "r1" })
    }

    fn code(sent: &str) -> ProviderCode {
        serde_json::from_value(json!(sent)).unwrap()
    }

    #[test]
    fn documents_of_the_version_before_are_read_with_each_of_its_words() {
        for (kind, word, cause) in [
            ("provider", Some("mix_up"), Cause::MixUp),
            ("provider", Some("provider_not_configured"), Cause::ProviderNotConfigured),
            ("provider", Some("iss_mismatch"), Cause::IssMismatch),
            ("provider", Some("token_endpoint_unreachable"), Cause::TokenEndpointUnreachable),
            ("provider", Some("token_endpoint_503"), Cause::TokenEndpointFailed(503)),
            ("provider", Some("http_403"), Cause::TokenRequestRefused(403)),
            ("provider", Some("token_answer_not_understood"), Cause::TokenAnswerNotUnderstood),
            ("provider", Some("id_token_missing"), Cause::IdTokenMissing),
            ("provider", Some("id_token_invalid"), Cause::IdTokenInvalid),
            ("provider", Some("userinfo_failed"), Cause::UserinfoFailed),
            ("provider", Some("identity_unreadable"), Cause::IdentityUnreadable),
            ("provider", Some("agent_revoked"), Cause::AgentRevoked),
            ("server", Some("interrupted"), Cause::Interrupted),
            // A code that the provider sent stays the provider's.
            ("provider", Some("invalid_scope"), Cause::ProviderRefused(code("invalid_scope"))),
            ("provider", Some("server_error"), Cause::ProviderUnavailable(code("server_error"))),
            ("provider", Some("http_me"), Cause::ProviderRefused(code("http_me"))),
            ("provider", None, Cause::ProviderRefused(ProviderCode::default())),
            ("misconfigured", Some("invalid_client"), Cause::ClientRefused(code("invalid_client"))),
            (
                "redirect_uri",
                Some("redirect_uri_mismatch"),
                Cause::CallbackUrlRefused(code("redirect_uri_mismatch")),
            ),
            ("denied", None, Cause::Denied),
            ("browser", None, Cause::OtherBrowser),
            ("server", None, Cause::ServerFault),
            ("server", Some("disk_full"), Cause::ServerFault),
        ] {
            let (provider, request_id) = (Some("acme".to_owned()), Some("r1".to_owned()));
            let failure = Failure { cause, provider, request_id, said: None };
            assert_eq!(read(before(kind, word)), failure, "{kind} {word:?}");
        }
    }

    #[test]
    fn a_failure_is_read_as_it_is_stored() {
        for cause in Cause::one_of_each() {
            let said = ProviderWords::cleaned("No.", []);
            let failure = Failure { cause, provider: Some("acme".into()), request_id: None, said };
            assert_eq!(read(serde_json::to_value(&failure).unwrap()), failure);
        }
    }

    #[test]
    fn t26_a_stored_code_that_is_not_clean_is_cleaned() {
        let failure = read(before("provider", Some("<b>No</b>")));
        assert_eq!(failure.cause.provider_code().map(ProviderCode::as_str), Some("bnob"));
    }
}
