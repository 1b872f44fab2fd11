//! Whether a character shows something where it stands. Most characters do or do not by themselves; joiners, variation
//! selectors, combining marks and tags only show by what stands beside them.
//!
//! The properties of characters come from `icu_properties`, the Unicode Consortium's own library.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        BinaryProperty, CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiModifier,
        ExtendedPictographic, GeneralCategory, GeneralCategoryGroup, JoiningType, PrependedConcatenationMark,
        UnifiedIdeograph,
    },
};

/// What people see of one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It shows something, or belongs to what its neighbours show.
    Seen,
    /// A gap.
    Blank,
    /// Nothing.
    Unseen,
}

const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';
/// What makes a keycap out of a digit.
const KEYCAP: char = '\u{20e3}';

/// The flags of England, Scotland and Wales are this character and tags (UTS 51, the only three that are recommended).
const BLACK_FLAG: char = '\u{1f3f4}';
const FLAG_TAGS: [&str; 3] = ["gbeng", "gbsct", "gbwls"];

/// Judges each character of a text at its place.
pub(super) fn sights(chars: &[char]) -> impl Iterator<Item = (char, Sight)> {
    let mut line = Line::default();
    chars.iter().enumerate().map(move |(at, c)| (*c, line.next(*c, &chars[at + 1..])))
}

/// What has been seen so far.
#[derive(Default)]
struct Line {
    /// The characters that are kept. What shows nothing is no neighbour of what follows.
    kept: Vec<char>,
    /// Something stands in the cluster under way that a mark can be attached to.
    base: bool,
    /// So many of the next characters are the tags of a flag.
    tags: usize,
}

impl Line {
    fn next(&mut self, c: char, rest: &[char]) -> Sight {
        let sight = self.judge(c, rest);
        match sight {
            Sight::Seen => self.kept.push(c),
            Sight::Blank => {
                self.kept.push(' ');
                self.base = false;
            }
            Sight::Unseen => {}
        }
        sight
    }

    fn judge(&mut self, c: char, rest: &[char]) -> Sight {
        let seen = |shows| if shows { Sight::Seen } else { Sight::Unseen };
        if c.is_ascii_graphic() {
            self.base = true;
            return Sight::Seen;
        }
        match () {
            () if super::is_blank(c) => Sight::Blank,
            () if self.tags > 0 => {
                self.tags -= 1;
                Sight::Seen
            }
            () if is_joiner(c) => seen(self.joins(c, rest)),
            () if is_selector(c) => seen(self.selects(c, rest)),
            () if is_hidden(c) => Sight::Unseen,
            () if is_mark(c) => seen(self.base),
            () => {
                self.base = true;
                self.tags = if c == BLACK_FLAG { flag_tags(rest) } else { 0 };
                Sight::Seen
            }
        }
    }

    /// Whether a joiner shows by its neighbours: after a virama or before one (RFC 5892 A.1, A.2; Bengali), in a script
    /// whose letters join, or between two emoji (UAX 29 GB11).
    fn joins(&self, c: char, rest: &[char]) -> bool {
        let Some(before) = self.kept.last().copied() else { return false };
        let after = rest.first().copied();
        if is_virama(before) || (is_letter(before) && after.is_some_and(is_virama)) {
            return true;
        }
        let letter = self.kept.iter().rev().copied().find(|c| !is_transparent(*c));
        if letter.is_some_and(|letter| letter != ZWJ && joins_others(letter)) {
            let next = rest.iter().copied().find(|c| !is_transparent(*c));
            return c == ZWJ || next.is_some_and(|next| next != ZWJ && joins_others(next));
        }
        c == ZWJ && self.ends_in_emoji() && after.is_some_and(has::<ExtendedPictographic>)
    }

    fn ends_in_emoji(&self) -> bool {
        let extends = |c: &char| *c == '\u{fe0f}' || has::<EmojiModifier>(*c);
        self.kept.iter().rev().copied().find(|c| !extends(c)).is_some_and(has::<ExtendedPictographic>)
    }

    /// Whether a variation selector changes how the character before it looks (UTS 51, UTS 37, the standardized
    /// variation sequences).
    fn selects(&self, c: char, rest: &[char]) -> bool {
        let Some(before) = self.kept.last().copied() else { return false };
        match (before, c) {
            ('0'..='9' | '#' | '*', '\u{fe0f}') => rest.first() == Some(&KEYCAP),
            (_, '\u{fe0e}' | '\u{fe0f}') => !before.is_ascii() && has::<Emoji>(before),
            (_, '\u{180b}'..='\u{180d}' | '\u{180f}') => matches!(before, '\u{1820}'..='\u{18aa}'),
            ('\u{1000}'..='\u{109f}' | '\u{aa60}'..='\u{aa7f}' | '\u{a840}'..='\u{a877}', '\u{fe00}') => true,
            ('\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}', _) => true,
            _ => has::<UnifiedIdeograph>(before),
        }
    }
}

/// How many of the next characters are tags, if they make one of the flags.
fn flag_tags(rest: &[char]) -> usize {
    let tagged = |name: &str| {
        let tags = name.bytes().map(|b| char::from_u32(0xe0000 + u32::from(b)));
        let mut tags = tags.chain([Some('\u{e007f}')]);
        let mut given = rest.iter().copied().map(Some);
        tags.all(|tag| given.next() == Some(tag))
    };
    FLAG_TAGS.iter().find(|name| tagged(name)).map_or(0, |name| name.len() + 1)
}

/// Shows nothing by itself: controls, formatting, what is ignored by default, and what has no meaning that all share.
pub(super) fn is_hidden(c: char) -> bool {
    use GeneralCategory::{Control, Format, PrivateUse};
    match category(c) {
        Control | PrivateUse => true,
        // An Arabic number sign is formatting that shows.
        Format => !has::<PrependedConcatenationMark>(c),
        _ => has::<DefaultIgnorableCodePoint>(c) || is_no_character(c),
    }
}

/// Code points that are reserved for ever, and the place of an object that is not there.
fn is_no_character(c: char) -> bool {
    u32::from(c) & 0xfffe == 0xfffe || matches!(c, '\u{fdd0}'..='\u{fdef}' | '\u{fffc}')
}

pub(super) fn is_joiner(c: char) -> bool {
    matches!(c, ZWNJ | ZWJ)
}

pub(super) fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{180b}'..='\u{180d}' | '\u{180f}')
}

pub(super) fn is_space(c: char) -> bool {
    category(c) == GeneralCategory::SpaceSeparator
}

fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(category(c))
}

fn is_letter(c: char) -> bool {
    GeneralCategoryGroup::Letter.contains(category(c))
}

fn is_virama(c: char) -> bool {
    CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
}

/// Marks do not come between two letters that join.
fn is_transparent(c: char) -> bool {
    is_mark(c) && joining(c) == JoiningType::Transparent
}

fn joins_others(c: char) -> bool {
    !matches!(joining(c), JoiningType::NonJoining | JoiningType::Transparent)
}

fn joining(c: char) -> JoiningType {
    CodePointMapData::<JoiningType>::new().get(c)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn has<P: BinaryProperty>(c: char) -> bool {
    CodePointSetData::new::<P>().contains(c)
}
