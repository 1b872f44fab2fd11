//! Reads the token endpoint's answer (RFC 6749 section 5).
//!
//! It tolerates harmless differences between providers: numbers as strings, any case of the token type, empty strings
//! for "none", errors under status 200, form encoding instead of JSON. It is strict where tolerance would be a hole:
//! duplicate members, other encodings, characters that would break a header. The recipe says how the fields are called.

use std::fmt;

use alter_core::{
    Cause, Facts, ProviderWords, Recipe,
    recipe::{Fact, fact_text},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{Expiry, LATER, RawAnswer, clean, expiry, provider_error, strict_json};

/// How many scopes of one answer are kept, and the maximum length of each, in characters.
const SCOPES_MAX: usize = 200;
const SCOPE_LEN_MAX: usize = 512;

/// The tokens that the provider issued, and what it says about them.
#[derive(Clone)]
pub struct TokenSet {
    /// Printable ASCII without a space at either end, fit for a header.
    pub access_token: SecretString,
    /// `None` when it is absent or an empty string; an old refresh token then stays (T28).
    pub refresh_token: Option<SecretString>,
    /// Not verified yet; `None` when it is absent or an empty string.
    pub id_token: Option<SecretString>,
    /// The type as it came, in any case; `Bearer` when there is none or it is not a `token` of RFC 9110.
    pub token_type: String,
    /// When the access token ends. `None`: nobody says.
    pub expiry: Option<Expiry>,
    /// The scopes that the provider says it granted, in its order, without repetitions. `None` when it does not say,
    /// which means that it granted what was asked for (RFC 6749 section 5.1).
    pub scopes: Option<Vec<String>>,
    /// What stands beside the tokens and is kept with the grant (`metadata` of the recipe).
    pub facts: Facts,
    raw: Value,
}

impl TokenSet {
    /// The scopes that the provider granted, of those that were asked for and others; `None` when it does not say. An
    /// id_token shows that `openid` is one of them (OpenID Connect Core section 3.1.2.1): some servers list their other
    /// scopes alone.
    pub fn granted(&self, recipe: &Recipe, asked: &[String]) -> Option<Vec<String>> {
        let mut granted = self.scopes.clone()?;
        if self.id_token.is_some() && recipe.asks_for_openid(asked) && !recipe.asks_for_openid(&granted) {
            granted.push("openid".into());
        }
        Some(granted)
    }

    /// Returns the whole answer, for recipes that find the account in it.
    pub(crate) fn document(&self) -> &Value {
        &self.raw
    }
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSet")
            .field("token_type", &self.token_type)
            .field("expiry", &self.expiry)
            .field("scopes", &self.scopes)
            .field("refresh_token", &self.refresh_token.is_some())
            .field("id_token", &self.id_token.is_some())
            .finish_non_exhaustive()
    }
}

/// Why the answer grants nothing. The texts are fit for logs and pages: the only thing in them that comes from the
/// provider is a cleaned error code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// The provider refused with an error code.
    #[error("the provider refused: {0}")]
    Provider(Cause),
    /// The provider refused with a 4xx status and no error code.
    #[error("the provider refused with {status}")]
    Status {
        /// 400 to 499, but not 408, 425 or 429.
        status: u16,
    },
    /// The answer is not one of a token endpoint.
    #[error("the provider's answer was not understood: {why}")]
    NotUnderstood {
        /// What is wrong with the answer.
        why: &'static str,
    },
    /// The provider has a fault (5xx), or asks us to try later (408, 425, 429).
    #[error("the provider answered {status}")]
    ServerError {
        /// 500 and above, 408, 425 or 429.
        status: u16,
    },
}

impl TokenRefused {
    /// Returns the cause with which the flow ends.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Provider(cause) => cause.clone(),
            Self::Status { status } => Cause::TokenRequestRefused(*status),
            Self::NotUnderstood { .. } => Cause::TokenAnswerNotUnderstood,
            Self::ServerError { status } => Cause::TokenEndpointFailed(*status),
        }
    }
}

/// Reads one answer.
///
/// # Errors
/// [`TokenRefused`].
pub fn parse_token_answer(recipe: &Recipe, answer: &RawAnswer) -> Result<TokenSet, TokenRefused> {
    let status = answer.status;
    if status >= 500 || LATER.contains(&status) {
        return Err(TokenRefused::ServerError { status });
    }
    let document = document(answer);
    if (400..500).contains(&status) {
        let code = document.ok().and_then(|document| error_of(recipe, &document));
        return Err(code.map_or(TokenRefused::Status { status }, |code| refusal(&code)));
    }
    if !(200..300).contains(&status) {
        return Err(not_understood("its status is neither success nor error"));
    }
    let document = document?;
    match error_of(recipe, &document) {
        Some(code) => Err(refusal(&code)),
        None => tokens(recipe, document),
    }
}

fn not_understood(why: &'static str) -> TokenRefused {
    TokenRefused::NotUnderstood { why }
}

fn refusal(sent: &str) -> TokenRefused {
    TokenRefused::Provider(provider_error::of_token_answer(sent))
}

/// Reads the body as one object. The body's first character decides how, because `Content-Type` is often wrong.
fn document(answer: &RawAnswer) -> Result<Value, TokenRefused> {
    let body = answer.body.expose_secret();
    let text = std::str::from_utf8(body).map_err(|_| not_understood("it is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim_start().as_bytes().first() {
        None => Err(not_understood("it is empty")),
        Some(b'{') => {
            strict_json::parse(body).ok_or(not_understood("it is not JSON, or has duplicate members"))
        }
        Some(_) if may_be_form(&answer.content_type) => form(text),
        Some(_) => Err(not_understood("it is neither JSON nor form-encoded")),
    }
}

fn may_be_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(kind.as_str(), "application/x-www-form-urlencoded" | "text/plain")
}

