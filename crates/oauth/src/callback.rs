//! The authorization response that the browser brings (RFC 6749 sections 4.1.2 and 4.1.2.1), and the issuer that it
//! names (RFC 9207). The browser is not trusted: a response that can be read in two ways is refused, and no code is
//! exchanged.

use std::fmt;

use alter_core::{Brought, Cause, ProviderWords, Recipe, SessionId, recipe::fact_text};
use secrecy::SecretString;

use crate::{claims, provider_error, token_answer::scopes as scopes_of};

/// Maximum length of a query, in bytes.
const QUERY_MAX: usize = 16 * 1024;

/// Maximum length of one decoded value, in bytes. Azure AD B2C sends codes of more than 4 KiB.
const VALUE_MAX: usize = 8 * 1024;

/// Length of the states that this server makes, in characters: 32 bytes as base64url.
const STATE_LEN: usize = 43;

/// A response that can be read in only one way.
pub struct Callback {
    /// The `state` as it came: 43 characters of base64url, by whose hash an attempt is found; or a session's id, a dot and 43
    /// such characters, which a sign-in sends ([`alter_core::TripSecrets`]).
    pub state: String,
    /// The provider's decision.
    pub outcome: CallbackOutcome,
    /// The `iss` parameter, for [`check_iss`]; `None` when there is none.
    pub iss: Option<String>,
    /// The provider's words beside an error (`error_description`), for people.
    pub said: Option<ProviderWords>,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("outcome", &self.outcome)
            .field("iss", &self.iss)
            .finish_non_exhaustive()
    }
}

/// What an authorization response carries.
#[derive(Debug)]
pub enum CallbackOutcome {
    /// A code, to be exchanged once.
    Code(SecretString),
    /// An error: [`Cause::Denied`] when the user refused.
    Error(Cause),
    /// Neither can be read. Nothing is exchanged.
    Unreadable(BadCallback),
}

/// Why a query is not an authorization response (T16). No text contains anything from the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCallback {
    /// The query is longer than 16 KiB, or a value that is read is longer than 8 KiB.
    #[error("the callback's parameters are too long")]
    TooLong,
    /// This parameter appears more than once (RFC 6749 section 3.1).
    #[error("the callback has more than one {0}")]
    Duplicate(&'static str),
    /// There is no `state`, or one that this server cannot have made.
    #[error("the callback's state is missing or malformed")]
    State,
    /// The code has characters outside RFC 6749 appendix A.11.
    #[error("the callback's code is malformed")]
    Code,
    /// The response has both `code` and `error`.
    #[error("the callback has both a code and an error")]
    CodeAndError,
    /// The response has neither `code` nor `error`.
    #[error("the callback has neither a code nor an error")]
    Empty,
}

/// The response came from another authorization server, or was meant for another (RFC 9207 section 2.4). The flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MixUp {
    /// The provider always sends `iss`, but this response has none.
    #[error("the authorization response does not name its issuer")]
    Missing,
    /// The response names another issuer.
    #[error("the authorization response is from another issuer")]
    Different,
    /// The recipe says that the provider sends `iss`, but not which issuer it is.
    #[error("the provider's issuer is not configured")]
    NotConfigured,
}

/// Reads a query (without its `?`). An empty value counts as none (RFC 6749 section 3.1). Other parameters, `state[]`
/// among them, are ignored. A response whose `state` is read and whose rest is not still belongs to an attempt.
///
/// # Errors
/// [`BadCallback`]: there is no telling to which attempt the response belongs.
pub fn parse_callback(query: &str) -> Result<Callback, BadCallback> {
    if query.len() > QUERY_MAX {
        return Err(BadCallback::TooLong);
    }
    let state = one(query, "state")?.filter(|state| is_state(state)).ok_or(BadCallback::State)?;
    let iss = one(query, "iss");
    let outcome = iss.clone().and_then(|_| outcome(query));
    let outcome = outcome.unwrap_or_else(CallbackOutcome::Unreadable);
    let said = match outcome {
        CallbackOutcome::Error(_) => words(query),
        _ => None,
    };
    Ok(Callback { state, outcome, iss: iss.ok().flatten(), said })
}

