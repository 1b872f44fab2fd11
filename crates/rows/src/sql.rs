//! Statement texts whose column lists are written only once. A text is put together at compile time: at run time it is a
//! constant, and no call builds anything.

use crate::noun::List;

/// What replaces a `{}` in a statement's template, made from a noun's list of columns.
#[derive(Clone, Copy)]
pub enum Piece {
    /// A text, unchanged.
    Text(&'static str),
    /// `id, name`
    Names(List),
    /// `g.id, g.name`: with an alias, which is passed with its dot.
    Of(&'static str, List),
    /// `g.id AS g_id, g.name AS g_name`: with an alias, and the names that the columns get in the row.
    Joined(&'static str, List, List),
    /// `$1, $2`
    Places(List),
    /// `$2`: the place of one column of the list.
    Place(List, &'static str),
    /// `$3`: the first, second, ... place after those of the list.
    After(List, usize),
    /// `id = $1 AND name = $2`: the columns of the first list that are in the second one.
    Same(List, List),
    /// `name = $2, label = $3`: the columns of the first list that are not in the second one.
    Set(List, List),
    /// `name = excluded.name`: the columns of the first list that are not in the second one.
    Excluded(List, List),
}

/// A statement: a template with `{}`, and the pieces that replace them in order. The first argument is what the engine
/// writes before a place's number.
#[macro_export]
macro_rules! sql {
    ($mark:literal, $template:expr $(, $piece:expr)* $(,)?) => {{
        const TEMPLATE: &str = $template;
        const PIECES: &[$crate::sql::Piece] = &[$($piece),*];
        const LENGTH: usize = $crate::sql::Text::<0>::new($mark, TEMPLATE, PIECES).length();
        const TEXT: $crate::sql::Text<LENGTH> = $crate::sql::Text::new($mark, TEMPLATE, PIECES);
        const STATEMENT: &str = TEXT.as_str();
        STATEMENT
    }};
}

/// A text of at most `N` bytes, and its whole length. With `N` = 0 it only counts.
pub struct Text<const N: usize> {
    mark: u8,
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Text<N> {
    /// Fills the template. Does not compile if there are more or fewer pieces than `{}`.
    pub const fn new(mark: char, template: &str, pieces: &[Piece]) -> Self {
        assert!(mark.is_ascii());
        let mut text = Self { mark: mark as u8, bytes: [0; N], length: 0 };
        let template = template.as_bytes();
        let (mut at, mut piece) = (0, 0);
        while at < template.len() {
            if template[at] == b'{' {
                assert!(
                    template[at + 1] == b'}' && piece < pieces.len(),
                    "there is a piece for each pair of braces"
                );
                text.piece(pieces[piece]);
                (at, piece) = (at + 2, piece + 1);
            } else {
                text.byte(template[at]);
                at += 1;
            }
        }
        assert!(piece == pieces.len(), "there is a pair of braces for each piece");
        text
    }

    /// How long all of it is.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The text.
    pub const fn as_str(&self) -> &str {
        assert!(N == self.length);
        match str::from_utf8(&self.bytes) {
            Ok(text) => text,
            Err(_) => panic!("names and templates are UTF-8"),
        }
    }

    const fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) => self.text(text),
            Piece::Place(list, name) => {
                assert_all_in(&[name], list);
                self.place(position(list, name));
            }
            Piece::After(list, nth) => self.place(list.len() + nth - 1),
            Piece::Names(list) | Piece::Of(_, list) | Piece::Joined(_, list, _) | Piece::Places(list) => {
                self.each(piece, list, &[], false, ", ");
            }
            Piece::Same(list, which) => {
                assert_all_in(which, list);
                self.each(piece, list, which, true, " AND ");
            }
            Piece::Set(list, but) | Piece::Excluded(list, but) => {
                assert_all_in(but, list);
                self.each(piece, list, but, false, ", ");
            }
        }
    }

    /// Writes the columns of a list that are, or are not, in another one.
    const fn each(&mut self, piece: Piece, list: List, other: List, are: bool, between: &str) {
        let (mut at, mut first) = (0, true);
        while at < list.len() {
            if (position(other, list[at]) < other.len()) == are {
                if !first {
                    self.text(between);
                }
                first = false;
                self.item(piece, list[at], at);
            }
            at += 1;
        }
    }

    const fn item(&mut self, piece: Piece, name: &str, at: usize) {
        match piece {
            Piece::Places(_) => self.place(at),
            Piece::Same(..) | Piece::Set(..) => {
                self.text(name);
                self.text(" = ");
                self.place(at);
            }
            Piece::Excluded(..) => {
                self.text(name);
                self.text(" = excluded.");
                self.text(name);
            }
            Piece::Names(_) => self.text(name),
            Piece::Of(alias, _) => {
                self.text(alias);
                self.text(name);
            }
            Piece::Joined(alias, _, as_names) => {
                self.text(alias);
                self.text(name);
                self.text(" AS ");
                self.text(as_names[at]);
            }
            Piece::Text(_) | Piece::Place(..) | Piece::After(..) => panic!("not a list"),
        }
    }

    const fn place(&mut self, at: usize) {
        self.byte(self.mark);
        self.number(at + 1);
    }

    const fn number(&mut self, number: usize) {
        if number >= 10 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
    }

    const fn text(&mut self, text: &str) {
        let mut at = 0;
        while at < text.len() {
            self.byte(text.as_bytes()[at]);
            at += 1;
        }
    }

    const fn byte(&mut self, byte: u8) {
        if self.length < N {
            self.bytes[self.length] = byte;
        }
        self.length += 1;
    }
}

const fn assert_all_in(some: &[&str], list: List) {
    let mut at = 0;
    while at < some.len() {
        assert!(position(list, some[at]) < list.len(), "a name that is not in the list");
        at += 1;
    }
}

/// Returns a name's position in a list, or the list's length if the name is not in it.
const fn position(list: List, name: &str) -> usize {
    let mut at = 0;
    while at < list.len() && !same_text(list[at], name) {
        at += 1;
    }
    at
}

const fn same_text(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

#[cfg(test)]
mod tests {
    use super::{Piece::*, *};

    const LIST: List = &["id", "app_id", "name"];

    #[test]
    fn a_statement_has_its_lists_where_the_template_has_braces() {
        let sql = sql!('$', "INSERT INTO t ({}) VALUES ({}, {})", Names(LIST), Places(LIST), After(LIST, 1));
        assert_eq!(sql, "INSERT INTO t (id, app_id, name) VALUES ($1, $2, $3, $4)");
        let sql = sql!('?', "UPDATE t SET {} WHERE {}", Set(LIST, &["id"]), Same(LIST, &["id"]));
        assert_eq!(sql, "UPDATE t SET app_id = ?2, name = ?3 WHERE id = ?1");
        let sql = sql!('?', "{} DO UPDATE SET {}", Place(LIST, "name"), Excluded(LIST, &["id", "app_id"]));
        assert_eq!(sql, "?3 DO UPDATE SET name = excluded.name");
        let sql =
            sql!('$', "SELECT {}, {} {}", Of("a.", LIST), Joined("b.", &["id"], &["b_id"]), Text("FROM t"));
        assert_eq!(sql, "SELECT a.id, a.app_id, a.name, b.id AS b_id FROM t");
    }

    #[test]
    fn places_are_counted_beyond_nine() {
        const MANY: List = &["a"; 11];
        assert!(sql!('$', "{}", Places(MANY)).ends_with("$9, $10, $11"));
    }
}
