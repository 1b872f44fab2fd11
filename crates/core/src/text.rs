//! What people see of a text: characters that show nothing, or that reverse the direction of a line. A name has none of
//! them ([`crate::name`]); pages and logs leave them out of text that others wrote (T26), and a terminal prints their
//! numbers. Every script of the world stays, with the joiners that Persian, Indic scripts and emoji need.
//!
//! Which character shows something at its place, `sight` decides, once for all of these.

mod sight;

use sight::{Sight, sights};

/// White space in the wide sense: also the "letters" that fonts draw as nothing.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // fillers of Hangul syllables
            | '\u{2800}' | '\u{1d159}' | '\u{13441}' | '\u{13442}' // braille, music, hieroglyphs
        )
}

/// Invisible wherever it stands. Joiners and variation selectors, which may be visible by their neighbours, are not.
pub fn is_hidden(c: char) -> bool {
    sight::is_hidden(c) && !sight::is_joiner(c) && !sight::is_selector(c)
}

/// One line without characters that show nothing; runs of white space become one space.
pub fn one_line(chars: impl Iterator<Item = char>) -> String {
    let chars: Vec<char> = chars.collect();
    let mut line = String::with_capacity(chars.len());
    for (c, sight) in sights(&chars) {
        match sight {
            Sight::Seen => line.push(c),
            Sight::Blank if !line.is_empty() && !line.ends_with(' ') => line.push(' '),
            Sight::Blank | Sight::Unseen => {}
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Whether the text is not empty and [`one_line`] leaves it as it is.
pub fn is_one_line(text: &str) -> bool {
    !text.is_empty() && one_line(text.chars()) == text
}

/// The first character that shows nothing, and its place, from 1.
pub fn first_unseen(text: &str) -> Option<(usize, char)> {
    let chars: Vec<char> = text.chars().collect();
    let unseen = |(c, sight): &(char, Sight)| match sight {
        Sight::Seen => false,
        Sight::Blank => !c.is_whitespace(),
        Sight::Unseen => true,
    };
    sights(&chars).enumerate().find(|(_, seen)| unseen(seen)).map(|(at, (c, _))| (at + 1, c))
}

/// The text with `escape` in place of each character that shows nothing, breaks the line or commands a terminal. Spaces
/// stay as they are.
pub fn escaped(text: &str, escape: impl Fn(char) -> String) -> String {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let mut line = String::with_capacity(text.len());
    for (c, sight) in sights(&chars) {
        match sight {
            Sight::Seen => line.push(c),
            Sight::Blank if sight::is_space(c) => line.push(c),
            Sight::Blank | Sight::Unseen => line.push_str(&escape(c)),
        }
    }
    line
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
