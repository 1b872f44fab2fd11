//! Web origins and return URLs, compared exactly (S4, S5, T39-T41). The rule for an origin: parse it as a browser does
//! and serialise it again; the result must equal the input byte for byte.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// Why an origin was refused: the part at fault, and what to write instead where that can be known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct OriginError {
    /// What is wrong, as half a sentence: "it ends in a slash".
    pub fault: String,
    /// The corrected value, when the input was close.
    pub suggestion: Option<String>,
}

impl OriginError {
    fn new(fault: impl Into<String>, suggestion: Option<String>) -> Self {
        Self { fault: fault.into(), suggestion }
    }

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

/// A web origin, serialised as browsers do: https, or http on a loopback host. It was checked before a session stored it,
/// so deserialising it checks nothing.
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
    let refuse = |fault: &str, better| Err(OriginError::new(fault, better));
    match input {
        "" => return refuse("it is empty", None),
        "*" => return refuse("wildcards are not supported", None),
        "null" => return refuse("\"null\" names no page", None),
        // A host name has at most 253 characters; longer input would only be repeated in the message.
        _ if input.len() > 512 => return refuse("it is longer than any origin", None),
        _ => {}
    }
    if input.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return refuse("it contains white space or a control character", None);
    }
    let Ok(url) = Url::parse(input) else {
        return refuse("it has no scheme, or it is not a URL", with_scheme(input));
    };
    if !matches!(url.scheme(), "https" | "http") {
        return match with_scheme(input) {
            Some(better) => refuse("it has no scheme", Some(better)),
            None => refuse("its scheme is not https", None),
        };
    }
    let serialised = url.origin().ascii_serialization();
    if serialised == input {
        let host = url.host_str().unwrap_or_default();
        return judge_host(&url, host);
    }
    let better = judge_host(&url, url.host_str().unwrap_or_default()).is_ok().then_some(serialised);
    refuse(offending_part(input, &url), better)
}

fn judge_host(url: &Url, host: &str) -> Result<(), OriginError> {
    let secure = || format!("https://{}", &url.origin().ascii_serialization()["http://".len()..]);
    if url.scheme() == "http" && !is_loopback(host) {
        return Err(OriginError::new("http is allowed on a loopback host only", Some(secure())));
    }
    if host.ends_with('.') {
        return Err(OriginError::new("its host ends in a dot", None));
    }
    if url.port() == Some(0) {
        return Err(OriginError::new("port 0 cannot be reached", None));
    }
    if host.contains('*') {
        return Err(OriginError::new("wildcards are not supported", None));
    }
    if host.starts_with("[::ffff:") {
        return Err(OriginError::new("an IPv4 address must not be written as IPv6", None));
    }
    Ok(())
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

fn with_scheme(input: &str) -> Option<String> {
    let guess = format!("https://{input}");
    (!input.contains("//") && !input.contains('@') && check_origin(&guess).is_ok()).then_some(guess)
}

/// `localhost`, `*.localhost` (RFC 6761), 127.0.0.0/8 or `[::1]`, as a URL host.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Query parameters that our redirect adds; a `return_url` must not contain any of them (T41).
pub const RESULT_PARAMETERS: [&str; 14] = [
    "alter_connect_success",
    "alter_connect_error",
    "alter_result_code",
    "alter_sid",
    "grant_id",
    "provider",
    "provider_name",
    "account_identifier",
    "timestamp",
    "operation",
    "scopes",
    "status",
    "error_code",
    "error_description",
];

/// Checks a `return_url`: https (or loopback http), no userinfo, no fragment tricks, none of our parameters, and an
/// origin that is exactly one of `registered` (T40: compared whole, never by prefix).
///
/// # Errors
/// A sentence for the developer who minted the session.
pub fn check_return_url(input: &str, registered: &[&str]) -> Result<(), String> {
    if input.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'\\') {
        return Err("return_url contains white space, a control character or a backslash.".into());
    }
    let url = Url::parse(input).map_err(|_| "return_url is not an absolute URL.".to_owned())?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("return_url must be https (or http on a loopback host).".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("return_url must not contain a user name or password.".into());
    }
    if url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default()) {
        return Err("return_url must be https (http is allowed on a loopback host only).".into());
    }
    let origin = url.origin().ascii_serialization();
    if !registered.contains(&origin.as_str()) {
        return Err(format!(
            "return_url has the origin {origin}, which is not registered on this app. Register it: alter app set APP --return-origin {origin}"
        ));
    }
    match url.query_pairs().find(|(name, _)| RESULT_PARAMETERS.contains(&name.as_ref())) {
        Some((name, _)) => {
            Err(format!("return_url already carries \"{name}\", a parameter that the result uses."))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
