//! What a provider said about an error in its own words (`error_description`). They are for the operator's log and for the
//! app's developer; they decide nothing, and no page shows them (T26).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::text::one_line;

/// How many characters are kept.
const WORDS_MAX: usize = 200;

/// A run of letters and digits of this length may be a secret, or a number that only the provider understands.
const OPAQUE_MIN: usize = 16;

/// No word that people read is this long.
const WORD_MAX: usize = 64;

/// Stands in place of what may be a secret.
const MASK: &str = "[...]";

/// A provider's words, cleaned: one line of at most 200 characters, in which nothing hides, breaks the line or commands a
/// terminal, and in which no run of characters could be a code or a token.
///
/// Its constructor cleans, so an unclean value cannot exist. Whoever writes them into a page or a document escapes them there,
/// as any other text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderWords(String);

impl ProviderWords {
    /// Cleans what a provider sent; `None` when nothing is left. `ours` are the secrets that this server had sent: a provider
    /// may repeat them. They are taken out first, while they are whole.
    pub fn cleaned<'a>(sent: &str, ours: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        // Longer than what is kept, so that masking sees a secret whole; shorter than what could cost time.
        let sent: String = sent.chars().take(WORDS_MAX * 8).collect();
        let ours = ours.into_iter().filter(|secret| !secret.is_empty());
        let sent = ours.fold(sent, |sent, secret| sent.replace(secret, MASK));
        let line = masked(&one_line(sent.chars()));
        let line = one_line(one_line(line.chars()).chars().take(WORDS_MAX));
        (!line.is_empty()).then_some(Self(line))
    }

    /// The cleaned text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Masks runs of letters, digits and the signs of base64 that are long and have a digit, as codes and tokens do.
fn masked(line: &str) -> String {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=".contains(c);
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c| inside(c) != inside(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(run);
        let long = run.len() >= OPAQUE_MIN && run.bytes().any(|b| b.is_ascii_digit());
        let opaque = inside(first) && (long || run.len() > WORD_MAX);
        text.push_str(if opaque { MASK } else { run });
        rest = after;
    }
    text
}

impl fmt::Display for ProviderWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Cleans again: a value in the database may have been written by something else.
impl<'de> Deserialize<'de> for ProviderWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = String::deserialize(deserializer)?;
        Ok(Self::cleaned(&stored, []).unwrap_or(Self(MASK.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(sent: &str) -> Option<String> {
        ProviderWords::cleaned(sent, []).map(|words| words.as_str().to_owned())
    }

    #[test]
    fn t26_words_are_one_short_line_that_hides_and_commands_nothing() {
        for (sent, shown) in [
            ("The code has expired.", Some("The code has expired.")),
            ("  two \r\n lines\t", Some("two lines")),
            ("\u{1b}[31mred\u{7}", Some("[31mred")),
            ("\u{202e}desrever\u{202c} a\u{200b}b", Some("desrever ab")),
            ("\u{0}\u{feff}", None),
            ("", None),
        ] {
            assert_eq!(cleaned(sent).as_deref(), shown, "{sent:?}");
        }
        assert_eq!(cleaned(&"é ".repeat(100_000)).map(|words| words.chars().count()), Some(199));
    }

    #[test]
    fn what_may_be_a_secret_is_masked_and_what_people_read_stays() {
        for plain in [
            "AADSTS70008: The refresh token has expired due to inactivity.",
            "User.Read and https://graph.microsoft.com/.default are not allowed",
            "expired at 2026-11-30 10:00:00Z",
            "internationalization_unsupported",
        ] {
            assert_eq!(cleaned(plain).as_deref(), Some(plain));
        }
        let long = format!("{}1", "a".repeat(5000));
        for secret in ["canary-echoed-token-0x33", "eyJhbGciOiJub25lIn0.e30.c2ln", "a1b2c3d4e5f6a7b8", &long]
        {
            let words = cleaned(&format!("the code {secret} is wrong")).expect("the rest");
            assert!(words.starts_with("the code [...]"), "{secret}: {words}");
        }
        assert_eq!(cleaned("bad code=a1b2c3d4e5f6a7b8&x").as_deref(), Some("bad [...]&x"));
    }

    #[test]
    fn a_secret_that_we_sent_is_taken_out_however_short_it_is() {
        let without = |sent: &str, ours: &[&str]| {
            let words = ProviderWords::cleaned(sent, ours.iter().copied());
            words.map(|words| words.as_str().to_owned())
        };
        assert_eq!(without("pw is wrong, said pw", &["pw"]).as_deref(), Some("[...] is wrong, said [...]"));
        assert_eq!(without("no pw here", &["", "other"]).as_deref(), Some("no pw here"));
        let cut = format!("{} s!cret-of!ours", "word ".repeat(39));
        let seen = without(&cut, &["s!cret-of!ours"]).expect("words");
        assert!(!seen.contains("s!c"), "nor its beginning at the end of a long text: {seen}");
    }

    #[test]
    fn t26_stored_words_that_are_not_clean_are_cleaned() {
        let words: ProviderWords = serde_json::from_str("\"a\\nb\"").expect("a text");
        assert_eq!(words.as_str(), "a b");
    }
}
