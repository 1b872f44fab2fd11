//! The monogram tile that stands for an app or a provider. There are no logos: an image from elsewhere would have to be
//! fetched, trusted and licensed; people recognise one or two letters on a constant colour just as well.

/// How many colours the style has (`.t0` to `.t11`).
const TONES: u32 = 12;

/// The colour of an id: always the same one for the same id, on every server.
pub(super) fn tone(id: &str) -> u32 {
    // FNV-1a: stable across releases, unlike the standard library's hasher
    let hash =
        id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash >> 19) % TONES // the low bits of FNV mix badly for short ids
}

/// One or two letters for a name: its first, and the next that begins a word or a hump
/// (`Google Drive` GD, `GitHub` GH, `Slack` S). A name without letters or digits gives a dot.
pub(super) fn mark(name: &str) -> String {
    let mut letters = String::new();
    let mut before: Option<char> = None;
    for c in name.chars().take(100) {
        let begins = match before {
            Some(b) => !b.is_alphanumeric() || (c.is_uppercase() && b.is_lowercase()),
            None => true,
        };
        if c.is_alphanumeric() && begins {
            letters.extend(c.to_uppercase().take(1));
        }
        if letters.chars().count() == 2 {
            break;
        }
        before = Some(c);
    }
    if letters.is_empty() { "·".to_owned() } else { letters }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_one_or_two_letters_of_the_name() {
        for (name, expected) in [
            ("Google", "G"),
            ("Google Drive", "GD"),
            ("GitHub", "GH"),
            ("slack", "S"),
            ("Microsoft 365", "M3"),
            ("  <script>", "S"),
            ("株式会社メモ", "株"),
            ("\u{202e}", "·"),
            ("", "·"),
        ] {
            assert_eq!(mark(name), expected, "{name}");
        }
    }

    #[test]
    fn a_tone_is_within_the_style_and_steady() {
        assert!(["google", "slack", "github", "", "x"].iter().all(|id| tone(id) < TONES));
        assert_eq!(tone("google"), tone("google"));
    }
}
