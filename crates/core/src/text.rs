//! Characters that people cannot see or that reverse the direction of a line. They are not allowed in a name, and pages
//! and logs leave them out of text that others wrote (T26). Every script of the world stays, with the joiners that
//! Persian, Indic scripts and emoji need.

/// White space in the wide sense: also the "letters" that fonts draw as nothing.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}')
}

/// Invisible itself, but changes how its neighbours look.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' // soft hyphen
            | '\u{061c}' | '\u{200e}' | '\u{200f}' // direction marks
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // embeddings, overrides, isolates (UAX 9)
            | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' // zero width, deprecated
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // byte order mark, annotations
            | '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}' // not characters
            | '\u{e0000}'..='\u{e007f}' // tags: a second text hidden in the first
        )
}

/// One line without hidden characters; runs of white space become one space.
pub fn one_line(chars: impl Iterator<Item = char>) -> String {
    let mut line = String::new();
    for c in chars {
        if is_blank(c) {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !is_hidden(c) {
            line.push(c);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Whether the text is not empty and [`one_line`] leaves it as it is.
pub fn is_one_line(text: &str) -> bool {
    !text.is_empty() && one_line(text.chars()) == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t26_a_name_is_what_people_see() {
        for good in ["mailbot", "Grüße 世界", "\u{1f469}\u{200d}\u{1f4bb}", "نیم\u{200c}فاصله"] {
            assert!(is_one_line(good), "{good}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "a  b",
            "a\nb",
            "\u{200b}",
            "mail\u{200b}bot",
            "\u{202e}x",
            "\u{2800}",
            "a\u{3164}",
            "\u{e0041}x",
        ] {
            assert!(!is_one_line(bad), "{bad:?}");
        }
    }
}
