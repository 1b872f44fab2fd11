//! An auth session (wire 3.9, 3.10): an app's backend lets a user sign in at the app's identity provider in any browser, and
//! gets the user's token, once. It is a session that connects nothing.
//!
//! Whoever starts one gets the token of whoever signs in, so that a mailed address is phishing, as with device codes (RFC 8628
//! section 5.4). Nothing here can stop that: an operator allows it for each app, the page names who asks, and shows a
//! code that the person compares with what the asking side shows.

use serde::{Deserialize, Serialize};

use crate::{Hash, KeyId, Micros, secret::sha256};

/// The letters of a code to compare: consonants, so that no word comes of them (RFC 8628 section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// What makes a session an auth session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthSession {
    /// The key that started it. The token goes to this key alone.
    pub key: KeyId,
    /// Who asks, as the page names it: the name of the key.
    pub requester: String,
    /// What pages call the user who signed in; only that user's browser is shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in_as: Option<String>,
    /// When the token was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Micros>,
}

/// The code that the page shows and the asking side too: eight letters, as `WDJB-MJHT`. It is derived from the token's hash, so
/// that both sides know it and nothing is stored; the token cannot be found from it.
pub fn user_code(token_hash: &Hash) -> String {
    let drawn = sha256(&[&b"alter user code"[..], token_hash].concat());
    let mut code: String =
        drawn.iter().take(8).map(|byte| char::from(LETTERS[usize::from(byte % 20)])).collect();
    code.insert(4, '-');
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_two_groups_of_four_consonants_and_another_for_each_token() {
        let (one, two) = (user_code(&[1; 32]), user_code(&[2; 32]));
        assert_eq!(one, user_code(&[1; 32]));
        assert_ne!(one, two);
        assert_eq!((one.len(), one.as_bytes()[4]), (9, b'-'));
        assert!(one.bytes().all(|b| b == b'-' || LETTERS.contains(&b)), "{one}");
    }
}
