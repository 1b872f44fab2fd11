//! A browser without a screen: it has a cookie jar for the server, and the test follows redirects one at a time. What
//! only a real browser can show (CSP, postMessage, COOP) is tested in `tests/e2e`.

use std::collections::BTreeMap;

use alter_core::{
    SystemRandom,
    secret::{base64url, sha256},
    time::random_bytes,
};
use serde_json::{Value, json};

use crate::{Reply, Sent, TestApp, TestServer, http::send};

/// A browser with one cookie jar.
#[derive(Debug, Clone, Default)]
pub struct TestBrowser {
    cookies: BTreeMap<String, String>,
}

impl TestBrowser {
    /// A browser with an empty jar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a flow id as our SDK does: `(v, cb)`.
    pub fn flow_id() -> (String, String) {
        let bytes = random_bytes::<32>(&SystemRandom);
        (base64url(&bytes), base64url(&sha256(&bytes)))
    }

    /// The flow id of the app page that has this session token, `(v, cb)`. The SDK's is random; this one can be made
    /// again, for each of the page's questions.
    pub fn flow_of(token: &str) -> (String, String) {
        let bytes = sha256(token.as_bytes());
        (base64url(&bytes), base64url(&sha256(&bytes)))
    }

    /// The `cb` of [`Self::flow_of`].
    pub fn cb_of(token: &str) -> String {
        Self::flow_of(token).1
    }

