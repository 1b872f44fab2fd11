//! The shape of a page as a browser's tokenizer sees it: tags and the names of their attributes, no text. Text that
//! becomes markup changes the shape, whatever it is.

/// Tags (`/p` for an end) with the names of their attributes.
pub(super) fn shape(html: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        rest = &rest[open + 1..];
        // A tag begins with a letter, `/` or `!`. To a browser any other `<` is text; to us it is a forgotten escape.
        assert!(
            rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!".contains(c)),
            "a bare <: {rest:.80}"
        );
        let end = end_of_tag(rest);
        let tag = skeleton(&rest[..end]);
        rest = &rest[end..];
        // Raw text up to its end tag.
        for raw in ["style", "script", "title", "noscript"] {
            if tag == raw && raw == "style" {
                rest = &rest[rest.find("</style").expect("the style ends")..];
            }
        }
        // A long scope gets a <wbr> after each of its slashes.
        if tag != "wbr" {
            tags.push(tag);
        }
    }
    tags
}

fn end_of_tag(inside: &str) -> usize {
    let mut quote = None;
    for (at, c) in inside.char_indices() {
        match (quote, c) {
            (None, '>') => return at,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    panic!("a tag never ends: {inside:.80}")
}

/// The tag without the values of its attributes.
fn skeleton(tag: &str) -> String {
    let mut text = String::new();
    let mut quote = None;
    for c in tag.chars() {
        match quote {
            None if c == '"' || c == '\'' => quote = Some(c),
            None => text.push(c),
            Some(open) if open == c => quote = None,
            Some(_) => {}
        }
    }
    text
}

#[test]
fn a_forgotten_escape_changes_the_shape() {
    let page = |name: &str| format!("<p class=\"a\" title=\"{name}\">{name}</p>");
    assert_eq!(shape(&page("plain")), shape(&page("&#60;b&#62;")));
    assert_ne!(shape(&page("plain")), shape(&page("<b>")));
    assert_ne!(shape(&page("plain")), shape(&page("\" onclick=\"x")));
    assert_ne!(shape(&page("plain")), shape(&page("'\" onclick=\"x")));
}
