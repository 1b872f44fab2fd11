//! Web origins, compared exactly (S4, T39). The rule: parse an origin as a browser does and serialise it again; the
//! result must equal the input byte for byte.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// Why an origin was refused: the part at fault, and what to write instead where that can be known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct OriginError {
    /// What is wrong, as half a sentence: "it ends in a slash".
    pub fault: &'static str,
    /// The corrected value, when the input was close. It is itself accepted.
    pub suggestion: Option<String>,
}

impl OriginError {
    fn sentence(&self) -> String {
        match &self.suggestion {
            Some(better) => format!("The origin is not valid: {}. Write \"{better}\".", self.fault),
            None => format!(
                "The origin is not valid: {}. Write scheme and host only, such as \"https://app.example.com\".",
                self.fault
            ),
        }
    }
}

/// A web origin, serialised as browsers do: https, or http on a loopback host. It was checked before it was stored, so
/// deserialising it checks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origin(String);

impl Origin {
    /// Accepts exactly a serialised origin.
    ///
    /// # Errors
    /// As [`check_origin`].
    pub fn parse(input: &str) -> Result<Self, OriginError> {
        check_origin(input).map(|()| Self(input.to_owned()))
    }

    /// The origin of a URL.
    ///
    /// # Errors
    /// As [`check_origin`]: the URL is neither https nor on a loopback host.
    pub fn of(url: &Url) -> Result<Self, OriginError> {
        Self::parse(&url.origin().ascii_serialization())
    }

    /// The origin as text: `https://app.example.com`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the browser's `Origin` header names exactly this origin; `None` = the header is absent or came twice.
    pub fn is_named_by(&self, header: Option<&str>) -> bool {
        header == Some(self.as_str())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Accepts exactly a serialised https origin, or http on a loopback host.
///
/// # Errors
/// Names the offending part and, where the input was close, the corrected value.
pub fn check_origin(input: &str) -> Result<(), OriginError> {
    if let Some(fault) = unreadable(input) {
        return Err(OriginError { fault, suggestion: None });
    }
    match fault_of(input) {
        Some(fault) => Err(OriginError { fault, suggestion: suggestion(input) }),
        None => Ok(()),
    }
}

/// The fault of an input that is nowhere near an origin.
fn unreadable(input: &str) -> Option<&'static str> {
    match input {
        "" => Some("it is empty"),
        "*" => Some("wildcards are not supported"),
        "null" => Some("\"null\" names no page"),
        // A host name has at most 253 characters; longer input would only be repeated in the message.
        _ if input.len() > 512 => Some("it is longer than any origin"),
        _ if input.bytes().any(|b| b <= b' ' || b == 0x7f) => {
            Some("it contains white space or a control character")
        }
        _ => None,
    }
}

fn fault_of(input: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(input) else { return Some("it has no scheme, or it is not a URL") };
    if !is_web(&url) {
        return Some(if with_scheme(input).is_some() {
            "it has no scheme"
        } else {
            "its scheme is not https"
        });
    }
    if url.origin().ascii_serialization() != input {
        return Some(offending_part(input, &url));
    }
    fault_of_host(&url)
}

fn fault_of_host(url: &Url) -> Option<&'static str> {
    let host = url.host_str().unwrap_or_default();
    if url.scheme() == "http" && !is_loopback(host) {
        return Some("http is allowed on a loopback host only");
    }
    if host.ends_with('.') {
        return Some("its host ends in a dot");
    }
    if url.port() == Some(0) {
        return Some("port 0 cannot be reached");
    }
    if host.contains('*') {
        return Some("wildcards are not supported");
    }
    host.starts_with("[::ffff:").then_some("an IPv4 address must not be written as IPv6")
}

/// Returns the origin that was probably meant, if that one has no fault of its own.
fn suggestion(input: &str) -> Option<String> {
    let Some(url) = Url::parse(input).ok().filter(is_web) else { return with_scheme(input) };
    let mut better = url.origin().ascii_serialization();
    if url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default()) {
        let secure = better.replacen("http", "https", 1);
        // Serialised once more, because 443 is a default port now.
        better = Url::parse(&secure).ok()?.origin().ascii_serialization();
    }
    passes(&better).then_some(better)
}

fn with_scheme(input: &str) -> Option<String> {
    let guess = format!("https://{input}");
    (!input.contains("//") && !input.contains('@') && passes(&guess)).then_some(guess)
}

fn passes(input: &str) -> bool {
    unreadable(input).is_none() && fault_of(input).is_none()
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http")
}

fn offending_part(input: &str, url: &Url) -> &'static str {
    let authority = input
        .split_once("://")
        .map_or("", |(_, rest)| rest.split(['/', '?', '#', '\\']).next().unwrap_or(""));
    if !url.username().is_empty() || url.password().is_some() || authority.contains('@') {
        "it contains a user name or password"
    } else if url.query().is_some() {
        "it contains a query"
    } else if url.fragment().is_some() {
        "it contains a fragment"
    } else if url.path() != "/" {
        "it contains a path"
    } else if input.ends_with('/') || input.contains('\\') {
        "it ends in a slash"
    } else if authority.rsplit_once(':').is_some_and(|(host, port)| {
        !host.ends_with(':')
            && (port.is_empty() || port.bytes().all(|b| b.is_ascii_digit()))
            && url.port().is_none()
    }) {
        "it writes out the default port"
    } else if input.bytes().any(|b| b.is_ascii_uppercase()) {
        "it is not in lower case"
    } else {
        "it is not written the way browsers write origins"
    }
}

/// `localhost`, `*.localhost` (RFC 6761), 127.0.0.0/8 or `[::1]`, as a URL host.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
