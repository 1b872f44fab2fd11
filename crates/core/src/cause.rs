//! Why a flow made no grant: one word for each cause, who has to act, and whether trying again can help.
//!
//! A cause is a type, so that no code has to parse it from text. What the provider itself said is a [`ProviderCode`]
//! next to the cause, and decides nothing: only `oauth` knows which of a provider's codes mean something.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::AgentStop;

/// How many characters of a provider's error code are kept.
const CODE_MAX: usize = 64;
/// Replaces a code of which cleaning leaves nothing.
const NO_CODE: &str = "unknown_error";

/// The error code that a provider sent, in the alphabet `[a-z0-9_.-]`, 1 to 64 characters (T26).
///
/// Its constructor cleans, so an unclean value cannot exist. `clippy.toml` forbids every crate but `oauth` to call it:
/// visibility cannot name another crate, and `oauth` imports this one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ProviderCode(String);

impl ProviderCode {
    /// Cleans the code that a provider sent: white space at its ends is cut off, letters become lower case, a space
    /// becomes `_`, and any other character is dropped.
    pub fn cleaned(sent: &str) -> Self {
        Self(cleaned(sent))
    }

    /// The cleaned text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn cleaned(sent: &str) -> String {
    let kept = sent.trim().chars().filter_map(|c| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '.' | '-') => Some(c),
        ' ' => Some('_'),
        _ => None,
    });
    let code: String = kept.take(CODE_MAX).collect();
    if code.is_empty() { NO_CODE.to_owned() } else { code }
}

/// For a provider that sent nothing readable.
impl Default for ProviderCode {
    fn default() -> Self {
        Self(NO_CODE.to_owned())
    }
}

/// Cleans again: a value in the database may have been written by something else.
impl<'de> Deserialize<'de> for ProviderCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|stored| Self(cleaned(&stored)))
    }
}

/// Whose turn it is after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The person in front of the browser.
    User,
    /// The app's developer.
    App,
    /// The person who runs this server and configures its providers.
    Operator,
    /// The provider.
    Provider,
    /// This server.
    Us,
}

impl Fault {
    /// The word used in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::App => "app",
            Self::Operator => "operator",
            Self::Provider => "provider",
            Self::Us => "server",
        }
    }
}

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident $(($data:ty))? = $word:literal, $fault:ident, is_final: $final:literal;)*) => {
        /// Why a flow, or an attempt in it, made no grant.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Cause { $($(#[$doc])* #[serde(rename = $word)] $name $(($data))?,)* }

        impl Cause {
            /// The word in storage, audit entries, logs and `details.reason`. Words are never given another meaning.
            pub fn as_str(&self) -> &'static str {
                match self { $(Self::$name { .. } => $word,)* }
            }

            /// Who has to act.
            pub fn fault(&self) -> Fault {
                match self { $(Self::$name { .. } => Fault::$fault,)* }
            }

            /// Whether the same request cannot succeed when sent again: somebody has to change something first.
            pub fn is_final(&self) -> bool {
                match self { $(Self::$name { .. } => $final,)* }
            }

            /// One cause of each kind, in the table's order: for the documentation and tests.
            pub fn one_of_each() -> Vec<Self> {
                vec![$(Self::$name $((<$data>::default()))?,)*]
            }
        }
    };
}