/// Reads `access_token=..&scope=..`, as GitHub answers a client that does not ask for JSON.
fn form(text: &str) -> Result<Value, TokenRefused> {
    let text = text.trim();
    if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains('<') {
        return Err(not_understood("it is neither JSON nor form-encoded"));
    }
    let mut object = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if object.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
            return Err(not_understood("it has duplicate fields"));
        }
    }
    Ok(Value::Object(object))
}

/// Finds the error code, under any status (GitHub and Slack send errors with 200). Some providers (Meta) put an object
/// there.
fn error_of(recipe: &Recipe, document: &Value) -> Option<String> {
    let paths = &recipe.token;
    let failed = paths.ok.as_ref().and_then(|ok| document.pointer(ok)) == Some(&Value::Bool(false));
    let code = match document.pointer(&paths.error) {
        // Where the recipe looks at a code that every answer has, 0 is success.
        Some(Value::Number(code)) if code.as_i64() == Some(0) => None,
        Some(Value::String(code)) if code == "0" => None,
        Some(Value::String(code)) if !code.is_empty() => Some(code.clone()),
        Some(Value::Object(object)) => {
            let named = ["code", "type"].iter().filter_map(|name| object.get(*name)).find_map(Value::as_str);
            Some(named.unwrap_or_default().to_owned())
        }
        Some(Value::Number(code)) => Some(code.to_string()),
        Some(Value::Bool(true) | Value::Array(_)) => Some(String::new()),
        _ => None,
    };
    code.or(failed.then(String::new))
}

fn tokens(recipe: &Recipe, document: Value) -> Result<TokenSet, TokenRefused> {
    let paths = &recipe.token;
    let at = |path: &str| document.pointer(path);
    let access_token = secret(at(&paths.access_token))?.ok_or(not_understood("it has no access token"))?;
    let expiry = at(&paths.expires_in)
        .and_then(expiry::life)
        .or_else(|| at(&paths.expires_at).and_then(expiry::moment))
        .or_else(|| expiry::of_token(access_token.expose_secret()))
        .or_else(|| paths.assumed_life_seconds.map(expiry::assumed));
    let (refresh_token, id_token) = (secret(at(&paths.refresh_token))?, secret(at(&paths.id_token))?);
    let secrets = [Some(&access_token), refresh_token.as_ref(), id_token.as_ref()];
    let facts = facts(recipe, &document, &secrets);
    Ok(TokenSet {
        access_token,
        refresh_token,
        id_token,
        token_type: token_type(at(&paths.token_type)),
        expiry,
        scopes: at(&paths.scope)
            .and_then(|value| scopes(value, &recipe.granted_scope_delimiters))
            .filter(|granted| paths.empty_scope_is_none || !granted.is_empty()),
        facts,
        raw: document,
    })
}

/// Reads the facts that the recipe keeps. One that is no text, that cannot be shown, or that repeats a token is left out:
/// facts are not sealed.
fn facts(recipe: &Recipe, document: &Value, secrets: &[Option<&SecretString>]) -> Facts {
    let is_secret = |text: &str| secrets.iter().flatten().any(|secret| text.contains(secret.expose_secret()));
    let read = |(name, path): (&String, &String)| {
        let value = document.pointer(path).and_then(fact_text).filter(|text| !is_secret(text))?;
        Some((name.clone(), Fact { value, verified: true }))
    };
    recipe.metadata.iter().filter_map(read).collect()
}

/// The provider's own words about an error, for people; `None` when the answer has none. `sent` are the secrets of the
/// request: a provider may repeat them.
pub fn words_of(recipe: &Recipe, answer: &RawAnswer, sent: &[SecretString]) -> Option<ProviderWords> {
    let document = document(answer).ok()?;
    let paths = &recipe.token;
    let in_object = |object: &Value| object.get("message").and_then(Value::as_str).map(str::to_owned);
    let said = document.pointer(&paths.error_description).and_then(Value::as_str).map(str::to_owned);
    let said = said.or_else(|| document.pointer(&paths.error).and_then(in_object));
    ProviderWords::cleaned(&said?, sent.iter().map(ExposeSecret::expose_secret))
}

/// Reads a token. It must be `VSCHAR` (RFC 6749 appendix A.12) without a space at either end, because it goes into a
/// header. Null and an empty string count as absent.
fn secret(value: Option<&Value>) -> Result<Option<SecretString>, TokenRefused> {
    let text = match value {
        None => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text,
        Some(_) => return Err(not_understood("a token in it is not a string")),
    };
    if text.bytes().all(|b| (0x20..=0x7e).contains(&b)) && text.trim() == text {
        Ok(Some(text.as_str().into()))
    } else {
        Err(not_understood("a token in it has characters that no token has"))
    }
}

fn token_type(value: Option<&Value>) -> String {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let named = value.and_then(Value::as_str);
    let named = named.filter(|name| (1..=64).contains(&name.len()) && name.bytes().all(is_tchar));
    named.unwrap_or("Bearer").to_owned()
}

pub(crate) fn scopes(value: &Value, delimiters: &str) -> Option<Vec<String>> {
    let words: Vec<&str> = match value {
        Value::String(text) => text.split(|c| delimiters.contains(c)).collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let mut kept: Vec<String> = Vec::new();
    for word in words.into_iter().map(str::trim) {
        let fit = !word.is_empty() && clean::is_plain(word) && word.chars().count() <= SCOPE_LEN_MAX;
        if fit && kept.len() < SCOPES_MAX && !kept.iter().any(|known| known == word) {
            kept.push(word.to_owned());
        }
    }
    Some(kept)
}

#[cfg(test)]
#[path = "token_answer_tests.rs"]
mod tests;
