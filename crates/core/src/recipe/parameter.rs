//! Placeholders in a recipe's URLs: the operator fills them, or each customer does.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::Recipe;

/// A placeholder of a recipe's URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What has to be passed, in words.
    pub description: String,
    /// A value that could be right: "my-store".
    pub example: String,
    /// Who fills it. Default `operator`.
    #[serde(default, skip_serializing_if = "FilledBy::is_operator")]
    pub by: FilledBy,
    /// What part of a URL it is. Default `label`.
    #[serde(default, skip_serializing_if = "ParameterKind::is_label")]
    pub kind: ParameterKind,
}

/// Who fills a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilledBy {
    /// The operator, for every connection of an app.
    #[default]
    Operator,
    /// The app's backend or the person, for one connection. They are strangers: the value is a label and nothing else.
    Customer,
}

impl FilledBy {
    fn is_operator(&self) -> bool {
        *self == Self::Operator
    }
}

/// What part of a URL a placeholder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterKind {
    /// The whole first label of a host, below a domain that the recipe names.
    #[default]
    Label,
    /// A whole host. The operator's alone.
    Host,
    /// One whole segment of a path. The operator's alone.
    Segment,
}

impl ParameterKind {
    fn is_label(&self) -> bool {
        *self == Self::Label
    }

    /// Whether a text may take the place of the placeholder.
    pub fn takes(self, value: &str) -> bool {
        match self {
            Self::Label => is_host_label(value),
            Self::Host => is_host(value),
            Self::Segment => is_segment(value),
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Self::Label => {
                "1 to 63 of the characters a-z, 0-9 and `-`, without a `-` at either end; no dots, no URL"
            }
            Self::Host => "a host name in lower case, if need be with `:port`; no URL",
            Self::Segment => "1 to 64 of the characters a-z, A-Z, 0-9, `-`, `_`, `.` and `~`; no slash",
        }
    }
}

/// The values of the placeholders that a customer fills, by name.
pub type Filled = BTreeMap<String, String>;

/// Why a placeholder was not filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameter {
    /// The recipe has no such placeholder, or it was filled already.
    #[error("the provider has no parameter \"{0}\"")]
    Unknown(String),
    /// The recipe has a placeholder that was not filled.
    #[error("the parameter \"{0}\" is missing")]
    Missing(String),
    /// Not what the placeholder stands for.
    #[error("the parameter \"{name}\" must be {rule}, like \"{example}\"")]
    Value {
        /// The parameter's name.
        name: String,
        /// What a value must be.
        rule: &'static str,
        /// A value that would be accepted.
        example: String,
    },
}

impl BadParameter {
    /// The parameter's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown(name) | Self::Missing(name) | Self::Value { name, .. } => name,
        }
    }
}

impl Recipe {
    /// Puts a value for a placeholder into every URL and host that contains it, and removes the parameter.
    ///
    /// A label (RFC 1123) has no dot, no slash, no `@`: it can choose among the provider's hosts, but never somebody else's
    /// host.
    ///
    /// # Errors
    /// [`BadParameter`]; nothing was changed.
    pub fn fill(&mut self, name: &str, value: &str) -> Result<(), BadParameter> {
        self.may_fill(name, value)?;
        self.parameters.remove(name);
        let placeholder = format!("{{{name}}}");
        self.placed().for_each(|text| *text = text.replace(&placeholder, value));
        Ok(())
    }

    /// Whether [`Self::fill`] would take the value.
    ///
    /// # Errors
    /// [`BadParameter`].
    pub fn may_fill(&self, name: &str, value: &str) -> Result<(), BadParameter> {
        let parameter = self.parameters.get(name).ok_or_else(|| BadParameter::Unknown(name.to_owned()))?;
        if parameter.kind.takes(value) {
            return Ok(());
        }
        let (rule, example) = (parameter.kind.rule(), parameter.example.clone());
        Err(BadParameter::Value { name: name.to_owned(), rule, example })
    }

    /// The recipe for one customer: with every placeholder filled.
    ///
    /// # Errors
    /// [`BadParameter`].
    pub fn for_customer(&self, filled: &Filled) -> Result<Cow<'_, Self>, BadParameter> {
        if self.parameters.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let mut own = self.clone();
        for (name, value) in filled.iter().filter(|(name, _)| self.parameters.contains_key(*name)) {
            own.fill(name, value)?;
        }
        match own.parameters.first_key_value() {
            Some((open, _)) => Err(BadParameter::Missing(open.clone())),
            None => Ok(Cow::Owned(own)),
        }
    }

    /// The first placeholder that the operator has to fill and has not.
    pub fn open_parameter(&self) -> Option<(&String, &Parameter)> {
        self.parameters.iter().find(|(_, parameter)| parameter.by == FilledBy::Operator)
    }

    /// The host in which a placeholder stands: `{shop}.shops.example`. For people, who see what comes after it.
    pub fn host_with(&self, name: &str) -> Option<&str> {
        let placeholder = format!("{{{name}}}");
        let urls = [&self.authorize_url, &self.token_url].into_iter();
        let mut hosts = urls.chain(&self.api_hosts).map(|text| {
            let rest = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
            rest.split(['/', '?', '#']).next().unwrap_or_default()
        });
        hosts.find(|host| host.contains(&placeholder))
    }

    /// Where placeholders may stand.
    fn placed(&mut self) -> impl Iterator<Item = &mut String> {
        [&mut self.authorize_url, &mut self.token_url]
            .into_iter()
            .chain(self.issuer.as_mut())
            .chain(self.jwks_url.as_mut())
            .chain(self.userinfo_url.as_mut())
            .chain(self.revoke_url.as_mut())
            .chain(self.revoke.as_mut().map(|revoke| &mut revoke.url))
            .chain(self.refresh.url.as_mut())
            .chain(self.api_hosts.iter_mut())
    }
}

