//! The one rule for every name that a person reads: of an app, an agent, a key, a provider, a label. People must see all
//! of it, so that no two names look alike because of what they hide (T13, T26). The rule is for what comes in; a name that
//! was stored before it stays.

use crate::text::{first_unseen, is_one_line};

/// Longest name of an app, an agent or a key, characters.
pub const NAME_MAX: usize = 80;

/// Why a text is no name. Its words follow the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It is empty, or longer than this many characters.
    #[error("must have 1 to {0} characters")]
    Length(usize),
    /// The character, the `at`-th, shows nothing where it stands.
    #[error(
        "is a name that people would not see as it is: take out character {at}, U+{:04X}, which shows nothing there",
        u32::from(*c)
    )]
    Unseen {
        /// Its place, from 1.
        at: usize,
        /// The character.
        c: char,
    },
    /// A line break, a space that is not U+0020, or one too many.
    #[error("must be one line, with single spaces (U+0020) between words and none at its ends")]
    Spaces,
}

/// Checks a name of at most `max` characters.
///
/// # Errors
/// What is wrong with it, in words for whoever gave it.
pub fn check_name(text: &str, max: usize) -> Result<(), BadName> {
    if text.is_empty() || text.chars().nth(max).is_some() {
        return Err(BadName::Length(max));
    }
    if let Some((at, c)) = first_unseen(text) {
        return Err(BadName::Unseen { at, c });
    }
    if is_one_line(text) { Ok(()) } else { Err(BadName::Spaces) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t26_a_name_is_refused_with_what_is_to_be_taken_out() {
        for good in ["mailbot", "Grüße 世界", "👩\u{200d}💻", "نیم\u{200c}فاصله", &"é".repeat(80)]
        {
            assert_eq!(check_name(good, 80), Ok(()), "{good}");
        }
        let words = |text: &str| check_name(text, 80).expect_err("it is no name").to_string();
        for long in ["", &"é".repeat(81)] {
            assert_eq!(words(long), "must have 1 to 80 characters");
        }
        for alone in ["\u{200d}", "\u{fe0f}", "\u{34f}", "\u{17b4}", "\u{1d173}", "\u{301}", "\u{3164}"] {
            let words = words(alone);
            assert!(words.starts_with("is a name that people would not see"), "{words}");
        }
        assert!(words("Acme\u{202e}").contains("take out character 5, U+202E,"));
        for spaces in [" ", " a", "a ", "a  b", "a\u{a0}b", "a\u{3000}b", "a\u{2028}b"] {
            assert!(words(spaces).starts_with("must be one line"), "{spaces:?}");
        }
        assert!(words("a\nb").starts_with("must be one line"));
    }
}
