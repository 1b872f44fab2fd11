//! Request signing as the published backend client does it (wire 2): a pure function from the parts of a request to the
//! string that is signed, the check of a signature, and the check of request targets that comes before it.
//!
//! Not here: clock and storage (the caller checks freshness and that a nonce is used only once), the format of keys, and
//! anything that only a server needs: clients build this crate too.
//!
//! The signing key derives from the API key, which is sent in the same request. So the signature adds integrity and
//! protection against replay behind a TLS terminator, but does not keep the key secret (SECURITY.md).

#![warn(missing_docs)] // others build on it

use std::fmt::Write as _;

use aws_lc_rs::{constant_time, digest, hmac};

/// The parts of a request that a signature covers. Header values are as received; an absent header is empty. `Debug` shows
/// only method and target, because a body may contain a session token.
#[derive(Clone, Copy, Default)]
pub struct SignedParts<'a> {
    /// The HTTP method in upper case.
    pub method: &'a str,
    /// Path and query exactly as on the request line.
    pub target: &'a str,
    /// `X-Alter-Timestamp`.
    pub timestamp: &'a str,
    /// `X-Alter-Nonce`.
    pub nonce: &'a str,
    /// The body's exact bytes.
    pub body: &'a [u8],
    /// `X-Alter-Scope-Constraints`.
    pub scope_constraints: &'a str,
    /// `X-Alter-Request-Rule`.
    pub request_rule: &'a str,
    /// `X-Alter-Caller`.
    pub caller: &'a str,
    /// `X-Alter-Caller-Type`.
    pub caller_type: &'a str,
    /// `X-Alter-Actor-ID`.
    pub actor_id: &'a str,
    /// `X-Alter-Context`, not decoded.
    pub context: &'a str,
}

/// The three header values that make up a signature.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signature<'a> {
    /// `X-Alter-Content-SHA256`.
    pub content_sha256: &'a str,
    /// `X-Alter-Signature`.
    pub signature: &'a str,
    /// `X-Alter-Signature-V2`; `None` when the header is absent.
    pub signature_v2: Option<&'a str>,
}

impl std::fmt::Debug for SignedParts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SignedParts");
        shown.field("method", &self.method).field("target", &self.target).finish_non_exhaustive()
    }
}

impl SignedParts<'_> {
    fn has_identity(&self) -> bool {
        [self.caller, self.caller_type, self.actor_id, self.context].iter().any(|v| !v.is_empty())
    }

    fn without_identity(&self) -> Self {
        Self { caller: "", caller_type: "", actor_id: "", context: "", ..*self }
    }
}

/// Returns the exact text that is signed: with an identity header the V2 text, otherwise the V1 text.
pub fn string_to_sign(parts: &SignedParts<'_>) -> String {
    let mut text = format!(
        "{}\n{}\n{}\n{}\n{}\n{}",
        parts.method,
        canonical_target(parts.target),
        parts.timestamp,
        parts.nonce,
        hex(sha256(parts.body).as_ref()),
        parts.scope_constraints,
    );
    let labelled = [
        ("request-rule", parts.request_rule),
        ("caller", parts.caller),
        ("caller-type", parts.caller_type),
        ("actor-id", parts.actor_id),
        ("actor-context", parts.context),
    ];
    for (label, value) in labelled.iter().filter(|(_, value)| !value.is_empty()) {
        write!(text, "\n{label}:{value}").expect("writing to a string does not fail");
    }
    text
}

/// Signs a request; returns lower-case hexadecimal.
pub fn sign(api_key: &str, parts: &SignedParts<'_>) -> String {
    hex(hmac::sign(&signing_key(api_key), string_to_sign(parts).as_bytes()).as_ref())
}

/// What a right signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// All of [`SignedParts`].
    Everything,
    /// All but the four identity headers: clients up to alter-sdk 0.20 send them, and do not know the second signature.
    AllButIdentity,
}

/// Returns what the signature covers if the headers are exactly those that the holder of `api_key` sends with this request:
/// the content hash, the signature, and a second signature only where there is an identity header. Constant time (T60).
pub fn verify(api_key: &str, parts: &SignedParts<'_>, given: &Signature<'_>) -> Option<Covers> {
    let content = hex(sha256(parts.body).as_ref());
    // A newer client puts the second signature into both headers, so that taking one away leaves no right signature.
    let (signed, covers) = match given.signature_v2 {
        None if parts.has_identity() => (parts.without_identity(), Covers::AllButIdentity),
        _ => (*parts, Covers::Everything),
    };
    let expected = sign(api_key, &signed);
    let equal = |value: &str| same(expected.as_bytes(), value.as_bytes());
    let second = given.signature_v2.is_none_or(|value| parts.has_identity() && equal(value));
    let right = same(content.as_bytes(), given.content_sha256.as_bytes()) & equal(given.signature) & second;
    right.then_some(covers)
}

fn signing_key(api_key: &str) -> hmac::Key {
    let seed = hmac::Key::new(hmac::HMAC_SHA256, api_key.as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&seed, b"alter-signing-v1").as_ref())
}

fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        out.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        out.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        out
    })
}

/// Compares in a time that depends only on the length.
fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Why a request target is refused before its signature is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmbiguousTarget;

/// Refuses a target that two parsers could read differently (T62): encoded slash, backslash, `?` or `#`, encoded or raw
/// control characters, invalid UTF-8, dot segments, malformed percent signs in the path.
///
/// # Errors
/// [`AmbiguousTarget`], with no detail: the caller answers one uniform error.
pub fn check_target(target: &str) -> Result<(), AmbiguousTarget> {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let malformed = path.match_indices('%').any(|(i, _)| {
        let pair = path.as_bytes().get(i + 1..i + 3);
        !pair.is_some_and(|p| p.iter().all(u8::is_ascii_hexdigit))
    });
    let Ok(decoded) = String::from_utf8(percent_decode(path, false)) else { return Err(AmbiguousTarget) };
    let slashes = |text: &str| text.matches(['/', '\\']).count();
    let dots = decoded.split('/').any(|segment| matches!(segment, "." | ".."));
    let controls = decoded.chars().any(char::is_control) || target.chars().any(char::is_control);
    let delimiter = decoded.contains(['?', '#']);
    if malformed
        || dots
        || controls
        || delimiter
        || decoded.contains('\\')
        || slashes(&decoded) != slashes(path)
    {
        return Err(AmbiguousTarget);
    }
    Ok(())
}

/// Decodes the path's percent signs, and parses, sorts and re-encodes the query, as the client does.
fn canonical_target(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, ""), |(path, query)| (path, query));
    let mut text = lossy(percent_decode(path, false));
    if query.is_empty() {
        return text;
    }
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (lossy(percent_decode(name, true)), lossy(percent_decode(value, true)))
        })
        .collect();
    pairs.sort();
    text.push('?');
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            text.push('&');
        }
        form_encode(&mut text, name);
        text.push('=');
        form_encode(&mut text, value);
    }
    text
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Decodes percent signs. A malformed `%` stays as it is; `+` becomes a space only in a query.
fn percent_decode(text: &str, plus_is_space: bool) -> Vec<u8> {
    let digit =
        |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match (bytes[i], digit(bytes.get(i + 1)), digit(bytes.get(i + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                i += 2;
            }
            (b'+', _, _) if plus_is_space => out.push(b' '),
            (byte, _, _) => out.push(byte),
        }
        i += 1;
    }
    out
}

fn form_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => write!(out, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
}

#[cfg(test)]
mod tests;
