//! Text that a stranger wrote, made fit to be stored, shown and logged (T26). What must be compared exactly (tokens,
//! subjects, issuers) is never cleaned: it is refused instead.

use alter_core::text::{is_hidden, one_line};

/// Characters kept of an error code.
const CODE_MAX: usize = 64;

/// Stands for an error code of which nothing is left.
const NO_CODE: &str = "unknown_error";

/// An error code in the alphabet `[a-z0-9_.-]`, 1 to 64 characters: lower case, white space as `_`, all else dropped.
pub(crate) fn error_code(raw: &str) -> String {
    let kept = raw.trim().chars().filter_map(|c| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '.' | '-') => Some(c),
        ' ' => Some('_'),
        _ => None,
    });
    let code: String = kept.take(CODE_MAX).collect();
    if code.is_empty() { NO_CODE.to_owned() } else { code }
}

/// A label for people: no control, no invisible formatting or bidirectional characters, white space collapsed,
/// at most `max` characters. `None` when nothing is left.
pub(crate) fn label(raw: &str, max: usize) -> Option<String> {
    let label: String = one_line(raw.chars()).chars().take(max).collect();
    let label = label.trim_end();
    (!label.is_empty()).then(|| label.to_owned())
}

/// Whether the character is none that hides, reorders or controls.
fn shows(c: &char) -> bool {
    !is_hidden(*c) && !matches!(*c, '\u{2028}' | '\u{2029}')
}

/// Whether a value that must stay exactly as it is could be shown without harm.
pub(crate) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| shows(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t26_an_error_code_is_in_its_alphabet_whatever_was_sent() {
        for (raw, code) in [
            ("access_denied", "access_denied"),
            (" Access Denied ", "access_denied"),
            ("<script>alert(1)</script>", "scriptalert1script"),
            ("a\r\nSet-Cookie: x=1", "aset-cookie_x1"),
            ("\u{1b}[31mred", "31mred"),
            ("\u{202e}kcatta", "kcatta"),
            ("", "unknown_error"),
            ("\u{0}\u{7f}<>", "unknown_error"),
            ("\u{ff21}", "unknown_error"),
        ] {
            assert_eq!(error_code(raw), code, "{raw:?}");
        }
        assert_eq!(error_code(&"x".repeat(1_000_000)).len(), 64);
    }

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
        assert_eq!(label(&"é".repeat(1000), 320).map(|l| l.chars().count()), Some(320));
    }
}
