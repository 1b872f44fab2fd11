//! The tests' own client: raw HTTP/1.1 over TCP, and the code flow on top of it.

use alter_mock_provider::{MockProvider, Switches};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const CLIENT: &str = "notes-app";
pub(crate) const SECRET: &str = "s3cret/+&= %";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:9/oauth/callback/pc_1";
pub(crate) const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-0123456789";
pub(crate) const SCOPE: &str = "openid email notes.read";

/// An answer; the body is empty if the connection broke before it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// A parameter of the `Location`.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        let query = self.header("location")?.split_once('?')?.1;
        form_urlencoded::parse(query.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Returns everything that the server sends until it closes.
pub(crate) async fn exchange(provider: &MockProvider, request: &str) -> Vec<u8> {
    let mut stream = open(provider, request).await;
    let mut received = Vec::new();
    // A reset in the middle is an outcome too: the bytes before it count.
    let _ = stream.read_to_end(&mut received).await;
    received
}

/// Opens a connection and sends the request.
pub(crate) async fn open(provider: &MockProvider, request: &str) -> TcpStream {
    let address = provider.issuer().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.expect("the provider listens");
    stream.write_all(request.as_bytes()).await.expect("the provider reads");
    stream
}

pub(crate) fn http(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

pub(crate) async fn send(
    provider: &MockProvider,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let received = exchange(provider, &http(method, path, headers, body)).await;
    let text = String::from_utf8_lossy(&received).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) async fn get(provider: &MockProvider, path: &str) -> Answer {
    send(provider, "GET", path, &[], "").await
}

pub(crate) async fn get_as(provider: &MockProvider, path: &str, token: &str) -> Answer {
    send(provider, "GET", path, &[("authorization", &format!("Bearer {token}"))], "").await
}

pub(crate) async fn post_form(
    provider: &MockProvider,
    path: &str,
    basic: Option<(&str, &str)>,
    fields: &[(&str, &str)],
) -> Answer {
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    let authorization = basic.map(|(id, secret)| {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
    });
    headers.extend(authorization.as_ref().map(|value| ("authorization", value.as_str())));
    send(provider, "POST", path, &headers, &encode(fields)).await
}

pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub(crate) fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()))
}

/// Starts a provider with our client registered; it answers authorization requests at once.
pub(crate) async fn provider(f: impl FnOnce(&mut Switches)) -> MockProvider {
    let provider = MockProvider::start().await;
    provider.register_client(CLIENT, Some(SECRET), &[REDIRECT]);
    provider.set(|s| s.auto_approve = true);
    provider.set(f);
    provider
}

/// The path of a correct authorization request, with some parameters replaced or, if empty, left out.
pub(crate) fn authorize_path(changes: &[(&str, &str)]) -> String {
    let challenge = challenge();
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("scope", SCOPE),
        ("state", "the-state"),
        ("nonce", "the-nonce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        params.retain(|(known, _)| known != name);
        if !value.is_empty() {
            params.push((name, value));
        }
    }
    format!("/authorize?{}", encode(&params))
}

pub(crate) async fn authorize(provider: &MockProvider, changes: &[(&str, &str)]) -> Answer {
    get(provider, &authorize_path(changes)).await
}

pub(crate) async fn code(provider: &MockProvider) -> String {
    authorize(provider, &[]).await.param("code").expect("the provider approves")
}

/// Sends a correct token request for this code, with some fields replaced or, if empty, left out.
pub(crate) async fn redeem(provider: &MockProvider, code: &str, changes: &[(&str, &str)]) -> Answer {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        if !value.is_empty() {
            fields.push((name, value));
        }
    }
    post_form(provider, "/token", Some((CLIENT, SECRET)), &fields).await
}

/// Runs the whole flow and returns the answer of the token endpoint.
pub(crate) async fn connect(provider: &MockProvider) -> Answer {
    redeem(provider, &code(provider).await, &[]).await
}

pub(crate) async fn refresh(provider: &MockProvider, token: &str) -> Answer {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    post_form(provider, "/token", Some((CLIENT, SECRET)), &fields).await
}

/// The member of a JSON answer, as text.
pub(crate) fn text(answer: &Answer, member: &str) -> String {
    answer.json()[member].as_str().unwrap_or_else(|| panic!("{member} is text")).to_owned()
}
