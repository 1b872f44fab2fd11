//! Placeholders in a recipe's hosts, which the operator fills.

use serde::{Deserialize, Serialize};

use super::Recipe;

/// A placeholder of a recipe's hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What the operator has to pass, in words.
    pub description: String,
    /// A value that could be right: "my-store".
    pub example: String,
}

/// Why a placeholder was not filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameter {
    /// The recipe has no such placeholder, or it was filled already.
    #[error("the provider has no parameter \"{0}\"")]
    Unknown(String),
    /// Not one host label.
    #[error(
        "the parameter \"{name}\" must be 1 to 63 of the characters a-z, 0-9 and `-`, without a `-` at either end, like \
         \"{example}\"; no dots, no URL"
    )]
    Value {
        /// The parameter's name.
        name: String,
        /// A value that would be accepted.
        example: String,
    },
}

impl Recipe {
    /// Puts a value for a placeholder into every URL and host that contains it, and removes the parameter.
    ///
    /// The value is one host label (RFC 1123) and nothing else: no dot, no slash, no `@`. It can choose among the provider's
    /// hosts, but never somebody else's host.
    ///
    /// # Errors
    /// [`BadParameter`]; nothing was changed.
    pub fn fill(&mut self, name: &str, value: &str) -> Result<(), BadParameter> {
        let Some(parameter) = self.parameters.get(name) else {
            return Err(BadParameter::Unknown(name.to_owned()));
        };
        if !is_host_label(value) {
            let example = parameter.example.clone();
            return Err(BadParameter::Value { name: name.to_owned(), example });
        }
        self.parameters.remove(name);
        let placeholder = format!("{{{name}}}");
        self.placed().for_each(|text| *text = text.replace(&placeholder, value));
        Ok(())
    }

    /// Where placeholders may stand.
    fn placed(&mut self) -> impl Iterator<Item = &mut String> {
        [&mut self.authorize_url, &mut self.token_url]
            .into_iter()
            .chain(self.userinfo_url.as_mut())
            .chain(self.revoke_url.as_mut())
            .chain(self.revoke.as_mut().map(|revoke| &mut revoke.url))
            .chain(self.refresh.url.as_mut())
            .chain(self.api_hosts.iter_mut())
    }
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
    fn a_host_whose_placeholder_was_not_filled_is_nowhere() {
        assert!(shop().api_url("https://my-store.shops.example/x").is_none());
    }
}
