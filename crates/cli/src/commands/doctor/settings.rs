//! Checks what the settings alone can tell.

use std::net::IpAddr;

use super::problem::{
    Finding, LISTEN_PUBLIC, METRICS_PUBLIC, OPEN_FILES_LOW, PUBLIC_URL_LOCAL, PUBLIC_URL_UNKNOWN,
    PUBLIC_URL_UNUSABLE,
};
use crate::{config::Config, limits};

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = vec![public_url(config)];
    if is_exposed(config.listen.ip()) {
        findings.push(LISTEN_PUBLIC.found(format!("ALTER_LISTEN is {}", config.listen)));
    }
    if let Some(metrics) = config.metrics_listen
        && is_exposed(metrics.ip())
    {
        findings.push(METRICS_PUBLIC.found(format!("ALTER_METRICS_LISTEN is {metrics}")));
    }
    findings.extend(open_files());
    findings
}

fn public_url(config: &Config) -> Finding {
    if config.known_public_url().is_none() {
        return PUBLIC_URL_UNKNOWN.found("ALTER_PUBLIC_URL is not set for this command");
    }
    match alter_server::Site::new(&config.public_url) {
        Ok(site) if site.secure => Finding::ok("public-url", &config.public_url),
        Ok(_) => PUBLIC_URL_LOCAL.found(&config.public_url),
        Err(text) => PUBLIC_URL_UNUSABLE.found(text),
    }
}

/// Whether this is the wildcard address or a public one. Private networks are not exposed: proxies are there.
fn is_exposed(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_private() || v4.is_link_local()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

fn open_files() -> Option<Finding> {
    // The server raises its limit as far as it may, so the hard limit counts.
    let (_, most) = limits::open_files()?;
    let wanted = alter_server::Limits::default().connections;
    let fitting = limits::fitting(most, wanted);
    (fitting < wanted).then(|| {
        OPEN_FILES_LOW.found(format!("{most} files may be open: room for {fitting} of {wanted} connections"))
    })
}

#[cfg(test)]
mod tests {
    use super::is_exposed;

    #[test]
    fn loopback_and_private_addresses_are_not_exposed() {
        for (address, exposed) in [
            ("127.0.0.1", false),
            ("::1", false),
            ("10.0.0.5", false),
            ("192.168.1.2", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::ffff:127.0.0.1", false),
            ("0.0.0.0", true),
            ("::", true),
            ("203.0.113.7", true),
            ("2001:db8::1", true),
        ] {
            assert_eq!(is_exposed(address.parse().unwrap()), exposed, "{address}");
        }
    }
}
