//! What a scope allows: in words, and which other scopes are in it. Which spellings mean one scope: [`super::scope_names`].

use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};

use super::Recipe;

/// How much of a refused scope a message repeats, characters.
const REPEATED: usize = 100;

/// What a scope allows, and which other scopes it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ScopeForm")]
pub struct Scope {
    /// Words for the consent page.
    pub description: String,
    /// Without it the provider refuses, or we cannot tell which account was connected.
    pub required: bool,
    /// Scopes without which this one is refused.
    pub requires: Vec<String>,
    /// Scopes that this one contains: who has it misses none of them. It is not they: a delegation of one of them does not
    /// cover it, nor the other way round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub implies: Vec<String>,
}

/// Why a text is not one scope of a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScope {
    /// Not a `scope-token` of RFC 6749 section 3.3.
    #[error("`{0}` is not a scope; no spaces, quotes, backslashes or letters beyond ASCII")]
    Characters(String),
    /// What separates scopes at this provider is in the middle of it.
    #[error("`{text}` contains the separator `{separator}`; list the scopes one by one")]
    Several {
        /// The text.
        text: String,
        /// What separates scopes: [`Recipe::scope_separator`], or one of [`Recipe::granted_scope_delimiters`].
        separator: String,
    },
}

impl From<&str> for Scope {
    fn from(words: &str) -> Self {
        Self { description: words.into(), required: false, requires: Vec::new(), implies: Vec::new() }
    }
}

