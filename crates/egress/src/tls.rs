//! TLS settings. The cryptography provider is named here, because the process-wide default may be another or none. The
//! machine's own trust store judges certificates, or the bundled Mozilla roots where the machine has no store.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};

use crate::EgressError;

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// TLS 1.2 and 1.3, no client certificate.
pub(crate) fn client_config() -> Result<ClientConfig, EgressError> {
    with_verifier(trusted_roots()?)
}

pub(crate) fn with_verifier(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, EgressError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(set_up)?
        .dangerous() // rustls's word for any custom verifier; this one is the platform's or webpki's
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

/// Without a single root (in a container built from scratch) the platform verifier cannot be built, and the process
/// would not start. In that case, and only when the whole store fails, the bundled roots are used.
fn trusted_roots() -> Result<Arc<dyn ServerCertVerifier>, EgressError> {
    match rustls_platform_verifier::Verifier::new(provider()) {
        Ok(verifier) => Ok(Arc::new(verifier)),
        Err(error) => {
            tracing::warn!(%error, "this machine has no usable trust store; using the bundled Mozilla roots");
            Ok(with_roots(bundled_roots())?)
        }
    }
}

fn bundled_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    roots
}

pub(crate) fn with_roots(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, EgressError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().map_err(set_up)
}

fn set_up(error: impl std::fmt::Display) -> EgressError {
    EgressError::Tls { host: "any host".to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(unix, not(target_vendor = "apple")))]
    fn a_machine_without_trust_store_gets_the_bundled_roots() {
        // The platform verifier's loader reads these two variables, and a test must not change its own environment.
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tls::tests::child_without_trust_store", "--ignored"])
            .env("SSL_CERT_FILE", "/dev/null")
            .env("SSL_CERT_DIR", "/nonexistent")
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
    }

    #[test]
    #[ignore = "run by a_machine_without_trust_store_gets_the_bundled_roots"]
    #[cfg(all(unix, not(target_vendor = "apple")))]
    fn child_without_trust_store() {
        assert!(rustls_platform_verifier::Verifier::new(provider()).is_err(), "the store is not empty");
        assert!(client_config().is_ok());
    }

    #[test]
    fn the_bundled_roots_are_many() {
        assert!(bundled_roots().len() > 50);
    }
}
