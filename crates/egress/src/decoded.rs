//! A body that a server compressed although no coding was accepted (RFC 9110 section 12.5.3): some servers and the caches
//! before them do so.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use hyper::body::Bytes;

/// Why a body cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// It is longer than `max` bytes when it is decompressed: perhaps a bomb.
    TooLarge,
    /// Its coding is another than gzip.
    Coding,
    /// It is no gzip, or was cut off.
    Damaged,
}

/// Returns the body without its coding, and takes the coding's header away.
pub(crate) fn decoded(headers: &mut HeaderMap, body: Bytes, max: usize) -> Result<Bytes, Undecodable> {
    let codings: Vec<_> = headers.get_all(header::CONTENT_ENCODING).iter().cloned().collect();
    let coding = match codings.as_slice() {
        [] => return Ok(body),
        [one] => one.to_str().map_err(|_| Undecodable::Coding)?.trim().to_ascii_lowercase(),
        _ => return Err(Undecodable::Coding),
    };
    match coding.as_str() {
        "" | "identity" => return Ok(body),
        "gzip" | "x-gzip" if body.is_empty() => return Ok(body),
        "gzip" | "x-gzip" => {}
        _ => return Err(Undecodable::Coding),
    }
    let mut plain = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(&body[..]).take(limit).read_to_end(&mut plain).map_err(|_| Undecodable::Damaged)?;
    if plain.len() > max {
        return Err(Undecodable::TooLarge);
    }
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    fn read(coding: Option<&str>, body: Bytes, max: usize) -> Result<Bytes, Undecodable> {
        let mut headers = HeaderMap::new();
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
        }
        decoded(&mut headers, body, max).inspect(|_| {
            assert!(
                !headers.contains_key(header::CONTENT_ENCODING) || coding.is_none_or(|c| c == "identity")
            );
        })
    }

    #[test]
    fn gzip_is_read_and_what_is_not_compressed_is_left_as_it_is() {
        let answer = Bytes::from_static(br#"{"access_token":"t"}"#);
        for coding in ["gzip", "GZip", "x-gzip"] {
            assert_eq!(read(Some(coding), gzip(&answer), 100), Ok(answer.clone()), "{coding}");
        }
        for coding in [None, Some("identity")] {
            assert_eq!(read(coding, answer.clone(), 100), Ok(answer.clone()), "{coding:?}");
        }
    }

    #[test]
    fn t84_a_bomb_costs_the_cap_and_no_more() {
        let bomb = gzip(&vec![0; 50 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(read(Some("gzip"), bomb, 1000), Err(Undecodable::TooLarge));
        assert_eq!(read(Some("gzip"), gzip(&[7; 1000]), 1000), Ok(Bytes::from(vec![7; 1000])));
        assert_eq!(read(Some("gzip"), gzip(&[7; 1001]), 1000), Err(Undecodable::TooLarge));
    }

    #[test]
    fn what_is_damaged_or_of_another_coding_is_refused() {
        let whole = gzip(b"text");
        assert_eq!(read(Some("gzip"), whole.slice(..whole.len() - 3), 100), Err(Undecodable::Damaged));
        assert_eq!(read(Some("gzip"), Bytes::from_static(b"plain"), 100), Err(Undecodable::Damaged));
        for coding in ["br", "zstd", "deflate", "gzip, gzip"] {
            assert_eq!(read(Some(coding), whole.clone(), 100), Err(Undecodable::Coding), "{coding}");
        }
    }
}
