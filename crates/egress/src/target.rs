//! From a parsed URL to the request target that hyper dials. The WHATWG parser (`url`) parses the URL once and has
//! already turned `0x7f.1`, `2130706433` and `①②⑦.⓪.⓪.①` into `127.0.0.1`. hyper needs an [`http::Uri`], so the pieces
//! are put together again, and a URL that this second type reads differently is refused: with two readings of one URL,
//! the check sees one host and the connection goes to another.

use http::Uri;
use url::{Position, Url};

use crate::EgressError;

/// A URL that both parsers agree on.
#[derive(Debug)]
pub(crate) struct Target {
    /// Scheme, authority, path and query, as hyper gets them.
    pub(crate) uri: Uri,
    /// The host for error messages.
    pub(crate) host: String,
}

impl Target {
    pub(crate) fn from_url(url: &Url) -> Result<Self, EgressError> {
        if !matches!(url.scheme(), "https" | "http") {
            return Err(bad("its scheme is neither https nor http"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it carries a user name or password"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("it has no host"))?;
        let uri = build(url, host).ok_or_else(|| bad("it has characters that cannot be sent"))?;
        if !reads_alike(url, host, &uri) {
            return Err(bad("it can be read in two ways"));
        }
        Ok(Self { uri, host: host.to_owned() })
    }
}

fn bad(reason: &'static str) -> EgressError {
    EgressError::BadUrl { reason }
}

fn path_and_query(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

fn build(url: &Url, host: &str) -> Option<Uri> {
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let builder = Uri::builder().scheme(url.scheme()).authority(authority);
    builder.path_and_query(path_and_query(url)).build().ok()
}

fn reads_alike(url: &Url, host: &str, uri: &Uri) -> bool {
    uri.scheme_str() == Some(url.scheme())
        && uri.host() == Some(host)
        && uri.port_u16() == url.port()
        && uri.path_and_query().map(http::uri::PathAndQuery::as_str) == Some(path_and_query(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, EgressError> {
        Target::from_url(&url.parse().expect("test URLs parse"))
    }

    #[test]
    fn a_plain_url_keeps_host_port_path_and_query_and_loses_its_fragment() {
        let target = target("https://API.example.com:8443/a%20b/?q=1&r=%2F#frag").unwrap();
        assert_eq!(target.uri.to_string(), "https://api.example.com:8443/a%20b/?q=1&r=%2F");
        assert_eq!(target.host, "api.example.com");
    }

    #[test]
    fn userinfo_and_other_schemes_are_refused() {
        for url in [
            "https://user@api.example.com/",
            "https://user:pass@api.example.com/",
            "https://:pass@api.example.com/",
            "https://api.example.com%2F@evil.example/",
            "ftp://api.example.com/",
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "ws://api.example.com/",
            "data:text/plain,x",
            "javascript:1",
            "unix:/run/docker.sock",
        ] {
            assert!(matches!(target(url), Err(EgressError::BadUrl { .. })), "{url}");
        }
    }

    #[test]
    fn t81_what_hyper_gets_names_the_host_the_parser_saw() {
        for (url, host) in [
            ("https://api.provider.com.evil.example/", "api.provider.com.evil.example"),
            ("https://evil.example\\@api.provider.com/", "evil.example"),
            ("https://evil.example#@api.provider.com/", "evil.example"),
            ("https://evil.example?@api.provider.com/", "evil.example"),
            ("https:///api.provider.com/", "api.provider.com"),
            ("https://API.Provider.COM./", "api.provider.com."),
            ("https://bücher.example/", "xn--bcher-kva.example"),
            ("https://[::ffff:127.0.0.1]:8443/", "[::ffff:7f00:1]"),
        ] {
            let target = target(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(target.uri.host(), Some(host), "{url}");
        }
    }
}
