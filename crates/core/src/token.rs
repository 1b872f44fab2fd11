//! Session tokens: `alter_cs_` (of an auth session `alter_as_`), 43 random base62 characters (256 bits), 6 of checksum. Opaque, claimed once, looked
//! up by SHA-256 alone. The checksum lets secret scanners and typing errors be told from guesses; it proves nothing.

use secrecy::{ExposeSecret, SecretString};

use crate::{Hash, secret::sha256, time::Random};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "alter_cs_";
const AUTH_PREFIX: &str = "alter_as_";
const RANDOM_LENGTH: usize = 43;

/// A new token of a session.
pub fn mint_session_token(random: &dyn Random) -> SecretString {
    mint(PREFIX, random)
}

/// A new token of an auth session.
pub fn mint_auth_token(random: &dyn Random) -> SecretString {
    mint(AUTH_PREFIX, random)
}

fn mint(prefix: &str, random: &dyn Random) -> SecretString {
    let text = base62_text(random, RANDOM_LENGTH);
    let check = checksum(&text);
    SecretString::from(format!("{prefix}{text}{check}"))
}

/// The hash to look up; `None` when the text cannot be the token of a session in which something is connected.
pub fn session_token_hash(text: &str) -> Option<Hash> {
    hash_after(PREFIX, text)
}

/// The hash to look up; `None` when the text cannot be the token of an auth session.
pub fn auth_token_hash(text: &str) -> Option<Hash> {
    hash_after(AUTH_PREFIX, text)
}

fn hash_after(prefix: &str, text: &str) -> Option<Hash> {
    let rest = text.strip_prefix(prefix)?;
    let ok = rest.len() == RANDOM_LENGTH + 6 && rest.bytes().all(|b| b.is_ascii_alphanumeric());
    (ok && checksum(&rest[..RANDOM_LENGTH]) == rest[RANDOM_LENGTH..]).then(|| sha256(text.as_bytes()))
}

/// The hash of a token just minted.
pub fn hash_of(token: &SecretString) -> Hash {
    sha256(token.expose_secret().as_bytes())
}

/// Uniform base62 by rejection: 248 is the largest multiple of 62 below 256.
fn base62_text(random: &dyn Random, length: usize) -> String {
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        random.fill(&mut bytes);
        for byte in bytes.iter().filter(|b| **b < 248) {
            if text.len() < length {
                text.push(char::from(BASE62[usize::from(byte % 62)]));
            }
        }
    }
    text
}

fn checksum(text: &str) -> String {
    let mut crc = crc32fast::hash(text.as_bytes()) as usize;
    (0..6)
        .map(|_| {
            let c = char::from(BASE62[crc % 62]);
            crc /= 62;
            c
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;
    use crate::SystemRandom;

    #[test]
    fn t70_neither_kind_of_token_is_taken_for_the_other() {
        let (session, auth) = (mint_session_token(&SystemRandom), mint_auth_token(&SystemRandom));
        let (session, auth) = (session.expose_secret(), auth.expose_secret());
        assert!(session_token_hash(session).is_some() && auth_token_hash(session).is_none());
        assert!(auth_token_hash(auth).is_some() && session_token_hash(auth).is_none());
    }

    #[test]
    fn a_minted_token_is_recognised_and_a_changed_one_is_not() {
        let token = mint_session_token(&SystemRandom);
        let text = token.expose_secret();
        assert_eq!(text.len(), 58);
        assert_eq!(session_token_hash(text), Some(hash_of(&token)));
        for i in 0..text.len() {
            let mut changed: Vec<u8> = text.bytes().collect();
            changed[i] = if changed[i] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(session_token_hash(&changed), None, "position {i}");
        }
        for odd in ["", "alter_cs_", &text[..57], &format!("{text}a"), &format!(" {text}")] {
            assert_eq!(session_token_hash(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_checksum_is_crc32_in_base62_with_the_lowest_digit_first() {
        assert_eq!(checksum("JKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), "Rp3RP2");
    }

    /// Gives every byte in turn.
    struct EveryByte(AtomicU8);

    impl Random for EveryByte {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    #[test]
    fn t18_every_character_of_a_token_is_equally_likely() {
        // Starts at the first byte that must be skipped. If it were used, the characters would not be equally frequent.
        let text = base62_text(&EveryByte(AtomicU8::new(248)), 248);
        for character in BASE62 {
            assert_eq!(text.bytes().filter(|b| b == character).count(), 4, "{}", char::from(*character));
        }
    }

    #[test]
    fn t18_tokens_and_states_do_not_repeat() {
        let mut seen = std::collections::HashSet::new();
        assert!(
            (0..10_000).all(|_| seen.insert(mint_session_token(&SystemRandom).expose_secret().to_owned()))
        );
    }
}