/// Only the words, as the first recipes had them, or the table.
#[derive(Deserialize)]
#[serde(untagged)]
enum ScopeForm {
    Words(String),
    Table(ScopeTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeTable {
    description: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    implies: Vec<String>,
}

impl From<ScopeForm> for Scope {
    fn from(form: ScopeForm) -> Self {
        match form {
            ScopeForm::Words(words) => words.as_str().into(),
            ScopeForm::Table(ScopeTable { description, required, requires, implies }) => {
                Self { description, required, requires, implies }
            }
        }
    }
}

impl Recipe {
    /// The words for a scope: the recipe's own, or at an OpenID provider those of the standard's scopes.
    pub fn scope_words(&self, scope: &str) -> Option<&str> {
        let own = self.scope(scope).map(|known| known.description.as_str());
        own.or_else(|| {
            standard_words(scope).filter(|_| self.issuer.is_some() || self.issuer_template.is_some())
        })
    }

    /// What is known about a scope, in whichever spelling.
    fn scope(&self, scope: &str) -> Option<&Scope> {
        let names = &self.scope_names;
        let other_spelling = || {
            let key = names.key(scope);
            self.scopes.iter().find(|(known, _)| names.key(known) == key).map(|(_, known)| known)
        };
        self.scopes.get(scope).or_else(other_spelling)
    }

    /// Whether these scopes ask for an id_token (OpenID Connect Core section 3.1.2.1). If they do not, no nonce is sent,
    /// and an id_token that comes all the same must not be read.
    pub fn asks_for_openid(&self, scopes: &[String]) -> bool {
        scopes.iter().any(|scope| self.scope_names.key(scope) == self.scope_names.key("openid"))
    }

    /// Those of `wanted` that `granted` neither has nor implies.
    pub fn missing_scopes(&self, wanted: &[String], granted: &[String]) -> Vec<String> {
        let contained = self.contained(granted);
        let missing = |scope: &&String| {
            let key = self.scope_names.key(scope);
            // It asks for a refresh token; several providers never list it among the granted.
            key != self.scope_names.key("offline_access") && !contained.contains(&key)
        };
        wanted.iter().filter(missing).cloned().collect()
    }

    /// Those of `granted` that are neither in `approved` nor harmless.
    pub fn unapproved_scopes(&self, granted: &[String], approved: &[String]) -> Vec<String> {
        self.scope_names.beyond(&self.scope_names.beyond(granted, approved), &self.harmless_scopes)
    }

    /// The scopes that the recipe requires and these are without: by themselves, or for one of these.
    pub fn wanting_scopes(&self, scopes: &[String]) -> Vec<String> {
        let keys = self.scope_names.keys(scopes);
        let listed = |scope: &str| keys.contains(&self.scope_names.key(scope));
        let required = self.scopes.iter().filter(|(_, known)| known.required).map(|(scope, _)| scope);
        let of_listed =
            self.scopes.iter().filter(|(scope, _)| listed(scope)).flat_map(|(_, known)| &known.requires);
        let mut wanted: Vec<String> = required.chain(of_listed).cloned().collect();
        wanted.sort_unstable();
        wanted.dedup();
        self.missing_scopes(&wanted, scopes)
    }

    /// The keys of these scopes and of all that they imply.
    fn contained<'a>(&'a self, granted: &'a [String]) -> BTreeSet<Cow<'a, str>> {
        let mut contained = BTreeSet::new();
        let mut left: Vec<&str> = granted.iter().map(String::as_str).collect();
        while let Some(scope) = left.pop() {
            if contained.insert(self.scope_names.key(scope)) {
                left.extend(
                    self.scope(scope).into_iter().flat_map(|known| &known.implies).map(String::as_str),
                );
            }
        }
        contained
    }

    /// Checks that a text is one scope as this provider takes it.
    ///
    /// # Errors
    /// [`BadScope`].
    pub fn check_scope(&self, text: &str) -> Result<(), BadScope> {
        let repeated = || text.chars().take(REPEATED).collect();
        let delimiters = self.granted_scope_delimiters.chars().map(String::from);
        let mut separators = std::iter::once(self.scope_separator.clone()).chain(delimiters);
        if let Some(separator) = separators.find(|part| !part.is_empty() && text.contains(part)) {
            return Err(BadScope::Several { text: repeated(), separator });
        }
        if is_scope_token(text) { Ok(()) } else { Err(BadScope::Characters(repeated())) }
    }
}

/// RFC 6749 section 3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
pub fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

/// OpenID Connect Core sections 3.1.2.1, 5.4 and 11.
fn standard_words(scope: &str) -> Option<&'static str> {
    Some(match scope {
        "openid" => "Know which account this is",
        "profile" => "See your name and your profile",
        "email" => "See your e-mail address",
        "address" => "See your postal address",
        "phone" => "See your telephone number",
        "offline_access" => "Keep working while you are away",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(hosts: &[&str]) -> Recipe {
        let text = serde_json::json!({"id":"x","name":"X","authorize_url":"https://x/a","token_url":"https://x/t","api_hosts":hosts});
        serde_json::from_value(text).expect("a recipe needs no more than this")
    }

    #[test]
    fn standard_scopes_have_words_at_openid_providers_and_the_recipes_own_words_win() {
        let mut r = recipe(&[]);
        assert_eq!(r.scope_words("email"), None, "another protocol may mean anything by it");
        r.issuer = Some("https://x".into());
        assert_eq!(r.scope_words("email"), Some("See your e-mail address"));
        assert_eq!(r.scope_words("notes.read"), None);
        r.scopes.insert("email".into(), "Know your address".into());
        assert_eq!(r.scope_words("email"), Some("Know your address"));
    }

    #[test]
    fn every_scope_of_the_openid_standard_has_words_at_either_kind_of_openid_provider() {
        let (mut one, mut per_tenant) = (recipe(&[]), recipe(&[]));
        one.issuer = Some("https://x".into());
        per_tenant.issuer_template = Some("https://x/{tenant}".into());
        for (scope, part) in [
            ("openid", "which account"),
            ("profile", "profile"),
            ("email", "e-mail"),
            ("address", "postal"),
            ("phone", "telephone"),
            ("offline_access", "away"),
        ] {
            let words = one.scope_words(scope).unwrap_or_default();
            assert!(words.contains(part), "{scope}: {words}");
            assert_eq!(per_tenant.scope_words(scope), Some(words));
        }
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    /// `admin` implies `write`, `write` implies `read`; a prefix and the case change nothing.
    fn with_implications() -> Recipe {
        let mut r = recipe(&[]);
        for (scope, implied) in [("https://x/Admin", "write"), ("Write", "https://x/read")] {
            r.scopes.insert(scope.into(), Scope { implies: texts(&[implied]), ..Scope::from(scope) });
        }
        r.scope_names.prefix = Some("https://x/".into());
        r.scope_names.ignore_case = true;
        r
    }

    #[test]
    fn nothing_is_missing_that_a_granted_scope_implies_over_any_number_of_steps() {
        let r = with_implications();
        let missing = |wanted: &[&str], granted: &[&str]| r.missing_scopes(&texts(wanted), &texts(granted));
        assert_eq!(missing(&["read", "WRITE", "https://x/admin"], &["admin"]), texts(&[]));
        assert_eq!(missing(&["admin", "read"], &["write"]), ["admin"], "not the other way round");
        assert_eq!(missing(&["a", "offline_access"], &[]), ["a"]);
        let mut circle = r.clone();
        circle.scopes.insert("read".into(), Scope { implies: texts(&["admin"]), ..Scope::from("Read") });
        assert_eq!(circle.missing_scopes(&texts(&["write"]), &texts(&["read"])), texts(&[]), "and it ends");
    }

    #[test]
    fn t13_implication_approves_nothing() {
        let r = with_implications();
        assert_eq!(r.unapproved_scopes(&texts(&["write"]), &texts(&["admin"])), ["write"]);
        assert_eq!(r.unapproved_scopes(&texts(&["admin"]), &texts(&["write"])), ["admin"]);
        assert_eq!(r.unapproved_scopes(&texts(&["WRITE"]), &texts(&["https://x/write"])), texts(&[]));
    }

    #[test]
    fn what_a_provider_adds_without_harm_needs_no_approval() {
        let r = Recipe { harmless_scopes: texts(&["openid"]), ..with_implications() };
        assert_eq!(r.unapproved_scopes(&texts(&["read", "OpenID", "mail"]), &texts(&["read"])), ["mail"]);
    }

    #[test]
    fn a_list_is_told_which_required_scopes_it_is_without() {
        let mut r = with_implications();
        r.scopes.insert("me".into(), Scope { required: true, ..Scope::from("Know you") });
        r.scopes.insert("send".into(), Scope { requires: texts(&["read"]), ..Scope::from("Send") });
        assert_eq!(r.wanting_scopes(&texts(&["write"])), ["me"]);
        assert_eq!(r.wanting_scopes(&texts(&["ME", "send"])), ["read"], "one of the list needs it");
        assert_eq!(r.wanting_scopes(&texts(&["https://x/me", "send", "admin"])), texts(&[]), "implied");
    }

    #[test]
    fn several_scopes_in_one_text_are_refused_where_the_provider_would_split_it() {
        let mut commas = recipe(&[]);
        (commas.scope_separator, commas.granted_scope_delimiters) = (",".into(), ",".into());
        let several = |text: &str, separator: &str| {
            Err(BadScope::Several { text: text.into(), separator: separator.into() })
        };
        assert_eq!(commas.check_scope("users:read,chat:write"), several("users:read,chat:write", ","));
        assert_eq!(recipe(&[]).check_scope("a b"), several("a b", " "));
        assert_eq!(recipe(&[]).check_scope("a,b"), several("a,b", ","), "what it grants is split there");
        assert_eq!(commas.check_scope("a b"), Err(BadScope::Characters("a b".into())));
        assert_eq!(recipe(&[]).check_scope(""), Err(BadScope::Characters(String::new())));
        assert_eq!(recipe(&[]).check_scope("https://x/a.read:all"), Ok(()));
    }

    #[test]
    fn a_scope_has_its_words_in_every_spelling() {
        let mut r = with_implications();
        r.scopes.insert("https://x/Mail.Read".into(), "Read your mail".into());
        assert_eq!(r.scope_words("mail.read"), Some("Read your mail"));
        assert!(r.asks_for_openid(&texts(&["OPENID"])) && !r.asks_for_openid(&texts(&["email"])));
        assert!(!recipe(&[]).asks_for_openid(&texts(&["OPENID"])));
    }

    #[test]
    fn openid_is_asked_for_in_whichever_name_the_provider_has_for_it() {
        let mut r = recipe(&[]);
        r.scope_names.aliases = [("openid".to_owned(), "https://x/openid".to_owned())].into();
        for asked in ["openid", "https://x/openid"] {
            assert!(r.asks_for_openid(&texts(&[asked])), "{asked}");
        }
        r.scope_names.aliases = [("offline_access".to_owned(), "offline".to_owned())].into();
        assert_eq!(r.missing_scopes(&texts(&["offline", "offline_access"]), &[]), texts(&[]));
    }

    #[test]
    fn a_scope_is_its_words_or_a_table_with_more() {
        let read = |form: serde_json::Value| serde_json::from_value::<Scope>(form).expect("a scope");
        let plain = Scope::from("Read");
        assert_eq!(read(serde_json::json!("Read")), plain);
        let table = serde_json::json!({"description":"Read","required":true,"requires":["a"]});
        assert_eq!(read(table), Scope { required: true, requires: vec!["a".into()], ..plain });
    }
}
