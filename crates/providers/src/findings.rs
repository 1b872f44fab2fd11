//! The problems that validation finds, and the names that several rules need.

use alter_core::recipe::{Names, Recipe};

use crate::Problem;

/// Parameters that the flow itself sets: a recipe that replaced one could switch off a protection.
pub(crate) const OWN_PARAMETERS: [&str; 13] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "token",
];

/// Parameters of token requests that the flow itself sets.
const OF_GRANTS: [&str; 4] = ["grant_type", "code", "code_verifier", "refresh_token"];

/// Whether the flow itself sets a parameter of this name, in a request to this provider.
pub(crate) fn is_ours(recipe: &Recipe, name: &str) -> bool {
    let Names { client_id, client_secret, code } = &recipe.names;
    OWN_PARAMETERS.contains(&name)
        || OF_GRANTS.contains(&name)
        || [client_id, client_secret, code, &recipe.scope_parameter].iter().any(|own| *own == name)
}

#[derive(Default)]
pub(crate) struct Findings(Vec<Problem>);

impl Findings {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.0
    }

    pub(crate) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    pub(crate) fn check(&mut self, field: &str, result: Result<(), String>) {
        if let Err(message) = result {
            self.add(field, message);
        }
    }

    pub(crate) fn need(&mut self, field: &str, holds: bool, message: &str) {
        if !holds {
            self.add(field, message);
        }
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// A parameter of a request or a callback: a name, if need be with brackets (`filter[id]`).
pub(crate) fn is_parameter(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']');
    (1..=64).contains(&text.len()) && text.bytes().all(inside) && !text.starts_with(['[', ']'])
}
