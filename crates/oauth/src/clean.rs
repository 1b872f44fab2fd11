//! Cleans text from strangers so that it can be stored, shown and logged (T26). Values that must be compared exactly
//! (tokens, subjects, issuers) are never cleaned: an unfit one is refused.

use alter_core::text::{is_hidden, one_line};

/// Makes a label for people: removes control, invisible formatting and bidirectional characters, collapses white space,
/// and cuts to `max` characters. Returns `None` when nothing is left.
pub(crate) fn label(raw: &str, max: usize) -> Option<String> {
    // Twice: what joined the last character to one that was cut off shows nothing now.
    let label = one_line(one_line(raw.chars()).chars().take(max));
    (!label.is_empty()).then_some(label)
}

/// Whether the character is visible text: it does not hide, reorder or control anything.
fn shows(c: &char) -> bool {
    !is_hidden(*c) && !matches!(*c, '\u{2028}' | '\u{2029}')
}

/// Whether a value that must not be changed can be shown without harm.
pub(crate) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| shows(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t26_a_label_keeps_letters_of_any_script_and_nothing_that_hides() {
        for (raw, shown) in [
            ("Alex Winter", Some("Alex Winter")),
            ("  Alex \t\r\n Winter ", Some("Alex Winter")),
            ("\u{202e}moc.live@xela\u{202c}", Some("moc.live@xela")),
            ("a\u{0}b\u{1b}[2Jc\u{feff}", Some("ab[2Jc")),
            ("محمد", Some("محمد")),
            ("山田 太郎", Some("山田 太郎")),
            ("\u{200b}\u{2066} \u{2069}", None),
            ("", None),
        ] {
            assert_eq!(label(raw, 320).as_deref(), shown, "{raw:?}");
        }
        assert_eq!(label("👩\u{200d}💻", 2).as_deref(), Some("👩"), "nothing is joined to what was cut off");
        assert_eq!(label(&"é".repeat(1000), 320).map(|l| l.chars().count()), Some(320));
    }
}
