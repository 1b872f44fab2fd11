//! Whose account it is. The subject decides what a grant is and is taken exactly or not at all; the labels are for
//! people and are cleaned.

use alter_core::{IdentitySource, Recipe};
use serde_json::Value;

use crate::{TokenSet, clean};

/// Characters of a label.
const LABEL_MAX: usize = 320;

/// Characters of a subject.
const SUBJECT_MAX: usize = 255;

/// An account at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider's stable id of it, byte for byte; 1 to 255 characters, none that hides.
    pub subject: String,
    /// What its owner knows it by; the subject where nothing better is known. Cleaned, 1 to 320 characters.
    pub account: String,
    /// Cleaned, 1 to 320 characters.
    pub display_name: Option<String>,
}

/// Why it is not known whose account it is: no grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityUnreadable {
    /// The document that the recipe names is not there.
    #[error("the provider sent no {0}")]
    Absent(&'static str),
    /// There is no subject, or none that can be stored.
    #[error("the provider's answer does not say whose account it is")]
    Subject,
    /// Userinfo is about somebody else than the id_token (OpenID Connect Core section 5.3.2).
    #[error("the provider's userinfo is about another account than its id_token")]
    OtherSubject,
}

/// Whether userinfo has to be asked: when it is where the account is found, or when the id_token has no subject or no
/// better name for the account than the subject, and there is an endpoint to ask.
pub fn needs_userinfo(recipe: &Recipe, claims: Option<&Value>) -> bool {
    let asked = recipe.userinfo_url.is_some();
    match (recipe.identity.from, claims) {
        (IdentitySource::Userinfo, _) => true,
        (IdentitySource::TokenResponse, _) => false,
        (IdentitySource::IdToken, None) => asked,
        (IdentitySource::IdToken, Some(claims)) => asked && !is_enough(recipe, claims),
    }
}

fn is_enough(recipe: &Recipe, claims: &Value) -> bool {
    let paths = &recipe.identity;
    let named = paths.account.iter().filter(|path| **path != paths.subject);
    let is_named = named.clone().any(|path| find_label(&[claims], path).is_some());
    find_subject(&[claims], &paths.subject).is_some() && (is_named || named.count() == 0)
}

/// Puts the identity together. `claims` are verified ones; `userinfo` was asked with the token of this answer.
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
    let first = |list: &[String]| list.iter().find_map(|path| find_label(&documents, path));
    Ok(Identity {
        account: first(&paths.account)
            .or_else(|| clean::label(&subject, LABEL_MAX))
            .ok_or(IdentityUnreadable::Subject)?,
        display_name: first(&paths.display_name),
        subject,
    })
}

/// An OpenID Connect userinfo always has a `sub`. An endpoint of another kind, that the recipe names as the source, may
/// have none; where it has one it counts.
fn same_subject(source: IdentitySource, claims: &Value, userinfo: &Value) -> Result<(), IdentityUnreadable> {
    match userinfo.get("sub") {
        None if source == IdentitySource::Userinfo => Ok(()),
        sub if sub.is_some() && sub == claims.get("sub") => Ok(()),
        _ => Err(IdentityUnreadable::OtherSubject),
    }
}

/// The subject behind what it is unique within. A part with the joint in it could be two parts, and two accounts one.
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

/// A string, or a whole number (GitHub's `id`); a fraction or an exponent would not be the same twice.
fn find_subject(documents: &[&Value], path: &str) -> Option<String> {
    let subject = documents.iter().find_map(|document| match document.pointer(path)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    })?;
    // Cleaning it could make two accounts one.
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
