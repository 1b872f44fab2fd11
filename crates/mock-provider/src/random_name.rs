//! Names that nobody guesses: codes, tokens, client secrets.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Makes an unguessable name: 256 random bits as base64url, after a prefix that says what the name is for.
pub(crate) fn random_name(prefix: &str) -> String {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source answers");
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}
