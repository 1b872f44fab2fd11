//! Facts beside a token: what a provider says of the account's place (`instance_url`, a team, a realm). They are returned to
//! the app as they came. No credential is sent anywhere because of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text::is_hidden;

/// How many facts a grant may have.
pub const FACTS_MAX: usize = 10;

/// How many characters a fact may have. A longer one is left out: half of a URL is another URL.
const VALUE_MAX: usize = 2048;

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// As the provider wrote it.
    pub value: String,
    /// It came from the provider itself. Otherwise a browser brought it, and whoever sat there may have written it.
    pub verified: bool,
}

/// A grant's facts, by the names that the recipe gives them.
pub type Facts = BTreeMap<String, Fact>;

/// The text of a fact; `None` when it is not one that can be kept and shown.
pub fn fact_text(value: &serde_json::Value) -> Option<String> {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::Bool(yes) => yes.to_string(),
        _ => return None,
    };
    let plain = !text.chars().any(|c| is_hidden(c) || c.is_control());
    (plain && !text.trim().is_empty() && text.chars().count() <= VALUE_MAX).then_some(text)
}

/// Whether a fact may have this name: `[a-z][a-z0-9_]{0,49}`.
pub fn is_fact_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.len() <= 50 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fact_is_a_short_plain_text_and_nothing_else() {
        let long = "a".repeat(VALUE_MAX + 1);
        for (value, text) in [
            (json!("https://acme.my.salesforce.example"), Some("https://acme.my.salesforce.example")),
            (json!(7), Some("7")),
            (json!(true), Some("true")),
            (json!(""), None),
            (json!(" "), None),
            (json!("a\nb"), None),
            (json!("a\u{202e}b"), None),
            (json!(null), None),
            (json!({"url": "x"}), None),
            (json!(["x"]), None),
            (json!(long), None),
        ] {
            assert_eq!(fact_text(&value).as_deref(), text, "{value}");
        }
    }

    #[test]
    fn a_name_is_one_that_every_program_can_use() {
        for good in ["a", "instance_url", "realm2"] {
            assert!(is_fact_name(good), "{good}");
        }
        for bad in ["", "A", "2a", "_a", "a-b", "a.b", "a b", &"a".repeat(51)] {
            assert!(!is_fact_name(bad), "{bad}");
        }
    }
}
