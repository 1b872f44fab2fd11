//! What a scope allows, in words.

use serde::{Deserialize, Serialize};

use super::Recipe;

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
}

impl From<&str> for Scope {
    fn from(words: &str) -> Self {
        Self { description: words.into(), required: false, requires: Vec::new() }
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
}

impl From<ScopeForm> for Scope {
    fn from(form: ScopeForm) -> Self {
        match form {
            ScopeForm::Words(words) => words.as_str().into(),
            ScopeForm::Table(ScopeTable { description, required, requires }) => {
                Self { description, required, requires }
            }
        }
    }
}

impl Recipe {
    /// The words for a scope: the recipe's own, or at an OpenID provider those of the standard's scopes.
    pub fn scope_words(&self, scope: &str) -> Option<&str> {
        let own = self.scopes.get(scope).map(|known| known.description.as_str());
        own.or_else(|| {
            standard_words(scope).filter(|_| self.issuer.is_some() || self.issuer_template.is_some())
        })
    }
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

    #[test]
    fn a_scope_is_its_words_or_a_table_with_more() {
        let read = |form: serde_json::Value| serde_json::from_value::<Scope>(form).expect("a scope");
        let plain = Scope { description: "Read".into(), required: false, requires: Vec::new() };
        assert_eq!(read(serde_json::json!("Read")), plain);
        let table = serde_json::json!({"description":"Read","required":true,"requires":["a"]});
        assert_eq!(read(table), Scope { required: true, requires: vec!["a".into()], ..plain });
    }
}
