//! How a body is coded on its way out: gzip where the client takes it, else plain (RFC 9110 section 12.5.3). Static files
//! were compressed at build (`build.rs`), and the contract is at its first request. A page is compressed when it is sent,
//! unless it must not be ([`crate::pages::Page::may_be_compressed`]). Answers to calls stay plain: they carry tokens.

use std::{io::Write as _, sync::OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    body::{Body, Bytes, HttpBody as _, to_bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};

use alter_core::secret::hex;

/// The middle of flate2's scale: a page takes a third of a millisecond and is 2 % larger than at the top.
const LEVEL: u32 = 5;

/// The coding of a response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Gzip,
}

impl Coding {
    /// The coding for a client that sent these headers. A client that takes neither gets it plain, as the RFC allows:
    /// a page that can be read is better than none.
    pub(crate) fn asked(headers: &HeaderMap) -> Self {
        let (mut gzip, mut any, mut plain) = (None, None, None);
        let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
        for (name, weight) in values.flat_map(|value| value.split(',')).filter_map(weighed) {
            match name.as_str() {
                "gzip" | "x-gzip" => gzip = Some(weight),
                "*" => any = Some(weight),
                "identity" => plain = Some(weight),
                _ => {}
            }
        }
        let gzip: f32 = gzip.or(any).unwrap_or(0.0);
        if gzip > 0.0 && gzip >= plain.unwrap_or(0.0) { Self::Gzip } else { Self::Plain }
    }
}

/// Reads `name` or `name;q=0.5`. What is malformed is as good as not there.
fn weighed(item: &str) -> Option<(String, f32)> {
    let (name, weight) = item.split_once(';').unwrap_or((item, "q=1"));
    let weight = weight.trim().strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?;
    let weight = weight.trim().parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
    Some((name.trim().to_ascii_lowercase(), weight))
}

/// On a page that may be compressed when it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compressible;

/// Codes the body of a response that is [`Compressible`]. The answer to HEAD has no body here any more: it gets the same
/// headers, without a length that nobody knows.
pub(crate) async fn code(mut response: Response, coding: Coding) -> Response {
    if response.extensions_mut().remove::<Compressible>().is_none() {
        return response;
    }
    vary(response.headers_mut());
    if coding == Coding::Plain {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    if body.is_end_stream() {
        return Response::from_parts(parts, body);
    }
    let plain = to_bytes(body, usize::MAX).await.expect("the body is in memory");
    Response::from_parts(parts, Body::from(gzip(&plain)))
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::new(LEVEL));
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
}

/// A file that never changes while the program runs.
#[derive(Debug)]
pub(crate) struct StaticFile {
    content_type: &'static str,
    plain: Bytes,
    /// The same compressed; `None` for what is compressed already.
    gzip: Option<Bytes>,
    hash: OnceLock<String>,
}

impl StaticFile {
    /// A file that is part of the program.
    pub(crate) const fn embedded(
        content_type: &'static str,
        plain: &'static [u8],
        gzip: Option<&'static [u8]>,
    ) -> Self {
        let gzip = match gzip {
            Some(gzip) => Some(Bytes::from_static(gzip)),
            None => None,
        };
        Self { content_type, plain: Bytes::from_static(plain), gzip, hash: OnceLock::new() }
    }

    /// A file that the program makes for itself.
    pub(crate) fn made(content_type: &'static str, plain: Vec<u8>) -> Self {
        let gzip = Some(gzip(&plain).into());
        Self { content_type, plain: plain.into(), gzip, hash: OnceLock::new() }
    }

    /// The file as it is before it is coded.
    pub(crate) fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// The answer to a request with these headers. `more` comes on top, `Cache-Control` among it; 304 has all of it too
    /// (RFC 9110 section 15.4.5).
    pub(crate) fn answer(&self, asked: &HeaderMap, more: &[(HeaderName, &'static str)]) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| Coding::asked(asked) == Coding::Gzip);
        // Each coding is a representation of its own, so a strong tag must tell them apart (section 8.8.3.3).
        let hash = self.hash.get_or_init(|| hash(&self.plain));
        let tag = format!("\"{hash}{}\"", if gzip.is_some() { "-gzip" } else { "" });
        let mut response = if is_known(asked, &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut response = gzip.unwrap_or(&self.plain).clone().into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            if gzip.is_some() {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, HeaderValue::from_str(&tag).expect("hexadecimal digits"));
        if self.gzip.is_some() {
            vary(headers);
        }
        for (name, value) in more {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// The first 16 hexadecimal digits of a file's SHA-256: a name for its content.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex(&digest(&SHA256, bytes).as_ref()[..8])
}

/// Whether the client has this representation already (`If-None-Match`, compared weakly, section 13.1.2).
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(values: &[&str]) -> Coding {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_ENCODING, value.parse().expect("a header value"));
        }
        Coding::asked(&headers)
    }

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        for values in [
            &["gzip"][..],
            &["GZIP"],
            &["x-gzip"],
            &["gzip, deflate, br, zstd"],
            &["br;q=1.0, gzip;q=0.8, *;q=0.1"],
            &["*"],
            &["identity;q=0.5, gzip"],
            &["identity, gzip"],
            &["gzip ; q=0.001"],
            &["identity;q=0, *"],
            &["br", "gzip"],
        ] {
            assert_eq!(asked(values), Coding::Gzip, "{values:?}");
        }
    }

    #[test]
    fn whoever_does_not_take_gzip_or_likes_plain_better_gets_plain() {
        for values in [
            &[][..],
            &[""],
            &["identity"],
            &["br"],
            &["gzip;q=0"],
            &["gzip;q=0.000, *"],
            &["*;q=0"],
            &["gzip;q=0.5, identity"],
            &["identity;q=0"],
            &["gzip;q=0, identity;q=0"],
            &["gzip;q=2"],
            &["gzip;q=nan"],
            &["gzip;level=9"],
            &["gzipped"],
        ] {
            assert_eq!(asked(values), Coding::Plain, "{values:?}");
        }
    }

    #[test]
    fn a_tag_counts_in_a_list_and_weakly() {
        let known = |value: &str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().expect("a value"))]);
            is_known(&headers, "\"a-gzip\"")
        };
        assert!(["\"a-gzip\"", "W/\"a-gzip\"", "\"b\", \"a-gzip\"", "*"].into_iter().all(known));
        assert!(!["\"a\"", "a-gzip", ""].into_iter().any(known));
    }
}
