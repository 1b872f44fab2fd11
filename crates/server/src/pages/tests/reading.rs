//! Reading a rendered page the way a browser would, as far as our templates go.

/// A start or end tag: its name (`/p` for an end) and its attributes in order.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
}

/// Reads a document into tags and text nodes as a browser would tokenize it, as far as our templates go: the
/// contents of `style` are raw text, attribute values are always quoted.
pub(super) fn read(html: &str) -> (Vec<Tag>, Vec<String>) {
    let (mut tags, mut texts) = (Vec::new(), Vec::new());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        texts.push(rest[..open].to_owned());
        let end = end_of_tag(&rest[open..]).unwrap_or_else(|| panic!("tag never ends: {}", &rest[open..]));
        let tag = read_tag(&rest[open + 1..open + end]);
        rest = &rest[open + end + 1..];
        if tag.name == "style" {
            rest = &rest[rest.find("</style>").expect("style ends")..];
        }
        tags.push(tag);
    }
    texts.push(rest.to_owned());
    (tags, texts)
}

fn end_of_tag(from: &str) -> Option<usize> {
    let mut quoted = false;
    from.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == '>' && !quoted).then_some(at)
    })
}

fn read_tag(inside: &str) -> Tag {
    let (name, mut rest) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
    let mut attributes = Vec::new();
    while !rest.trim_start_matches(['/', ' ', '\n']).is_empty() {
        rest = rest.trim_start();
        let end = rest.find(['=', ' ', '\n']).unwrap_or(rest.len());
        let key = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(quoted) = rest.strip_prefix("=\"") {
            let close = quoted.find('"').expect("attribute value ends");
            value = quoted[..close].to_owned();
            rest = &quoted[close + 1..];
            assert!(
                rest.is_empty() || rest.starts_with([' ', '\n', '/']),
                "text glued to an attribute: {inside}"
            );
        } else {
            assert!(!rest.starts_with('='), "unquoted attribute: {inside}");
        }
        attributes.push((key, value));
    }
    Tag { name: name.to_ascii_lowercase(), attributes }
}

/// The shape of a page: tags and attribute names without any text. `<wbr>` is left out: a long scope gets one
/// after each of its slashes.
pub(super) fn shape(html: &str) -> Vec<(String, Vec<String>)> {
    let tags = read(html).0.into_iter().filter(|tag| tag.name != "wbr" || !tag.attributes.is_empty());
    tags.map(|t| (t.name, t.attributes.into_iter().map(|(key, _)| key).collect())).collect()
}

pub(super) fn unescape(text: &str) -> String {
    text.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
}

/// The page without the values of the named attributes.
pub(super) fn strip_attributes(html: &str, names: &[&str]) -> String {
    let mut kept = html.to_owned();
    for name in names {
        while let Some(at) = kept.find(&format!("{name}=\"")) {
            let value = at + name.len() + 2;
            let end = value + kept[value..].find('"').expect("value ends");
            kept.replace_range(at..=end, "");
        }
    }
    kept
}
