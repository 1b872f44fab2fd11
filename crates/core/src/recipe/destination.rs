//! Where a provider's credential may go (T81).

use super::Recipe;

impl Recipe {
    /// Parses a URL that a caller wrote, if a credential of this provider may be sent there (T81): `allows_api_url` accepts
    /// it, and the text can be read in only one way. For `https://api.example\\@evil.example/`, other parsers (the published
    /// client's among them) dial another host than a browser's parser does.
    pub fn api_url(&self, text: &str) -> Option<url::Url> {
        url::Url::parse(text).ok().filter(|url| self.allows_api_url(url) && reads_one_way(text, url))
    }

    /// Whether a credential of this provider may be sent to `url` (T81): https (http only where an API host is a loopback
    /// address), no userinfo, and host and port on the list. Compares the parsed value, which is the one that is dialled.
    fn allows_api_url(&self, url: &url::Url) -> bool {
        if !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        let scheme_ok =
            url.scheme() == "https" || (url.scheme() == "http" && crate::origin::is_loopback(host));
        scheme_ok && self.api_hosts.iter().any(|entry| host_matches(entry, host, port, url.scheme()))
    }
}

/// Requires visible ASCII, no backslash, the same scheme and authority as the parsed URL (a default port may be written
/// out), and no dot segments, which one parser resolves and another sends as they are.
fn reads_one_way(text: &str, url: &url::Url) -> bool {
    let head = &url[..url::Position::BeforePath];
    let Some(written) = text.get(..head.len()) else { return false };
    let default_port = if url.scheme() == "http" { ":80" } else { ":443" };
    let rest = &text[head.len()..];
    let rest = rest.strip_prefix(default_port).filter(|_| url.port().is_none()).unwrap_or(rest);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let dots =
        path.split('/').any(|s| matches!(s.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."));
    text.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'\\')
        && written.eq_ignore_ascii_case(head)
        && (rest.is_empty() || rest.starts_with(['/', '?', '#']))
        && !dots
}

fn host_matches(entry: &str, host: &str, port: u16, scheme: &str) -> bool {
    let (entry_host, entry_port) = match entry.rsplit_once(':') {
        Some((name, digits)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            (name, digits.parse::<u16>().ok())
        }
        _ => (entry, Some(if scheme == "http" { 80 } else { 443 })),
    };
    if entry_port != Some(port) {
        return false;
    }
    match entry_host.strip_prefix('.') {
        Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => host == entry_host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(hosts: &[&str]) -> Recipe {
        let text = serde_json::json!({"id":"x","name":"X","authorize_url":"https://x/a","token_url":"https://x/t","api_hosts":hosts});
        serde_json::from_value(text).expect("a recipe needs no more than this")
    }

    #[test]
    fn t81_a_credential_goes_to_the_providers_api_hosts_alone() {
        let r = recipe(&["api.provider.com", ".wild.example", "127.0.0.1:9000", "[2001:db8::1]"]);
        let ok = |u: &str| r.api_url(u).is_some();
        for good in [
            "https://api.provider.com",
            "https://api.provider.com?x=1",
            "https://api.provider.com:443",
            "https://api.provider.com/v1",
            "https://api.provider.com/v1?next=../x#y",
            "https://api.provider.com/a@b:c",
            "https://API.provider.com:443/v1",
            "https://a.wild.example/",
            "http://127.0.0.1:9000/me",
            "https://[2001:db8::1]/me",
        ] {
            assert!(ok(good), "{good}");
        }
        for bad in [
            "http://api.provider.com/v1",
            "https://api.provider.com.evil/v1",
            "https://api.provider.com@evil/v1",
            "https://evil\\@api.provider.com/",
            "https://evil#@api.provider.com/",
            "https://api.provider.com:8443/",
            "https://user@api.provider.com/",
            "https://:pw@api.provider.com/",
            "https://api.provider.com./",
            "https://wild.example/",
            "https://.wild.example/",
            "https://evilwild.example/",
            "https://a.wild.example.evil/",
            "https://xn--api-provider-com/",
            "http://127.0.0.1:9001/me",
            "https://127.0.0.2:9000/",
            "https://api.provider.com\\@evil.example/x",
            "https://api.provider.com\\.evil.example/x",
            "https:api.provider.com/",
            "https:/api.provider.com/",
            "https:\\\\api.provider.com/",
            "https:///api.provider.com/",
            " https://api.provider.com/",
            "https://api.provider.com/ ",
            "https://api.provider.com/\tx",
            "https://api.pro\nvider.com/",
            "https://api.provider.com:0443/",
            "https://api.provider.com:/",
            "https://@api.provider.com/",
            "https://api%2Eprovider.com/",
            "https://api.provider.com/v1/../admin",
            "https://api.provider.com/v1/%2e%2E/admin",
            "https://api.provider.com/./v1",
            "ftp://api.provider.com/",
            "data:text/plain,x",
        ] {
            assert!(!ok(bad), "{bad}");
        }
    }
}