/// A host name that people can read in a URL, if need be with a port. Its last label begins with a letter: the forms of
/// addresses that only some parsers read as one do not. Which address it has, the guard at the way out looks at.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let port_fits = port.is_none_or(|digits| {
        digits.parse::<u16>().is_ok_and(|port| port > 0 && port != 443 && port.to_string() == digits)
    });
    host.len() <= 253
        && host.contains('.')
        && host.split('.').all(label)
        && last.starts_with(|c: char| c.is_ascii_lowercase())
        && port_fits
}

/// One segment of a path. A dot segment would lead elsewhere.
fn is_segment(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
        && !matches!(text, "." | "..")
}

/// One label of a host name, in lower case. No punycode: nobody can read what it means.
fn is_host_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.starts_with("xn--")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Recipe {
        serde_json::from_value(serde_json::json!({"id": "shop", "name": "Shop",
            "authorize_url": "https://{shop}.shops.example/authorize", "token_url": "https://{shop}.shops.example/token",
            "userinfo_url": "https://{shop}.shops.example/shop.json", "api_hosts": ["{shop}.shops.example"],
            "parameters": {"shop": {"description": "The shop", "example": "my-store"}}}))
        .expect("a recipe")
    }

    #[test]
    fn t81_a_placeholder_takes_one_host_label_and_nothing_that_could_be_another_host() {
        let mut good = shop();
        good.fill("shop", "my-store").expect("a label");
        assert_eq!(good.token_url, "https://my-store.shops.example/token");
        assert_eq!(good.userinfo_url.as_deref(), Some("https://my-store.shops.example/shop.json"));
        assert!(good.parameters.is_empty());
        assert!(good.api_url("https://my-store.shops.example/x").is_some());
        assert!(good.api_url("https://other.shops.example/x").is_none());
        assert_eq!(good.fill("shop", "again"), Err(BadParameter::Unknown("shop".into())));
        let long = "a".repeat(64);
        for bad in [
            "",
            "evil.example",
            "evil.example/",
            "evil.example#",
            "evil.example?x=",
            "user@evil",
            "a:443",
            "a/b",
            "a\\b",
            "-a",
            "a-",
            "My-Store",
            "a b",
            "a\n",
            "{shop}",
            "bücher",
            "xn--bcher-kva",
            "%2e",
            &long,
        ] {
            let mut recipe = shop();
            assert!(matches!(recipe.fill("shop", bad), Err(BadParameter::Value { .. })), "{bad:?}");
            assert_eq!(recipe, shop(), "nothing is changed");
        }
    }

    #[test]
    fn t81_only_an_operator_names_a_host_and_never_an_address_or_a_url() {
        for good in ["login.acme.example", "login.acme.example:8443", "xn--bcher-kva.example", "a.b"] {
            assert!(ParameterKind::Host.takes(good), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "127.0.0.1",
            "0x7f.0x1",
            "1.2",
            "a.b.",
            ".a.b",
            "a..b",
            "A.b",
            "a.b/",
            "a.b/c",
            "a.b?c",
            "a.b#c",
            "u@a.b",
            "a.b:",
            "a.b:0",
            "a.b:443",
            "a.b:080",
            "a.b:99999",
            "a.b:1:2",
            "[::1]",
            "a.b\\c",
            "a_c.b",
            "-a.b",
            "{x}.b",
        ] {
            assert!(!ParameterKind::Host.takes(bad), "{bad:?}");
        }
    }

    #[test]
    fn t81_a_segment_of_a_path_does_not_lead_out_of_it() {
        for good in ["acme", "Acme_1.2~x-y", "4f0d"] {
            assert!(ParameterKind::Segment.takes(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a\\b", "%2e", "a b", "a?b", "a#b", "a;b", "{x}"] {
            assert!(!ParameterKind::Segment.takes(bad), "{bad:?}");
        }
    }

    #[test]
    fn t81_a_customers_recipe_has_every_placeholder_filled_and_no_other_host() {
        let filled = |value: &str| Filled::from([("shop".to_owned(), value.to_owned())]);
        let shop = shop();
        let acme = shop.for_customer(&filled("acme")).expect("a label");
        assert_eq!(acme.token_url, "https://acme.shops.example/token");
        assert!(acme.api_url("https://acme.shops.example/x").is_some());
        assert!(acme.api_url("https://other.shops.example/x").is_none());
        assert_eq!(shop.host_with("shop"), Some("{shop}.shops.example"));
        assert_eq!((shop.host_with("other"), acme.host_with("shop")), (None, None));
        assert_eq!(shop.for_customer(&Filled::new()), Err(BadParameter::Missing("shop".into())));
        let evil = shop.for_customer(&filled("evil.example/"));
        assert!(matches!(evil, Err(BadParameter::Value { .. })), "{evil:?}");
        assert_eq!(acme.for_customer(&filled("other")).expect("nothing is open"), acme, "and stays so");
    }

    #[test]
    fn a_parameter_of_before_is_a_label_that_the_operator_fills() {
        let shop = shop();
        let parameter = &shop.parameters["shop"];
        assert_eq!((parameter.by, parameter.kind), (FilledBy::Operator, ParameterKind::Label));
        let written = serde_json::to_value(parameter).expect("JSON");
        assert_eq!(written, serde_json::json!({"description": "The shop", "example": "my-store"}));
    }

    #[test]
    fn a_host_whose_placeholder_was_not_filled_is_nowhere() {
        assert!(shop().api_url("https://my-store.shops.example/x").is_none());
    }
}
