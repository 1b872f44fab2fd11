//! The wire: request and response types, error codes, limits that clients see. Flat errors, snake_case fields, exactly
//! what the published clients send and accept (docs/spec/wire.md). Server and client share these types:
//! each can be written and read.
//!
//! A word from a closed set is an enum. Codes (`error`, `error_code`) are texts: more of them may come, and a client must
//! accept codes that it does not know. A value that gives access to something is a [`Secret`].
//!
//! Not here: routes, headers, how a value is computed.

#![warn(missing_docs)] // others build on it

pub mod agent;
pub mod catalog;
pub mod connect;
pub mod error;
pub mod grant;
pub mod health;
pub mod report;
pub mod secret;
pub mod session;
pub mod token;
pub mod user;

pub use error::{ErrorBody, ErrorCode};
pub use secret::Secret;
pub use user::UserToken;

/// Largest request body on any route, bytes. The largest legitimate one is a mint with many providers.
pub const BODY_MAX: usize = 256 * 1024;
/// Largest report of a call, bytes: published clients include whole bodies, which are not read.
pub const REPORT_MAX: usize = 64 * 1024;
/// Deepest nesting of a JSON request body (T76).
pub const JSON_DEPTH_MAX: usize = 32;

/// Whether `text` nests deeper than [`JSON_DEPTH_MAX`]; looks at brackets outside strings only.
pub fn too_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text {
        match (in_string, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => in_string = !in_string,
            (false, _, b'[' | b'{') => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return true;
                }
            }
            (false, _, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t76_nesting_is_counted_outside_strings() {
        let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(!too_deep(nest(32).as_bytes()));
        assert!(too_deep(nest(33).as_bytes()));
        assert!(!too_deep(format!("\"{}\"", "[".repeat(100)).as_bytes()));
        assert!(!too_deep(format!("\"\\\"{}\"", "[".repeat(100)).as_bytes()));
        assert!(too_deep(format!("{{\"a\\\\\":{}", nest(40)).as_bytes()));
    }
}
