//! Headers that may come only once. Of two with the same name, two readers may choose different ones, so two count as none.

use axum::http::{HeaderMap, HeaderValue, header::AsHeaderName};

/// The header, if it came exactly once.
pub(crate) fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut given = headers.get_all(name).iter();
    match (given.next(), given.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}
