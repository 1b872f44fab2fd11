//! The authorization response, as the browser brings it (RFC 6749 sections 4.1.2 and 4.1.2.1), and who it says sent it
//! (RFC 9207). The browser is not trusted: whatever can be read in two ways is refused, and nothing is exchanged.

use std::fmt;

use alter_core::{Cause, Recipe};
use secrecy::SecretString;

use crate::{claims, provider_error};

/// Bytes of a query that are looked at.
const QUERY_MAX: usize = 16 * 1024;

/// Bytes of one decoded value.
const VALUE_MAX: usize = 4 * 1024;

/// Characters of our own states: 32 bytes as base64url.
const STATE_LEN: usize = 43;

/// A response that can be read in one way only.
pub struct Callback {
    /// Ours, as it came: 43 characters of base64url. Looked up by its hash.
    pub state: String,
    /// What the provider decided.
    pub outcome: CallbackOutcome,
    /// The `iss` parameter; for [`check_iss`].
    pub iss: Option<String>,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("outcome", &self.outcome)
            .field("iss", &self.iss)
            .finish_non_exhaustive()
    }
}

/// A code or an error.
#[derive(Debug)]
pub enum CallbackOutcome {
    /// To be exchanged, once.
    Code(SecretString),
    /// The provider sent an error in its place: [`Cause::Denied`] when the user said no. `error_description` is not read.
    Error(Cause),
}

/// Why a response is not one (T16). Nothing of it appears in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCallback {
    /// The query, or a value in it.
    #[error("the callback's parameters are too long")]
    TooLong,
    /// This parameter appears more than once (RFC 6749 section 3.1).
    #[error("the callback has more than one {0}")]
    Duplicate(&'static str),
    /// There is no `state`, or none that we could have made.
    #[error("the callback's state is missing or malformed")]
    State,
    /// The code has characters outside of RFC 6749 appendix A.11.
    #[error("the callback's code is malformed")]
    Code,
    /// Both `code` and `error`.
    #[error("the callback has both a code and an error")]
    CodeAndError,
    /// Neither `code` nor `error`.
    #[error("the callback has neither a code nor an error")]
    Empty,
}

/// The response came from, or was meant for, another authorization server (RFC 9207 section 2.4). The flow is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MixUp {
    /// The provider always sends `iss`, and there is none.
    #[error("the authorization response does not name its issuer")]
    Missing,
    /// It names another issuer.
    #[error("the authorization response is of another issuer")]
    Different,
    /// The recipe says that the provider sends `iss`, and not which.
    #[error("the provider's issuer is not configured")]
    NotConfigured,
}

/// The parameters that mean something.
#[derive(Default)]
struct Known {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// Reads a query (without its `?`). An empty value counts as none (RFC 6749 section 3.1); other parameters, `state[]`
/// among them, are ignored.
///
/// # Errors
/// [`BadCallback`]: answer 400, exchange nothing.
pub fn parse_callback(query: &str) -> Result<Callback, BadCallback> {
    if query.len() > QUERY_MAX {
        return Err(BadCallback::TooLong);
    }
    let known = collect(query)?;
    let state = known.state.filter(|state| is_state(state)).ok_or(BadCallback::State)?;
    let outcome = match (known.code, known.error) {
        (Some(_), Some(_)) => return Err(BadCallback::CodeAndError),
        (None, None) => return Err(BadCallback::Empty),
        (Some(code), None) if is_code(&code) => CallbackOutcome::Code(code.into()),
        (Some(_), None) => return Err(BadCallback::Code),
        (None, Some(error)) => CallbackOutcome::Error(provider_error::of_callback(&error)),
    };
    Ok(Callback { state, outcome, iss: known.iss })
}

fn collect(query: &str) -> Result<Known, BadCallback> {
    let mut known = Known::default();
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let (name, slot) = match name.as_ref() {
            "state" => ("state", &mut known.state),
            "code" => ("code", &mut known.code),
            "error" => ("error", &mut known.error),
            "iss" => ("iss", &mut known.iss),
            _ => continue,
        };
        // What is not read may be as long as it likes: an error with a long description is still an error.
        if value.len() > VALUE_MAX {
            return Err(BadCallback::TooLong);
        }
        if seen.contains(&name) {
            return Err(BadCallback::Duplicate(name));
        }
        seen.push(name);
        *slot = (!value.is_empty()).then(|| value.into_owned());
    }
    Ok(known)
}

fn is_state(text: &str) -> bool {
    text.len() == STATE_LEN && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `VSCHAR` (RFC 6749 appendix A). Bytes that were no UTF-8 have become U+FFFD by now, and fail too.
fn is_code(text: &str) -> bool {
    text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

/// Whether the response is of the provider to which the browser was sent. Compared byte for byte, errors included.
///
/// A provider that is not known to send `iss` may send one all the same: it then has to be right too.
///
/// # Errors
/// [`MixUp`]: abort, exchange nothing.
pub fn check_iss(recipe: &Recipe, iss: Option<&str>) -> Result<(), MixUp> {
    let configured = recipe.issuer.is_some() || recipe.issuer_template.is_some();
    match iss {
        None if recipe.iss_parameter => Err(MixUp::Missing),
        None => Ok(()),
        Some(_) if !configured && recipe.iss_parameter => Err(MixUp::NotConfigured),
        Some(_) if !configured => Ok(()),
        Some(iss) if recipe.issuer.as_deref() == Some(iss) => Ok(()),
        Some(iss) if recipe.issuer_template.as_deref().is_some_and(|t| claims::fits_template(t, iss)) => {
            Ok(())
        }
        Some(_) => Err(MixUp::Different),
    }
}

#[cfg(test)]
#[path = "callback_tests.rs"]
mod tests;
