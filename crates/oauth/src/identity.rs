//! Whose account it is. The subject identifies the account of a grant, so it is taken exactly or not at all; the labels
//! are for people and are cleaned.

use alter_core::{IdentitySource, Recipe, recipe::Verified};
use serde_json::Value;

use crate::{TokenSet, clean};

/// Maximum length of a label, in characters.
const LABEL_MAX: usize = 320;

/// Maximum length of a subject, in characters.
const SUBJECT_MAX: usize = 255;

/// An account at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider's stable id of the account, byte for byte; 1 to 255 characters, none of them hidden.
    pub subject: String,
    /// The name by which the owner knows the account; the subject if nothing better is known. Cleaned, 1 to 320
    /// characters.
    pub account: String,
    /// The provider vouches that `account` is this account's own name ([`alter_core::IdentityPaths::verified`]), or it is
    /// the subject. Otherwise its owner may have chosen somebody else's.
    pub account_verified: bool,
    /// The owner's name; `None` when the provider gives none. Cleaned, 1 to 320 characters.
    pub display_name: Option<String>,
}

/// Why it is not known whose account it is. No grant is then made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityUnreadable {
    /// The document that the recipe names is missing.
    #[error("the provider sent no {0}")]
    Absent(&'static str),
    /// There is no subject, or one that cannot be stored.
    #[error("the provider's answer does not say whose account it is")]
    Subject,
    /// Userinfo is about another account than the id_token (OpenID Connect Core section 5.3.2).
    #[error("the provider's userinfo is about another account than its id_token")]
    OtherSubject,
}

/// What userinfo is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// For nothing, or there is nowhere to ask.
    Nothing,
    /// For a better name of the account than its subject. Whose account it is, the id_token has proven.
    Name,
    /// To know whose account it is.
    Account,
}

/// What userinfo is needed for. Without an id_token, or where the recipe says so, the account is known from there alone.
pub fn needs_userinfo(recipe: &Recipe, claims: Option<&Value>) -> Need {
    match (recipe.identity.from, claims) {
        (IdentitySource::Userinfo, _) => Need::Account,
        (IdentitySource::TokenResponse | IdentitySource::None, _) => Need::Nothing,
        (IdentitySource::IdToken, _) if recipe.userinfo_url.is_none() => Need::Nothing,
        (IdentitySource::IdToken, Some(claims)) if is_proven(recipe, claims) => {
            if is_named(recipe, claims) {
                Need::Nothing
            } else {
                Need::Name
            }
        }
        (IdentitySource::IdToken, _) => Need::Account,
    }
}

fn is_proven(recipe: &Recipe, claims: &Value) -> bool {
    let paths = &recipe.identity;
    whole_subject(&[claims], &paths.subject_within, &paths.subject).is_some()
}

fn is_named(recipe: &Recipe, claims: &Value) -> bool {
    let paths = &recipe.identity;
    let mut names = paths.account.iter().filter(|path| **path != paths.subject).peekable();
    names.peek().is_none() || names.any(|path| find_label(&[claims], path).is_some())
}

/// Builds the identity. `claims` must be verified, and `userinfo` must have been asked with the token of this answer.
///
/// # Errors
/// [`IdentityUnreadable`].
pub fn identity(
    recipe: &Recipe,
    claims: Option<&Value>,
    userinfo: Option<&Value>,
    token_answer: &TokenSet,
) -> Result<Identity, IdentityUnreadable> {
    let source = recipe.identity.from;
    if let (Some(claims), Some(userinfo)) = (claims, userinfo) {
        same_subject(source, claims, userinfo)?;
    }
    let documents: Vec<&Value> = match source {
        IdentitySource::IdToken => claims.into_iter().chain(userinfo).collect(),
        IdentitySource::Userinfo => userinfo.into_iter().collect(),
        IdentitySource::TokenResponse => vec![token_answer.document()],
        IdentitySource::None => Vec::new(),
    };
    if documents.is_empty() {
        return Err(IdentityUnreadable::Absent(match source {
            IdentitySource::Userinfo => "account information",
            _ => "id_token",
        }));
    }
    let paths = &recipe.identity;
    let subject = whole_subject(&documents, &paths.subject_within, &paths.subject)
        .ok_or(IdentityUnreadable::Subject)?;
    let named = |path: &String| Some((path.clone(), find_label(&documents, path)?));
    let (account, account_verified) = match paths.account.iter().find_map(named) {
        Some((path, name)) => {
            let by = paths.verified.get(&path);
            let verified = name == subject || is_verified(&documents, by, &path, &name);
            (name, verified)
        }
        None => (clean::label(&subject, LABEL_MAX).ok_or(IdentityUnreadable::Subject)?, true),
    };
    let display_name = paths.display_name.iter().find_map(|path| find_label(&documents, path));
    Ok(Identity { subject, account, account_verified, display_name })
}

/// Whether the provider vouches for a name. What vouches stands in a document that has this very name, and no document
/// that has it says the contrary.
fn is_verified(documents: &[&Value], by: Option<&Verified>, path: &str, name: &str) -> bool {
    match by {
        None => false,
        Some(Verified::Always) => true,
        Some(Verified::By(flag)) => {
            let with_name = documents.iter().filter(|one| find_label(&[one], path).as_deref() == Some(name));
            let said: Vec<bool> = with_name.filter_map(|one| one.pointer(flag).map(is_true)).collect();
            !said.is_empty() && said.into_iter().all(|yes| yes)
        }
    }
}

/// `true`, as some providers write it too: the text `"true"`, or the number 1.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::String(text) => text == "true",
        Value::Number(number) => number.as_u64() == Some(1),
        _ => false,
    }
}

/// Checks that userinfo and id_token have the same `sub`. An OpenID Connect userinfo always has one. An endpoint of
/// another kind, which the recipe names as the source, may have none; if it has one, the two must be equal.
fn same_subject(source: IdentitySource, claims: &Value, userinfo: &Value) -> Result<(), IdentityUnreadable> {
    match userinfo.get("sub") {
        None if source == IdentitySource::Userinfo => Ok(()),
        sub if sub.is_some() && sub == claims.get("sub") => Ok(()),
        _ => Err(IdentityUnreadable::OtherSubject),
    }
}

/// Joins the subject to the ids within which it is unique. A part that contains the separator is refused: it could be
/// read as two parts, and two accounts could become one.
fn whole_subject(documents: &[&Value], within: &[String], path: &str) -> Option<String> {
    let subject = find_subject(documents, path)?;
    if within.is_empty() {
        return Some(subject);
    }
    let mut parts = within.iter().map(|path| find_subject(documents, path)).collect::<Option<Vec<_>>>()?;
    parts.push(subject);
    let clear = parts.iter().all(|part| !part.contains('/'));
    Some(parts.join("/")).filter(|whole| clear && whole.chars().count() <= SUBJECT_MAX)
}

/// Finds the subject: a string, or a whole number (GitHub's `id`). A fraction or an exponent is refused, because it may
/// be written differently each time.
fn find_subject(documents: &[&Value], path: &str) -> Option<String> {
    let subject = documents.iter().find_map(|document| match document.pointer(path)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    })?;
    // An unfit subject is refused, not cleaned: cleaning could turn two accounts into one.
    let fit =
        !subject.trim().is_empty() && subject.chars().count() <= SUBJECT_MAX && clean::is_plain(&subject);
    fit.then_some(subject)
}

fn find_label(documents: &[&Value], path: &str) -> Option<String> {
    documents.iter().find_map(|document| match document.pointer(path)? {
        Value::String(text) => clean::label(text, LABEL_MAX),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
