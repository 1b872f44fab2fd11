//! Scans places that must hold no secret, in every encoding that a secret could have there. A scan proves something
//! only after it has found a planted secret.

use alter_core::secret::{base64url, hex};

/// Returns every encoding of a secret, with the encoding's name.
pub fn encodings(secret: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let percent: String = bytes.iter().map(|b| format!("%{b:02X}")).collect();
    let numbers = format!("{bytes:?}");
    let mut found = vec![
        ("raw".to_owned(), secret.to_owned()),
        ("hex".to_owned(), hex(bytes)),
        ("HEX".to_owned(), hex(bytes).to_uppercase()),
        ("percent".to_owned(), percent),
        ("form".to_owned(), url::form_urlencoded::byte_serialize(bytes).collect()),
        ("numbers".to_owned(), numbers.trim_matches(['[', ']']).to_owned()),
        ("utf-16".to_owned(), secret.chars().flat_map(|c| [c, '\u{0}']).collect()),
    ];
    // Base64 of a longer text that holds the secret: at each of the three alignments, only whole characters.
    for shift in 0..3 {
        let longer = [&b"xx"[..shift], bytes].concat();
        let (from, to) = ((shift * 8).div_ceil(6), longer.len() * 8 / 6);
        let text = base64url(&longer)[from..to].to_owned();
        found.push((format!("base64+{shift}"), text.replace('-', "+").replace('_', "/")));
        found.push((format!("base64url+{shift}"), text));
    }
    found.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}

/// Returns where the secret is, in any encoding, as `encoding in place`.
///
/// # Panics
/// The secret has fewer than 16 characters: a hit could be chance.
pub fn hits(places: &[(String, Vec<u8>)], secret: &str) -> Vec<String> {
    assert!(secret.len() >= 16, "too short to tell a hit from chance: {secret}");
    let mut hits = Vec::new();
    for (encoding, needle) in encodings(secret) {
        for (place, _) in places.iter().filter(|(_, bytes)| contains(bytes, &needle)) {
            hits.push(format!("{encoding} in {place}"));
        }
    }
    hits
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|b| b == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}