/// Reads the decision again, for a provider that carries the code in a parameter of another name.
pub fn outcome_of(recipe: &Recipe, query: &str, callback: Callback) -> Callback {
    match (&recipe.callback.code, &callback.outcome) {
        (Some(name), CallbackOutcome::Unreadable(BadCallback::Empty)) => {
            let outcome = outcome_by(query, name).unwrap_or_else(CallbackOutcome::Unreadable);
            Callback { outcome, ..callback }
        }
        _ => callback,
    }
}

/// What the browser brought beside the code. Whatever cannot be read, or comes twice, is left out.
pub fn brought(recipe: &Recipe, query: &str) -> Brought {
    let names = &recipe.callback;
    let scopes = names.scope.as_ref().and_then(|name| one(query, name).ok().flatten());
    let scopes = scopes.and_then(|text| scopes_of(&text.into(), &recipe.granted_scope_delimiters));
    let fact = |(name, parameter): (&String, &String)| {
        let value = fact_text(&one(query, parameter).ok()??.into())?;
        Some((name.clone(), value))
    };
    Brought { scopes, facts: names.metadata.iter().filter_map(fact).collect() }
}

fn words(query: &str) -> Option<ProviderWords> {
    ProviderWords::cleaned(&one(query, "error_description").ok()??, [])
}

fn outcome(query: &str) -> Result<CallbackOutcome, BadCallback> {
    outcome_by(query, "code")
}

fn outcome_by(query: &str, code: &str) -> Result<CallbackOutcome, BadCallback> {
    let (code, error) = (one(query, code)?, one(query, "error")?);
    // Meta's name for it.
    let error = error.or(one(query, "error_code")?);
    match (code, error) {
        (Some(_), Some(_)) => Err(BadCallback::CodeAndError),
        (None, None) => Err(BadCallback::Empty),
        (Some(code), None) if is_code(&code) => Ok(CallbackOutcome::Code(code.into())),
        (Some(_), None) => Err(BadCallback::Code),
        (None, Some(error)) => Ok(CallbackOutcome::Error(provider_error::of_callback(&error))),
    }
}

/// Returns the value of a parameter that must not appear twice. One that is not read may be longer: an error with a long
/// description is still an error.
fn one(query: &str, name: &str) -> Result<Option<String>, BadCallback> {
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(given, _)| given == name);
    let Some((_, value)) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(BadCallback::Duplicate(known(name)));
    }
    if value.len() > VALUE_MAX {
        return Err(BadCallback::TooLong);
    }
    Ok((!value.is_empty()).then(|| value.into_owned()))
}

/// The name of a parameter, as far as it is a standard one: no text contains anything else.
fn known(name: &str) -> &'static str {
    let names = ["state", "code", "error", "error_code", "iss"];
    names.into_iter().find(|known| *known == name).unwrap_or("of its parameters")
}

fn is_state(text: &str) -> bool {
    let text = match text.split_once('.') {
        Some((sid, text)) if SessionId::parse(sid).is_some() => text,
        Some(_) => return false,
        None => text,
    };
    text.len() == STATE_LEN && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Whether all characters are `VSCHAR` (RFC 6749 appendix A). Bytes that were not UTF-8 are U+FFFD by now, and fail
/// too.
fn is_code(text: &str) -> bool {
    text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

/// Checks that the response comes from the provider to which the browser was sent. `iss` is compared byte for byte, in each spelling that the recipe names; a
/// response with an error is checked too.
///
/// A provider that is not known to send `iss` may still send one. Then it must be right, if the recipe names an issuer.
///
/// # Errors
/// [`MixUp`]; the caller aborts and exchanges nothing.
pub fn check_iss(recipe: &Recipe, iss: Option<&str>) -> Result<(), MixUp> {
    let configured = recipe.issuer.is_some() || recipe.issuer_template.is_some();
    match iss {
        None if recipe.iss_parameter => Err(MixUp::Missing),
        None => Ok(()),
        Some(_) if !configured && recipe.iss_parameter => Err(MixUp::NotConfigured),
        Some(_) if !configured => Ok(()),
        Some(iss) if recipe.is_issuer(iss) => Ok(()),
        Some(iss) if recipe.issuer_template.as_deref().is_some_and(|t| claims::fits_template(t, iss)) => {
            Ok(())
        }
        Some(_) => Err(MixUp::Different),
    }
}

#[cfg(test)]
#[path = "callback_tests.rs"]
mod tests;
