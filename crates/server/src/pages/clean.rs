//! Cleaning text that others supplied (app names, account names, a provider's error words) before people read it. Escaping
//! for HTML is not done here: the templates escape everything.
//!
//! Removed: characters that are invisible, reorder the line, or break it. Kept: every script of the world, with the
//! joiners that Persian, Indic scripts and emoji need.

use alter_core::text::one_line;

/// The most characters of a supplied text that a page shows, the ellipsis included.
pub(super) const LIMIT: usize = 200;

/// The most characters of an origin that a page shows: more than any valid one has (253 for the host).
const ORIGIN_LIMIT: usize = 300;

/// One line of at most [`LIMIT`] characters without control, invisible or direction-changing characters;
/// runs of white space become one space. Cut text ends in an ellipsis.
pub(super) fn clean(text: &str) -> String {
    // At most ten times the limit is read, so a megabyte of blanks costs no more than a sentence.
    let line = one_line(text.chars().take(LIMIT * 10));
    if line.chars().count() <= LIMIT {
        return line;
    }
    let kept: String = line.chars().take(LIMIT - 1).collect();
    format!("{}…", kept.trim_end())
}

/// An origin or address, which must never be cut at its end: the end of a host name says who owns it
/// (`accounts.example.com.` + padding + `.evil.example`). One that is too long loses its beginning.
pub(super) fn clean_origin(origin: &str) -> String {
    let line = one_line(origin.chars());
    let length = line.chars().count();
    if length <= ORIGIN_LIMIT {
        return line;
    }
    let kept: String = line.chars().skip(length - ORIGIN_LIMIT + 1).collect();
    format!("…{kept}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_of_all_scripts_pass_unchanged() {
        for name in
            ["Acme Notes", "Ünïcode & Söhne", "株式会社メモ", "می‌خواهم", "👩‍💻 Dev", "عمل", "O’Reilly <3"]
        {
            assert_eq!(clean(name), name);
        }
    }

    #[test]
    fn t26_control_and_direction_characters_are_dropped() {
        assert_eq!(clean("a\u{202e}b\u{2066}c\u{200f}d\u{0}e\u{1b}[31mf\u{7f}g\u{9b}h"), "abcde[31mfgh");
        assert_eq!(clean("pay\u{200b}pal\u{feff}\u{00ad}"), "paypal");
        assert_eq!(clean("Acme\u{e0041}\u{e0042}"), "Acme");
    }

    #[test]
    fn t26_line_breaks_and_blank_letters_become_one_space() {
        assert_eq!(clean("  a\r\nb\u{2028}\u{2029}c\t\u{a0}\u{3164}d  "), "a b c d");
        assert_eq!(clean("\u{3164}\u{2800}\u{202e}"), "");
    }

    #[test]
    fn t26_a_megabyte_is_cut_to_200_characters() {
        let cut = clean(&"é".repeat(1 << 20));
        assert_eq!(cut.chars().count(), LIMIT);
        assert!(cut.ends_with('…'));
        assert_eq!(clean(&"é".repeat(LIMIT)).chars().count(), LIMIT);
        assert!(!clean(&"é".repeat(LIMIT)).ends_with('…'));
    }

    #[test]
    fn the_end_of_an_origin_is_never_cut() {
        let long = format!("https://accounts.example.com.{}.evil.example", "a".repeat(400));
        let shown = clean_origin(&long);
        assert!(shown.starts_with('…') && shown.ends_with(".evil.example"));
        assert_eq!(shown.chars().count(), ORIGIN_LIMIT);
        assert_eq!(clean_origin("https://app.example.com:8443"), "https://app.example.com:8443");
    }
}
