use proptest::prelude::*;

use super::*;

/// Each is what people write, and shows as one text.
const SEEN: [&str; 37] = [
    "mailbot",
    "Grüße 世界",
    "O’Reilly <3",
    "e\u{301}te\u{301}", // accents composed by the font
    "Việt Nam",          // accents composed beforehand
    "👩\u{200d}💻 Dev",  // a woman and a computer are one emoji
    "👨\u{200d}👩\u{200d}👧\u{200d}👦",
    "🏳\u{fe0f}\u{200d}🌈",
    "🏃🏽\u{200d}♀\u{fe0f}",
    "🧑🏾\u{200d}❤\u{fe0f}\u{200d}💋\u{200d}🧑🏻",
    "❤\u{fe0f}",
    "☎\u{fe0e}",
    "Acme\u{ae}\u{fe0f}",
    "🇩🇪 Bot",
    "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} Bot", // the flag of Scotland
    "1\u{fe0f}\u{20e3} Bot",
    "#\u{20e3}",
    "نیم\u{200c}فاصله", // Persian
    "کار\u{200c}آفرین",
    "ه\u{200d}.",
    "مُحَمَّد",
    "शक्\u{200d}ति", // Hindi: virama and joiner
    "क्\u{200c}ष",
    "র\u{200d}্যাব",    // Bengali: joiner and virama
    "അവന്\u{200d}",    // Malayalam
    "ක්\u{200d}රිකට්",   // Sinhala
    "ಎಕ್ಸ್\u{200c}ಪ್ರೆಸ್", // Kannada
    "မြန်မာ",
    "ประเทศไทย",
    "ភាសាខ្មែរ",
    "བོད་ཡིག",
    "שָׁלוֹם",
    "ᠮᠣᠩᠭ\u{180b}ᠣᠯ",
    "葛\u{e0100}城", // the form that the family writes
    "한국어",
    "\u{600}١٢٣", // the Arabic number sign is formatting that shows
    "\u{25cc}\u{301}",
];

/// Each shows nothing, or hides something among what it shows.
const UNSEEN: [&str; 49] = [
    "",
    " a",
    "a ",
    "a  b",
    "a\nb",
    "a\u{a0}b",
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{fe0f}",
    "\u{fe00}",
    "\u{e0100}",
    "\u{34f}",
    "\u{17b4}",
    "\u{17b5}",
    "\u{1d173}",
    "\u{1d159}",
    "\u{13441}",
    "\u{301}",
    "\u{20e3}",
    "\u{93e}",
    "\u{94d}\u{200d}",
    "a \u{301}b",
    "mail\u{200b}bot",
    "mail\u{200c}bot",
    "mail\u{200d}bot",
    "mail\u{34f}bot",
    "mailbot\u{fe0f}",
    "bot1\u{fe0f}",
    "葛\u{e0100}\u{e0100}",
    "نیم\u{200c}\u{200c}فاصله",
    "نیم\u{200c}",
    "\u{200c}نیم",
    "👩\u{200d}",
    "👩\u{200d}\u{200d}💻",
    "👩\u{200d}x",
    "\u{202e}x",
    "a\u{202c}",
    "a\u{2066}b\u{2069}",
    "a\u{200f}",
    "a\u{61c}",
    "\u{2800}",
    "a\u{3164}",
    "\u{e0041}x",
    "🏴\u{e0067}\u{e0062}\u{e0041}\u{e007f}",
    "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}",
    "a\u{1b}[2J",
    "a\u{9b}2J",
    "\u{e000}",
];

#[test]
fn t26_a_line_is_what_people_see() {
    for text in SEEN {
        assert_eq!(one_line(text.chars()), text, "{text:?}");
        assert_eq!((is_one_line(text), first_unseen(text)), (true, None), "{text:?}");
        assert_eq!(escaped(text, |c| panic!("{c:?}")), text);
    }
    for text in UNSEEN {
        assert!(!is_one_line(text), "{text:?}");
    }
}

#[test]
fn t26_nobody_sees_a_character_that_is_ignored_by_default_standing_alone() {
    let nothing = |c: &char| sight::is_hidden(*c) || sight::is_selector(*c) || sight::is_joiner(*c);
    let planes = ('\0'..='\u{ffff}').chain('\u{1b000}'..='\u{1ffff}').chain('\u{e0000}'..='\u{e0fff}');
    let found: Vec<char> = planes.filter(nothing).collect();
    assert!(found.len() > 8000, "positive control");
    assert_eq!(found.into_iter().find(|c| is_one_line(&c.to_string())), None);
}

#[test]
fn the_first_character_that_shows_nothing_is_named_by_its_place() {
    assert_eq!(first_unseen("mail\u{200d}bot\u{202e}"), Some((5, '\u{200d}')));
    assert_eq!(first_unseen("\u{3164}"), Some((1, '\u{3164}')));
    assert_eq!(first_unseen("a\u{a0}b"), None, "a space is seen, if not as which");
}

#[test]
fn what_shows_nothing_is_escaped_and_spaces_stay() {
    let number = |c: char| format!("<{:x}>", u32::from(c));
    assert_eq!(escaped("a  b\u{a0}\u{3000}c", number), "a  b\u{a0}\u{3000}c");
    assert_eq!(escaped("a\u{1b}[2J\u{9b}3m\r\n\tb\u{7f}", number), "a<1b>[2J<9b>3m<d><a><9>b<7f>");
    assert_eq!(escaped("\u{202e}x\u{2028}\u{200d} \u{301}", number), "<202e>x<2028><200d> <301>");
}

proptest! {
    #[test]
    fn a_line_made_once_stays_as_it_is(text in "[aक्\u{200d}\u{200c}👩❤\u{fe0f}1\u{20e3}\u{301} نر\u{64b}\u{202e}🏴\u{e0067}\u{e0100}葛]{0,12}") {
        let line = one_line(text.chars());
        prop_assert!(line.is_empty() || is_one_line(&line), "{text:?} {line:?}");
    }
}
