//! Makes one app with one provider and one grant through the real connect flow: the steps of the browser SDK's popup
//! over HTTP, against a mock provider that approves at once.

use alter_core::secret::{base64url, sha256};
use alter_mock_provider::{MockProvider, User};
use anyhow::{Context, ensure};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use crate::{
    alter::Alter,
    client::{Connection, request},
    signer::Signer,
};

const ORIGIN: &str = "https://app.example";
const PROVIDER: &str = "mock";
pub(crate) const CLIENT: &str = "bench-client";
pub(crate) const CLIENT_SECRET: &str = "bench-client-secret";

/// The body of a request for a session, as a backend sends it.
pub(crate) const MINT: &str = r#"{"allowed_origin":"https://app.example"}"#;

/// Makes an app that can mint sessions. Returns a signer with its key.
pub(crate) fn make_app(alter: &Alter, provider: &MockProvider) -> anyhow::Result<Signer> {
    let app =
        alter.cli(&["app", "create", "Bench", "--website-url", ORIGIN, "--sessions-per-minute", "0"], "")?;
    let issuer = provider.issuer();
    let set = [
        "provider",
        "set",
        "Bench",
        PROVIDER,
        "--client-id",
        CLIENT,
        "--client-secret-stdin",
        "--issuer",
        &issuer,
        "--api-host",
        issuer.trim_start_matches("http://"),
    ];
    let configured = alter.cli(&set, CLIENT_SECRET)?;
    let callback = configured["callback_url"].as_str().context("no callback URL")?;
    provider.register_client(CLIENT, Some(CLIENT_SECRET), &[callback]);
    let key = app["api_key"].as_str().context("no API key")?;
    Ok(Signer { host: alter.host(), key: SecretString::from(key.to_owned()) })
}

/// Connects an account. Returns the body of a `/sdk/token` call that releases its token.
pub(crate) async fn connect(
    alter: &Alter,
    signer: &Signer,
    provider: &MockProvider,
) -> anyhow::Result<String> {
    connect_for(alter, signer, provider, None).await
}

/// Like [`connect`], for a user.
pub(crate) async fn connect_for(
    alter: &Alter,
    signer: &Signer,
    provider: &MockProvider,
    user_token: Option<&str>,
) -> anyhow::Result<String> {
    provider.set(|switches| switches.auto_approve = true);
    let mut server = Connection::open(alter.port).await?;
    let mint = json!({ "allowed_origin": ORIGIN, "user_token": user_token }).to_string();
    let minted =
        server.exchange(&signer.post("/sdk/oauth/connect/session", &mint)).await?.expect(201)?.json()?;
    let token = minted["session_token"].as_str().context("no session token")?;
    let (page, cookie) = open(&mut server, alter, token).await?;
    status(&mut server, alter, token).await?;
    let sid = page.split('?').next().and_then(|path| path.rsplit('/').next()).context("no session id")?;
    let authorize = approve(&mut server, alter, sid, &cookie).await?;
    let callback = at_provider(&authorize).await?;
    let back = request("GET", &callback, &alter.host(), &[("cookie", &cookie)], "");
    server.exchange(&back).await?.expect(303)?;
    let done = status(&mut server, alter, token).await?;
    ensure!(done["status"] == "completed", "the connect flow ended {}", done["status"]);
    let grant = done["connections"][0]["grant_id"].as_str().context("no grant")?;
    let wanted = json!({ "method": "GET", "url": provider.url("/api/me") });
    Ok(json!({ "grant_id": grant, "reason": "bench", "request": wanted }).to_string())
}

/// Signs another person in at the provider for the next visit, so that each visit makes a grant of its own. Returns the
/// person's `sub`.
pub(crate) fn sign_in(provider: &MockProvider, number: usize) -> String {
    let sub = format!("person-{number}");
    provider.add_user(User { sub: sub.clone(), email: format!("{sub}@acme.example"), name: sub.clone() });
    provider.set(|s| s.auto_user = Some(sub.clone()));
    sub
}

/// Sends the popup's form POST. Returns the page that it leads to and the browser's cookie.
pub(crate) async fn open(
    server: &mut Connection,
    alter: &Alter,
    token: &str,
) -> anyhow::Result<(String, String)> {
    let form = format!("session={token}&cb={}&m=p", cb_of(token));
    let headers = [("origin", ORIGIN), ("content-type", "application/x-www-form-urlencoded")];
    let ask = request("POST", "/connect/open", &alter.host(), &headers, &form);
    let reply = server.exchange(&ask).await?.expect(303)?;
    let cookie = reply.header("set-cookie").and_then(|c| c.split(';').next()).context("no cookie")?;
    Ok((reply.header("location").context("no page")?.to_owned(), cookie.to_owned()))
}

/// The flow id of the page that has this token. The SDK's is random; this one can be made again.
fn cb_of(token: &str) -> String {
    base64url(&sha256(token.as_bytes()))
}

/// Asks the status channel, as the app's page does.
pub(crate) async fn status(server: &mut Connection, alter: &Alter, token: &str) -> anyhow::Result<Value> {
    server.exchange(&status_request(&alter.host(), token)).await?.expect(200)?.json()
}

/// The request to the status channel, as bytes.
pub(crate) fn status_request(host: &str, token: &str) -> Vec<u8> {
    let body = json!({ "session_token": token, "cb": cb_of(token), "cursor": 0, "wait": 0 }).to_string();
    request("POST", "/connect/status", host, &[("origin", ORIGIN), ("content-type", "text/plain")], &body)
}

/// Approves on our page. Returns the provider's authorization URL.
pub(crate) async fn approve(
    server: &mut Connection,
    alter: &Alter,
    sid: &str,
    cookie: &str,
) -> anyhow::Result<String> {
    let headers = [
        ("origin", alter.public_url()),
        ("content-type", "application/json".into()),
        ("cookie", cookie.into()),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let body = json!({ "provider": PROVIDER }).to_string();
    let ask = request("POST", &format!("/connect/api/s/{sid}/approve"), &alter.host(), &headers, &body);
    let answer = server.exchange(&ask).await?.expect(200)?.json()?;
    Ok(answer["location"].as_str().context("no authorization URL")?.to_owned())
}

/// Goes to the provider. Returns path and query of the callback that it redirects to.
pub(crate) async fn at_provider(authorize: &str) -> anyhow::Result<String> {
    let url = Url::parse(authorize)?;
    let port = url.port().context("the mock provider has a port")?;
    let ask = request("GET", &target_of(&url), &format!("127.0.0.1:{port}"), &[], "");
    let mut provider = Connection::open(port).await?;
    let reply = provider.exchange(&ask).await?.expect(303)?;
    Ok(target_of(&Url::parse(reply.header("location").context("the provider did not redirect")?)?))
}

fn target_of(url: &Url) -> String {
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}
