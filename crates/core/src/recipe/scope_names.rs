//! How a provider spells its scopes. What was asked for and what was granted are compared by [`ScopeNames::key`], never as
//! texts: several providers answer in another spelling than they were asked in.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

/// The spellings that mean one scope. Two scopes with the same key are the same scope.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeNames {
    /// May stand before every scope, and changes nothing (`https://graph.microsoft.com/`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Upper and lower case are the same (ASCII).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
    /// Other spellings, each with the scope that it means (`email` at Google).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
}

impl ScopeNames {
    /// Whether every scope has one spelling.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The one spelling of a scope, to compare it by; not to be sent or shown.
    pub fn key<'a>(&'a self, scope: &'a str) -> Cow<'a, str> {
        let key = self.spelt(scope);
        let means = self.aliases.iter().find(|(alias, _)| self.spelt(alias) == key);
        means.map_or(key, |(_, scope)| self.spelt(scope))
    }

    /// The keys of a list.
    pub fn keys<'a>(&'a self, scopes: &'a [String]) -> BTreeSet<Cow<'a, str>> {
        scopes.iter().map(|scope| self.key(scope)).collect()
    }

    /// Those scopes of `list` that are among `others`, as `list` spells them.
    pub fn shared(&self, list: &[String], others: &[String]) -> Vec<String> {
        let keys = self.keys(others);
        list.iter().filter(|scope| keys.contains(&self.key(scope))).cloned().collect()
    }

    /// Those scopes of `list` that are not among `others`, as `list` spells them.
    pub fn beyond(&self, list: &[String], others: &[String]) -> Vec<String> {
        let keys = self.keys(others);
        list.iter().filter(|scope| !keys.contains(&self.key(scope))).cloned().collect()
    }

    /// A scope without the prefix, and in lower case where the case says nothing.
    pub fn spelt<'a>(&self, scope: &'a str) -> Cow<'a, str> {
        let bare = self.prefix.as_deref().and_then(|prefix| self.without(prefix, scope)).unwrap_or(scope);
        if self.ignore_case && bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(bare.to_ascii_lowercase())
        } else {
            Cow::Borrowed(bare)
        }
    }

    /// `None` when the prefix is not there, or is all there is.
    fn without<'a>(&self, prefix: &str, scope: &'a str) -> Option<&'a str> {
        let (start, rest) = scope.split_at_checked(prefix.len())?;
        let starts = if self.ignore_case { start.eq_ignore_ascii_case(prefix) } else { start == prefix };
        (starts && !rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> ScopeNames {
        ScopeNames {
            prefix: Some("https://graph.microsoft.com/".into()),
            ignore_case: true,
            ..ScopeNames::default()
        }
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn a_prefix_and_the_case_change_nothing_where_the_provider_says_so() {
        let names = graph();
        for same in [
            "User.Read",
            "user.read",
            "https://graph.microsoft.com/User.Read",
            "HTTPS://Graph.Microsoft.com/USER.READ",
        ] {
            assert_eq!(names.key(same), "user.read", "{same}");
        }
        for other in ["https://outlook.office.com/User.Read", "User.Read.All", "https://graph.microsoft.com/"]
        {
            assert_ne!(names.key(other), "user.read", "{other}");
        }
        assert_eq!(names.key("https://graph.microsoft.com/"), "https://graph.microsoft.com/", "no empty key");
    }

    #[test]
    fn elsewhere_a_scope_is_compared_to_the_letter() {
        let names = ScopeNames::default();
        assert!(names.is_plain() && !graph().is_plain());
        assert_ne!(names.key("User.Read"), names.key("user.read"));
        assert_ne!(names.key("https://graph.microsoft.com/User.Read"), names.key("User.Read"));
    }

    #[test]
    fn an_alias_is_the_scope_that_it_means_in_whichever_spelling() {
        let alias = |from: &str, to: &str| [(from.to_owned(), to.to_owned())].into();
        let google =
            ScopeNames { aliases: alias("email", "https://g/userinfo.email"), ..ScopeNames::default() };
        assert_eq!(google.key("email"), google.key("https://g/userinfo.email"));
        assert_ne!(google.key("email"), google.key("Email"));
        let both = ScopeNames { aliases: alias("Mail", "https://graph.microsoft.com/Mail.Read"), ..graph() };
        assert_eq!(both.key("https://graph.microsoft.com/MAIL"), both.key("mail.read"));
    }

    #[test]
    fn lists_are_compared_by_key_and_keep_their_spelling() {
        let names = graph();
        let granted = texts(&["User.Read", "Mail.Read"]);
        let asked = texts(&["https://graph.microsoft.com/User.Read"]);
        assert_eq!(names.shared(&granted, &asked), ["User.Read"]);
        assert_eq!(names.beyond(&granted, &asked), ["Mail.Read"]);
        assert_eq!(names.beyond(&asked, &granted), texts(&[]));
    }
}