    /// The `Cookie` header; empty if the jar is.
    pub fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Puts a cookie into the jar.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.into(), value.into());
    }

    /// Sends a request with the jar's cookies and keeps the cookies of the reply.
    pub async fn send(&mut self, server: &TestServer, sent: Sent) -> Reply {
        let cookie = self.cookie();
        let sent = if cookie.is_empty() { sent } else { sent.header("cookie", &cookie) };
        let reply = server.send(sent).await;
        for line in reply.cookies() {
            let pair = line.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').unwrap_or_default();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.set_cookie(name, value);
            }
        }
        reply
    }

    /// Sends a GET with the jar's cookies.
    pub async fn get(&mut self, server: &TestServer, target: &str) -> Reply {
        self.send(server, Sent::new("GET", target)).await
    }

    /// Sends the form POST of our SDK (door A) from a page of `origin`, in a popup.
    pub async fn open(&mut self, server: &TestServer, token: &str, origin: Option<&str>) -> Reply {
        self.open_as("p", server, token, origin).await
    }

    /// Sends the form POST of our SDK (door A), in its mode `m`.
    pub async fn open_as(
        &mut self,
        m: &str,
        server: &TestServer,
        token: &str,
        origin: Option<&str>,
    ) -> Reply {
        let form = format!("session={token}&cb={}&m={m}", Self::cb_of(token));
        let mut sent =
            Sent::new("POST", "/connect/open").header("content-type", "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            sent = sent.header("origin", origin);
        }
        self.send(server, sent.body(form)).await
    }

    /// Sends a POST as our own page's script does.
    pub async fn post(&mut self, server: &TestServer, target: &str, body: &Value) -> Reply {
        let sent = Sent::new("POST", target)
            .header("origin", &server.public_url)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/json");
        self.send(server, sent.body(body.to_string())).await
    }

    /// Opens a session as our SDK does, so that the app page's origin is proven. Returns the sid.
    pub async fn claim(&mut self, server: &TestServer, app: &TestApp, token: &str) -> String {
        let reply = self.open(server, token, Some(&app.origin)).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        let status = server.status(token, &app.origin, json!({})).await;
        assert_eq!(status.status, 200, "{}", status.text());
        sid_of(reply.header("location"))
    }

    /// Opens a session as our SDK does where the whole page leaves: nobody asks for the status. Returns the sid.
    pub async fn claim_by_redirect(&mut self, server: &TestServer, app: &TestApp, token: &str) -> String {
        let reply = self.open_as("r", server, token, Some(&app.origin)).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        sid_of(reply.header("location"))
    }

    /// Opens a link as our connect page does, in a tab of its own. `more`: what else the page sends.
    pub async fn open_link(&mut self, server: &TestServer, token: &str, more: &Value) -> Reply {
        let marks = json!({ "opener": false, "name": "", "referrer": "", "site": "none", "history": 2 });
        let mut body = json!({ "token": token, "marks": marks });
        for (name, value) in more.as_object().cloned().unwrap_or_default() {
            body[name] = value;
        }
        self.post(server, "/connect/api/claim", &body).await
    }

    /// Leaves for the identity provider, as the button does. Returns its address.
    pub async fn leave_to_sign_in(&mut self, server: &TestServer, sid: &str) -> String {
        let reply = self.post(server, &format!("/connect/api/s/{sid}/sign-in"), &json!({})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["location"].as_str().expect("an address").to_owned()
    }

    /// Signs in at the identity provider, as whoever is signed in there, and comes back.
    pub async fn sign_in(&mut self, server: &TestServer, sid: &str) -> Reply {
        let authorize = self.leave_to_sign_in(server, sid).await;
        let callback = self.at_provider(&authorize).await;
        self.get(server, &callback).await
    }

    /// Follows the way back to the app's page. Returns the address with the result.
    pub async fn go_back(&mut self, server: &TestServer, sid: &str) -> url::Url {
        let reply = self.get(server, &format!("/connect/s/{sid}/return")).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        url::Url::parse(reply.header("location")).expect("an address of the app")
    }

    /// Opens the consent page and approves as its script does. Returns the provider's authorization URL.
    pub async fn approve(&mut self, server: &TestServer, sid: &str, provider: &str) -> String {
        let page = self.get(server, &format!("/connect/s/{sid}")).await.text();
        let target = format!("/connect/api/s/{sid}/approve");
        let body = json!({ "provider": provider, "shown": shown_on(&page) });
        let reply = self.post(server, &target, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["location"].as_str().expect("an approval has a location").to_owned()
    }

    /// Goes to the provider, which approves or denies by its switches. Returns the path and query of the callback.
    pub async fn at_provider(&self, authorize: &str) -> String {
        let url = url::Url::parse(authorize).expect("an authorization URL");
        let host = format!("127.0.0.1:{}", url.port().expect("the mock has a port"));
        let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let reply = send(&host, Sent::new("GET", &target)).await;
        let location = url::Url::parse(reply.header("location"))
            .unwrap_or_else(|_| panic!("no redirect: {}", reply.text()));
        format!("{}?{}", location.path(), location.query().unwrap_or_default())
    }

    /// Goes from the claim to the provider's answer. Returns the sid and the target of the callback, which is not sent
    /// yet.
    pub async fn up_to_callback(
        &mut self,
        server: &TestServer,
        app: &TestApp,
        token: &str,
    ) -> (String, String) {
        let sid = self.claim(server, app, token).await;
        let authorize = self.approve(server, &sid, "mock").await;
        let callback = self.at_provider(&authorize).await;
        (sid, callback)
    }

    /// Walks the whole flow with the test app. Returns the connection as the SDK would get it.
    pub async fn connect(&mut self, server: &TestServer) -> Value {
        self.connect_for(server, &server.app.clone(), &json!({})).await
    }

    /// Walks the whole flow with an app, for a session minted with `body`. Returns the connection.
    pub async fn connect_for(&mut self, server: &TestServer, app: &TestApp, body: &Value) -> Value {
        let token = server.mint_for(app, body).await;
        let (_, callback) = self.up_to_callback(server, app, &token).await;
        let reply = self.get(server, &callback).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        let status = server.status(&token, &app.origin, json!({})).await.json();
        assert_eq!(status["status"], "completed", "{status}");
        status["connections"][0].clone()
    }
}

/// A parameter of an address; empty if there is none.
pub fn param(url: &url::Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// What a consent page carries for its approval.
pub fn shown_on(page: &str) -> Option<&str> {
    page.split_once("data-shown=\"")?.1.split('"').next()
}

/// The sid in a page's path.
pub fn sid_of(location: &str) -> String {
    let path = location.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
