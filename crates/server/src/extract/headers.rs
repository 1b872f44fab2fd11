//! Headers of which there may be one. Of two with one name each reader may choose another, so two are none.

use axum::http::{HeaderMap, HeaderValue, header::AsHeaderName};

/// The header, when it came exactly once.
pub(crate) fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut given = headers.get_all(name).iter();
    match (given.next(), given.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}
