//! Hashing and encoding of bearer values. They are looked up only by their SHA-256 (T57, T59), so the stored value opens
//! nothing.

use base64::Engine as _;

/// SHA-256 of a bearer value, the only form that is stored.
pub type Hash = [u8; 32];

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Hash {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 yields 32 bytes")
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        out.push(char::from(b"0123456789abcdef"[usize::from(b >> 4)]));
        out.push(char::from(b"0123456789abcdef"[usize::from(b & 15)]));
        out
    })
}

/// The reverse of [`hex`], for `N` bytes; `None` for anything but that many lower-case digits.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !lower || text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Base64url without padding (RFC 4648 section 5).
pub fn base64url(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The reverse of [`base64url`]; `None` for anything but exactly that encoding.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}

/// Compares in a time that depends only on the length.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_sha256_and_is_read_back_from_its_hexadecimal() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(b"abc")), text, "FIPS 180-2, appendix B.1");
        assert_eq!(from_hex(text), Some(sha256(b"abc")));
    }

    #[test]
    fn only_as_many_lower_case_digits_as_fit_are_hexadecimal() {
        assert_eq!(from_hex("009fa0ff"), Some([0x00, 0x9f, 0xa0, 0xff]), "positive control");
        for odd in [
            "",
            "009fa0f",
            "009fa0",
            "009fa0ff0",
            "009fa0ff00",
            "009FA0FF",
            "009fa0fg",
            "+09fa0ff",
            "009fa0é",
        ] {
            assert_eq!(from_hex::<4>(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn base64url_has_one_reading() {
        assert_eq!(base64url(&[0xfb, 0xff, 0xfe]), "-__-");
        assert_eq!(from_base64url("-__-"), Some(vec![0xfb, 0xff, 0xfe]));
        assert_eq!(from_base64url("-_8"), Some(vec![0xfb, 0xff]));
        for odd in ["+//+", "-_8=", "-__", "-", "-_8 "] {
            assert_eq!(from_base64url(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn only_equal_bytes_are_the_same() {
        assert!(same(b"", b"") && same(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secrets", b"Secret"] {
            assert!(!same(b"secret", other), "{other:?}");
        }
    }
}