causes! {
    /// The user refused, at the provider or on our consent page.
    Denied = "denied", User, is_final: true;
    /// The code came back in another browser than the one that started.
    OtherBrowser = "other_browser", User, is_final: true;
    /// The browser that opened the session kept no cookie of this server.
    CookiesBlocked = "cookies_blocked", User, is_final: true;
    /// Somebody else than the person who started completed the flow, as the app's backend found.
    OtherUser = "other_user", User, is_final: true;
    /// The app's backend did not confirm the connection in time.
    NotConfirmed = "not_confirmed", App, is_final: true;
    /// The provider answered with an error code that has no row of its own.
    ProviderRefused(ProviderCode) = "provider_refused", Provider, is_final: false;
    /// The provider says by its code that it cannot answer now.
    ProviderUnavailable(ProviderCode) = "provider_unavailable", Provider, is_final: false;
    /// The provider sent the user back with something that cannot be read.
    CallbackNotUnderstood = "callback_not_understood", Provider, is_final: false;
    /// The provider does not take the code: it has run out, was used, or belongs to another request.
    CodeRefused(ProviderCode) = "code_refused", Provider, is_final: true;
    /// The provider does not accept our client.
    ClientRefused(ProviderCode) = "client_refused", Operator, is_final: true;
    /// The provider does not accept our callback URL.
    CallbackUrlRefused(ProviderCode) = "callback_url_refused", Operator, is_final: true;
    /// The token endpoint answered with a 4xx status and no error code.
    TokenRequestRefused(u16) = "token_request_refused", Provider, is_final: false;
    /// The token endpoint answered with a 5xx status, or one that asks for patience (408, 425, 429).
    TokenEndpointFailed(u16) = "token_endpoint_failed", Provider, is_final: false;
    /// There was no whole answer of the token endpoint.
    TokenEndpointUnreachable = "token_endpoint_unreachable", Provider, is_final: false;
    /// The answer is none of a token endpoint.
    TokenAnswerNotUnderstood = "token_answer_not_understood", Provider, is_final: false;
    /// `openid` was asked for and no id_token came.
    IdTokenMissing = "id_token_missing", Provider, is_final: false;
    /// The id_token failed a check.
    IdTokenInvalid = "id_token_invalid", Provider, is_final: false;
    /// The provider's keys, which sign its id_tokens, cannot be read: another try will find the same.
    KeysUnreadable = "keys_unreadable", Operator, is_final: true;
    /// The provider's keys could not be fetched, however often they were asked for.
    KeysUnreachable = "keys_unreachable", Provider, is_final: false;
    /// The userinfo endpoint did not say whose account it is, however often it was asked.
    UserinfoFailed = "userinfo_failed", Provider, is_final: false;
    /// What the provider says of the account names nobody.
    IdentityUnreadable = "identity_unreadable", Provider, is_final: false;
    /// The answer is of another issuer, or names none (RFC 9207).
    IssMismatch = "iss_mismatch", Provider, is_final: true;
    /// The answer arrived on another provider's callback URL (RFC 9700 section 4.4).
    MixUp = "mix_up", Provider, is_final: true;
    /// The operator removed the provider while the user was there.
    ProviderNotConfigured = "provider_not_configured", Operator, is_final: true;
    /// One of the provider's endpoints cannot be asked: it is missing, it is not a usable URL, or its address is not
    /// public and the operator has not allowed it. Nothing was sent there.
    ProviderMisconfigured = "provider_misconfigured", Operator, is_final: true;
    /// The session's agent was deleted before the connection was made.
    AgentRevoked = "agent_revoked", App, is_final: true;
    /// The session's agent was suspended before the connection was made.
    AgentInactive = "agent_inactive", App, is_final: true;
    /// The exchange was lost with the process that ran it; what became of the code at the provider is not known.
    Interrupted = "interrupted", Us, is_final: false;
    /// We failed.
    ServerFault = "server_fault", Us, is_final: false;
}

/// The session's agent cannot act.
impl From<AgentStop> for Cause {
    fn from(stop: AgentStop) -> Self {
        match stop {
            AgentStop::Suspended => Self::AgentInactive,
            AgentStop::Deleted => Self::AgentRevoked,
        }
    }
}

impl Cause {
    /// Whether nothing else can be connected in the same session either: only the app can help, with another session.
    pub fn ends_the_session(&self) -> bool {
        self.fault() == Fault::App || *self == Self::CookiesBlocked
    }

    /// The provider's error code, if it sent one.
    pub fn provider_code(&self) -> Option<&ProviderCode> {
        match self {
            Self::ProviderRefused(code)
            | Self::ProviderUnavailable(code)
            | Self::CodeRefused(code)
            | Self::ClientRefused(code)
            | Self::CallbackUrlRefused(code) => Some(code),
            _ => None,
        }
    }

    /// The token endpoint's HTTP status, where nothing else is known.
    pub fn provider_status(&self) -> Option<u16> {
        match self {
            Self::TokenRequestRefused(status) | Self::TokenEndpointFailed(status) => Some(*status),
            _ => None,
        }
    }

    /// The facts for audit entries and `details`: our word as `reason`, and separately what the provider said.
    pub fn facts(&self) -> Map<String, Value> {
        let mut facts = Map::from_iter([("reason".to_owned(), Value::from(self.as_str()))]);
        if let Some(code) = self.provider_code() {
            facts.insert("provider_error".to_owned(), code.as_str().into());
        }
        if let Some(status) = self.provider_status() {
            facts.insert("provider_status".to_owned(), status.into());
        }
        facts
    }
}

/// For logs: the word, and what the provider said.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        if let Some(code) = self.provider_code() {
            write!(f, ": {}", code.as_str())?;
        }
        if let Some(status) = self.provider_status() {
            write!(f, ": {status}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "cause_tests.rs"]
mod tests;
