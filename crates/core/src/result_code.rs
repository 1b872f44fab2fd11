//! Result codes (protocol 6): by such a code the app's page fetches what became of its flow, together with the `v` that it
//! kept. A session has one code, for five minutes from its first issue; a lost answer can be fetched again.
//!
//! A code is not random: it is derived from a secret that its receiver holds already. So the same receiver gets the same
//! code again, nobody else can make it, and only its hash is stored.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    Hash, Micros, SessionId,
    secret::{base64url, same, sha256},
};

/// How long a code may be redeemed after its first issue, seconds.
pub const RESULT_TTL: i64 = 300;
/// The sid before it.
const SID_LENGTH: usize = 26;
/// The secret part: base64url of 256 bits.
const SECRET_LENGTH: usize = 43;

/// A result code: the session's id, and 256 bits.
#[derive(Clone)]
pub struct ResultCode {
    sid: SessionId,
    text: SecretString,
}

impl ResultCode {
    /// The session's code for whoever holds `secret`: the browser key of its cookie, or the `v` of its page.
    pub fn derive(sid: &SessionId, secret: &SecretString) -> Self {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, format!("alter result{sid}").as_bytes());
        Self { sid: sid.clone(), text: format!("{sid}{}", base64url(tag.as_ref())).into() }
    }

    /// `None` for anything that cannot be a code of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (sid, secret) = text.split_at_checked(SID_LENGTH)?;
        let url_safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let fits = secret.len() == SECRET_LENGTH && secret.bytes().all(url_safe);
        let sid = SessionId::parse(sid).filter(|_| fits)?;
        Some(Self { sid, text: text.to_owned().into() })
    }

    /// The session it names. The code may still be a wrong one.
    pub fn sid(&self) -> &SessionId {
        &self.sid
    }

    /// The code itself, to be sent to its receiver and to nobody else.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    fn hash(&self) -> Hash {
        sha256(self.expose().as_bytes())
    }
}

impl std::fmt::Debug for ResultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResultCode").field("sid", &self.sid).finish_non_exhaustive()
    }
}

/// That a session's code was issued, as the session keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedResult {
    /// SHA-256 of the code.
    pub code_hash: Hash,
    /// When it was issued first.
    pub issued_at: Micros,
}

impl IssuedResult {
    /// The code, issued for the first time.
    pub fn new(code: &ResultCode, now: Micros) -> Self {
        Self { code_hash: code.hash(), issued_at: now }
    }

    /// Whether this is the code.
    pub fn is(&self, code: &ResultCode) -> bool {
        same(&self.code_hash, &code.hash())
    }

    /// Whether the code's time is over.
    pub fn is_over(&self, now: Micros) -> bool {
        now >= self.issued_at.plus_seconds(RESULT_TTL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRandom;

    fn code(sid: &SessionId, secret: &str) -> ResultCode {
        ResultCode::derive(sid, &secret.to_owned().into())
    }

    #[test]
    fn the_same_holder_gets_the_same_code_and_nobody_else_does() {
        let (one, other) = (SessionId::new(&SystemRandom), SessionId::new(&SystemRandom));
        let first = IssuedResult::new(&code(&one, "key"), Micros(0));
        assert!(first.is(&code(&one, "key")));
        assert!(!first.is(&code(&one, "kez")) && !first.is(&code(&other, "key")));
    }

    #[test]
    fn a_code_is_read_back_and_a_changed_one_is_another() {
        let sid = SessionId::new(&SystemRandom);
        let code = code(&sid, "key");
        let issued = IssuedResult::new(&code, Micros(0));
        let read = ResultCode::parse(code.expose()).unwrap();
        assert!(read.sid() == &sid && issued.is(&read));
        for at in 0..code.expose().len() {
            let mut changed = code.expose().as_bytes().to_vec();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            let changed = ResultCode::parse(std::str::from_utf8(&changed).unwrap());
            assert!(!changed.is_some_and(|changed| issued.is(&changed)), "position {at}");
        }
        let whole = code.expose();
        for odd in
            ["", sid.as_str(), &whole[1..], &format!("{whole}a"), &format!(" {whole}"), &"é".repeat(35)]
        {
            assert!(ResultCode::parse(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn t54_a_code_is_good_for_five_minutes() {
        let issued = IssuedResult::new(&code(&SessionId::new(&SystemRandom), "key"), Micros(7));
        assert!(!issued.is_over(Micros(7).plus_seconds(299)) && issued.is_over(Micros(7).plus_seconds(300)));
    }

    #[test]
    fn t95_a_code_is_not_printed() {
        let code = code(&SessionId::new(&SystemRandom), "key");
        assert!(!format!("{code:?}").contains(&code.expose()[SID_LENGTH..]));
    }
}
