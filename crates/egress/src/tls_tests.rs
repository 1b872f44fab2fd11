//! TLS end to end, with a self-signed certificate made on the spot: the name is checked, the server name is sent, and
//! nothing else is sent before.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::resolve::Answer;
use crate::{Egress, EgressConfig, EgressError, Limits, Request, Resolve, tls};

/// Resolves every name to one address.
struct Pinned(SocketAddr);

impl Resolve for Pinned {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Answer<'a> {
        let address = self.0;
        Box::pin(async move { Ok(vec![address]) })
    }
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    let [.., high, low] = content.len().to_be_bytes();
    match content.len() {
        0..=127 => out.push(low),
        128..=255 => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend(content);
    out
}

/// A certificate for `dns_name`, valid 2020 to 2049, signed by its own key (RFC 5280, section 4.1).
fn certificate(dns_name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    const ECDSA_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 4, 3];
    const SUBJECT_ALT_NAME: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x11];

    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();

    let algorithm = der(0x30, &[ECDSA_SHA256]);
    let name = der(0x30, &[&der(0x31, &[&der(0x30, &[COMMON_NAME, &der(0x0c, &[b"test"])])])]);
    let validity = der(0x30, &[&der(0x17, &[b"200101000000Z"]), &der(0x17, &[b"491231235959Z"])]);
    let point = der(0x03, &[&[0], key.public_key().as_ref()]);
    let public_key = der(0x30, &[&der(0x30, &[EC_PUBLIC_KEY, P256]), &point]);
    let names = der(0x04, &[&der(0x30, &[&der(0x82, &[dns_name.as_bytes()])])]);
    let extensions = der(0xa3, &[&der(0x30, &[&der(0x30, &[SUBJECT_ALT_NAME, &names])])]);
    let version_and_serial = [0xa0, 3, 2, 1, 2, 2, 1, 1];
    let body =
        der(0x30, &[&version_and_serial, &algorithm, &name, &validity, &name, &public_key, &extensions]);
    let signature = key.sign(&SystemRandom::new(), &body).unwrap();
    let whole = der(0x30, &[&body, &algorithm, &der(0x03, &[&[0], signature.as_ref()])]);
    (whole.into(), PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec()).into())
}

/// Serves one TLS connection; reports the requested server name and the plaintext that arrived.
fn serve_once(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> (SocketAddr, Receiver<(Option<String>, String)>) {
    let config = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (report, reports) = channel();
    std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), tcp);
        let mut plaintext = vec![0; 4096];
        let read = stream.read(&mut plaintext).unwrap_or(0);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        let _ = stream.flush();
        let name = stream.conn.server_name().map(str::to_owned);
        let _ = report.send((name, String::from_utf8_lossy(&plaintext[..read]).into_owned()));
    });
    (address, reports)
}

fn egress(address: SocketAddr, root: CertificateDer<'static>) -> Egress {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let config = EgressConfig { allow: vec!["127.0.0.0/8".parse().unwrap()], ..EgressConfig::default() };
    let tls = tls::with_verifier(tls::with_roots(roots).unwrap()).unwrap();
    Egress::with_tls(config, Arc::new(Pinned(address)), tls)
}

fn get(url: &str) -> Request {
    Request {
        method: http::Method::GET,
        url: url.parse().unwrap(),
        headers: http::HeaderMap::new(),
        body: hyper::body::Bytes::new(),
        limits: Limits { total: Duration::from_secs(10), ..Limits::default() },
    }
}

#[tokio::test]
async fn tls_asks_for_the_host_of_the_url_and_speaks_http_1_1_inside() {
    let (cert, key) = certificate("api.provider.example");
    let (address, reports) = serve_once(cert.clone(), key);
    let answer = egress(address, cert).send(get("https://api.provider.example/me?x=1")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"ok"[..]));
    let (server_name, plaintext) = reports.recv().unwrap();
    assert_eq!(server_name.as_deref(), Some("api.provider.example"));
    assert!(plaintext.starts_with("GET /me?x=1 HTTP/1.1\r\n"), "{plaintext}");
    for field in ["host: api.provider.example", "user-agent: alter-connect"] {
        assert!(plaintext.contains(&format!("\r\n{field}\r\n")), "{plaintext}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_before_anything_is_sent() {
    let (cert, key) = certificate("evil.example");
    let (address, reports) = serve_once(cert.clone(), key);
    let error = egress(address, cert).send(get("https://api.provider.example/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
    assert!(!error.maybe_sent());
    assert_eq!(reports.recv().unwrap().1, "");
}

#[tokio::test]
async fn an_unknown_issuer_is_refused() {
    let (cert, key) = certificate("api.provider.example");
    let (address, _reports) = serve_once(cert, key);
    let (stranger, _) = certificate("api.provider.example");
    let error = egress(address, stranger).send(get("https://api.provider.example/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut_by_the_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = EgressConfig {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        connect_timeout: Duration::from_millis(200),
        ..EgressConfig::default()
    };
    let egress = Egress::with_resolver(config, Arc::new(Pinned(address))).unwrap();
    let mut request = get("https://api.provider.example/");
    request.limits.total = Duration::from_secs(24 * 3600);
    let error = egress.send(request).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout { maybe_sent: false, .. }), "{error:?}");
}
