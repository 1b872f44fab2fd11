//! The trace that a request belongs to. A caller that traces sends `traceparent` (W3C Trace Context level 1); its trace id
//! is then on every log line of the request, next to our own request id. It only joins logs and decides nothing: a caller
//! may write anything there.

use alter_core::secret::hex;
use axum::http::HeaderMap;

use crate::extract::only;

/// `00-` 32 hex `-` 16 hex `-` 2 hex.
const LENGTH: usize = 55;

/// A request's position in its caller's trace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// 32 lower-case hex digits: the caller's, or fresh.
    pub(crate) trace_id: String,
    /// The caller's span; `None` when the caller does not trace.
    pub(crate) span_id: Option<String>,
}

impl Trace {
    /// Reads the header. `fresh` becomes the trace id when the header is absent or malformed.
    pub(crate) fn of(headers: &HeaderMap, fresh: &[u8]) -> Self {
        let given = only(headers, "traceparent").and_then(|given| given.to_str().ok());
        given.and_then(parse).unwrap_or_else(|| Self::fresh(fresh))
    }

    fn fresh(bytes: &[u8]) -> Self {
        Self { trace_id: hex(bytes), span_id: None }
    }
}

/// "If the version is higher, parse trace-id, parent-id and flags by their lengths ... the string must end there or go
/// on with a dash" (section 4.3). Zeros are no ids; version `ff` is none.
fn parse(text: &str) -> Option<Trace> {
    let (head, rest) = text.split_at_checked(LENGTH)?;
    let mut parts = head.split('-');
    let mut part = |length: usize| parts.next().filter(|p| p.len() == length && is_lower_hex(p));
    let (version, trace_id, span_id, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let whole = match version {
        "00" => rest.is_empty(),
        "ff" => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let is_id = |id: &str| id.bytes().any(|b| b != b'0');
    (whole && is_id(trace_id) && is_id(span_id))
        .then(|| Trace { trace_id: trace_id.to_owned(), span_id: Some(span_id.to_owned()) })
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn of(headers: &[&str]) -> Trace {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append("traceparent", value.parse().unwrap());
        }
        Trace::of(&map, &[0xab; 16])
    }

    #[test]
    fn a_valid_traceparent_gives_its_ids() {
        let given = Trace { trace_id: TRACE.into(), span_id: Some(SPAN.into()) };
        assert_eq!(of(&[&format!("00-{TRACE}-{SPAN}-01")]), given);
        assert_eq!(of(&[&format!("00-{TRACE}-{SPAN}-00")]), given);
        assert_eq!(of(&[&format!("cc-{TRACE}-{SPAN}-01")]), given, "a version to come");
        assert_eq!(of(&[&format!("cc-{TRACE}-{SPAN}-01-what-the-future-holds")]), given);
    }

    #[test]
    fn anything_else_is_as_good_as_none() {
        let fresh = Trace { trace_id: "ab".repeat(16), span_id: None };
        assert_eq!(of(&[]), fresh);
        let valid = format!("00-{TRACE}-{SPAN}-01");
        for malformed in [
            "",
            "00",
            &valid[..54],
            &format!("{valid} "),
            &format!("{valid}-"),
            &format!("{valid}-more"),
            &format!("cc{}.", &valid[2..]),
            &valid.replacen("00", "ff", 1),
            &valid.to_uppercase(),
            &valid.replace(TRACE, &"0".repeat(32)),
            &valid.replace(SPAN, &"0".repeat(16)),
            &valid.replace('-', "_"),
            &valid.replace("4bf9", "4bg9"),
            &format!("00-{}-{SPAN}0-01", &TRACE[1..]),
            &"4".repeat(55),
            &"é".repeat(28),
        ] {
            let Ok(_sendable) = axum::http::HeaderValue::from_str(malformed) else { continue };
            assert_eq!(of(&[malformed]), fresh, "{malformed}");
        }
        assert_eq!(of(&[&valid, &valid]), fresh, "two of them");
    }
}
