//! The token endpoint's answer, unread. It is journalled first and parsed afterwards, and after a crash it is parsed
//! again. Nothing here interprets it.

use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

/// The only version of the journalled form so far:
/// `version u8 | status u16 | content type length u16 | content type | body length u32 | body`, big-endian.
const VERSION: u8 = 1;

/// How many bytes of a `Content-Type` are kept.
const CONTENT_TYPE_MAX: usize = 256;

/// One answer. `Debug` shows neither the body nor anything made from it.
#[derive(Debug)]
pub struct RawAnswer {
    /// The HTTP status. It may be a redirect's: redirects are not followed.
    pub status: u16,
    /// The `Content-Type`: its ASCII characters, at most 256; empty when there is none.
    pub content_type: String,
    /// The body as received.
    pub body: SecretSlice<u8>,
    /// `Retry-After` in seconds. It is not journalled: when an answer is read from the journal, that time has passed.
    pub retry_after: Option<u32>,
}

/// The journalled bytes are not in the form that [`RawAnswer::to_bytes`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journalled token answer is not readable")]
pub struct BadRawAnswer;

impl RawAnswer {
    pub(crate) fn new(status: u16, content_type: &str, body: &[u8]) -> Self {
        let kept = content_type.chars().filter(char::is_ascii).take(CONTENT_TYPE_MAX).collect();
        Self { status, content_type: kept, body: body.to_vec().into(), retry_after: None }
    }

    /// Returns the form for the journal, which the caller seals. The buffer is wiped when dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let (kind, body) = (self.content_type.as_bytes(), self.body.expose_secret());
        let kind = &kind[..kind.len().min(usize::from(u16::MAX))];
        let length = u32::try_from(body.len()).expect("egress caps bodies far below 4 GiB");
        let kind_length = u16::try_from(kind.len()).expect("cut to fit above");
        let mut bytes = Zeroizing::new(Vec::with_capacity(9 + kind.len() + body.len()));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.status.to_be_bytes());
        bytes.extend_from_slice(&kind_length.to_be_bytes());
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`BadRawAnswer`] for another version, truncated bytes or bytes left over.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadRawAnswer> {
        read(bytes).ok_or(BadRawAnswer)
    }
}

fn read(bytes: &[u8]) -> Option<RawAnswer> {
    let (&VERSION, rest) = bytes.split_first()? else { return None };
    let (status, rest) = rest.split_first_chunk::<2>()?;
    let (kind_length, rest) = rest.split_first_chunk::<2>()?;
    let (kind, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*kind_length)))?;
    let (length, body) = rest.split_first_chunk::<4>()?;
    if usize::try_from(u32::from_be_bytes(*length)).ok()? != body.len() {
        return None;
    }
    Some(RawAnswer {
        status: u16::from_be_bytes(*status),
        content_type: String::from_utf8(kind.to_vec()).ok()?,
        body: body.to_vec().into(),
        retry_after: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_journalled_form_is_version_1_byte_for_byte() {
        let bytes = RawAnswer::new(200, "a/b", b"{}").to_bytes();
        assert_eq!(*bytes, b"\x01\x00\xc8\x00\x03a/b\x00\x00\x00\x02{}".to_vec());
        assert!(RawAnswer::from_bytes(b"\x02\x00\xc8\x00\x03a/b\x00\x00\x00\x02{}").is_err());
    }

    #[test]
    fn debug_shows_nothing_of_the_body() {
        let answer = RawAnswer::new(200, "application/json", b"canary-4711");
        let shown = format!("{answer:?}");
        assert!(!shown.contains("canary") && !shown.contains("99, 97"), "{shown}");
    }

    proptest! {
        #[test]
        fn what_was_journalled_is_read_back_and_no_part_of_it_is_taken_for_the_whole(
            status in 100_u16..600, kind in "[a-z/;= ]{0,40}", body in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = RawAnswer::new(status, &kind, &body).to_bytes();
            let back = RawAnswer::from_bytes(&bytes).expect("just written");
            prop_assert_eq!((back.status, &back.content_type), (status, &kind));
            prop_assert_eq!(back.body.expose_secret(), &body[..]);
            prop_assert!(RawAnswer::from_bytes(&bytes[..bytes.len() - 1]).is_err());
            prop_assert!(RawAnswer::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        }
    }
}
