//! Entries of `api_hosts`. This list decides where a credential may go, so nothing vague may be on it (T81).

/// Checks one entry: a host as a parsed URL spells it, optionally with `:port`, or `.example.com` for any host below
/// example.com.
///
/// # Errors
/// A sentence that says what is wrong and what to write instead.
pub(crate) fn check(entry: &str) -> Result<(), String> {
    if let Some(mistake) = common_mistake(entry) {
        return Err(mistake.into());
    }
    let (host, port) = split_port(entry);
    if let Some(digits) = port {
        check_port(digits)?;
    }
    match host.strip_prefix('.') {
        Some(parent) => check_parent(parent),
        None => check_exact(host),
    }
}

fn common_mistake(entry: &str) -> Option<&'static str> {
    if entry.is_empty() {
        return Some("is empty; write a host, like `api.example.com`");
    }
    if entry.contains("://") || entry.contains('/') {
        return Some("is a URL; write only the host, like `api.example.com`");
    }
    if entry.contains('*') {
        return Some("wildcards are not supported; `.example.com` stands for any host below example.com");
    }
    if entry.contains('@') || entry.contains(char::is_whitespace) {
        return Some("is not a host; write it bare, like `api.example.com`");
    }
    if !entry.is_ascii() {
        return Some("has letters beyond ASCII; write the `xn--` form");
    }
    if entry.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some("has capital letters; write it in lower case");
    }
    None
}

/// Splits off the port, if there is one; the colons inside `[::1]` do not start a port.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (entry, None),
    }
}

fn check_port(digits: &str) -> Result<(), String> {
    match digits.parse::<u16>() {
        Ok(port) if port > 0 && port.to_string() == digits => Ok(()),
        _ => Err(format!("`{digits}` is not a port; write a number from 1 to 65535, or none for 443")),
    }
}

fn check_parent(parent: &str) -> Result<(), String> {
    check_exact(parent)?;
    let is_name = parent.contains('.') && parent.parse::<std::net::IpAddr>().is_err();
    if is_name {
        Ok(())
    } else {
        Err("is too wide; a leading dot needs a domain with at least two labels".into())
    }
}

/// Checks that the parser that will later read the URL spells the host in the same way.
fn check_exact(host: &str) -> Result<(), String> {
    let parsed = url::Url::parse(&format!("https://{host}/"));
    let same = parsed.is_ok_and(|url| url.host_str() == Some(host));
    let plain = host.starts_with('[') || host.split('.').all(is_label);
    if same && plain {
        Ok(())
    } else {
        Err("is not a host name or address; write it like `api.example.com`".into())
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t81_an_api_host_is_one_exact_host_or_one_domain() {
        for good in [
            "api.example.com",
            "api.example.com:8443",
            "localhost:9000",
            "127.0.0.1:9000",
            "[::1]:9000",
            "[::1]",
            ".example.com",
            ".api.example.com:8443",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "*",
            "*.example.com",
            "https://api.example.com",
            "api.example.com/v1",
            "API.example.com",
            "api.example.com.",
            "api..example.com",
            ".",
            ".com",
            "..example.com",
            ".127.0.0.1",
            "user@example.com",
            "api.example.com ",
            "bücher.example",
            "api.example.com:",
            "api.example.com:0",
            "api.example.com:00443",
            "api.example.com:99999",
            "-api.example.com",
            "api_v1.example.com",
            "api.example.com?x",
            "api.example.com#x",
            "api%2eexample.com",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
            "::1",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
