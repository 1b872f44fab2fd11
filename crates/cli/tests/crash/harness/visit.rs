//! One user's visit, in a browser that outlives the server.

use std::time::{Duration, Instant};

use alter_testkit::{Reply, Sent, TestBrowser, browser::sid_of, http::send_raw};
use serde_json::{Value, json};

use super::Alter;

/// How long a test waits for the end of a visit. The reaper needs a second; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A session that is open in a browser.
pub(crate) struct Visit {
    pub(crate) token: String,
    pub(crate) sid: String,
    /// Path and query of the callback, once the provider has sent the browser back.
    pub(crate) callback: String,
    browser: TestBrowser,
}

impl Visit {
    /// Mints a session for one provider, opens it, approves, and comes back from the provider. The callback is not sent
    /// yet.
    pub(crate) async fn up_to_callback(alter: &Alter, provider: &str) -> Self {
        let mut visit = Self::open(alter, &[provider]).await;
        visit.approve(alter, provider).await;
        visit
    }

    /// Mints a session and opens it as our SDK does, so that the app page's origin is proven.
    pub(crate) async fn open(alter: &Alter, providers: &[&str]) -> Self {
        Self::open_minted(alter, alter.mint(providers).await).await
    }

    /// The same for a session that was minted already.
    pub(crate) async fn open_minted(alter: &Alter, token: String) -> Self {
        let browser = TestBrowser::new();
        let mut visit = Self { token, sid: String::new(), callback: String::new(), browser };
        let cb = TestBrowser::cb_of(&visit.token);
        let form = format!("session={}&cb={cb}&m=p", visit.token);
        let sent = Sent::new("POST", "/connect/open")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", "https://app.example");
        let reply = visit.send(alter, sent.body(form)).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        visit.sid = sid_of(reply.header("location"));
        alter.status(&visit.token).await;
        visit
    }

    /// Approves on our page and goes through the provider's pages.
    pub(crate) async fn approve(&mut self, alter: &Alter, provider: &str) {
        let reply = self.act(alter, "approve", &json!({ "provider": provider })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let authorize = reply.json()["location"].as_str().unwrap().to_owned();
        self.callback = self.browser.at_provider(&authorize).await;
    }

    /// Sends a POST as our page's script does.
    pub(crate) async fn act(&mut self, alter: &Alter, what: &str, body: &Value) -> Reply {
        let sent = Sent::new("POST", &format!("/connect/api/s/{}/{what}", self.sid))
            .header("origin", &format!("http://{}", alter.host()))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/json");
        self.send(alter, sent.body(body.to_string())).await
    }

    async fn send(&mut self, alter: &Alter, sent: Sent) -> Reply {
        let cookie = self.browser.cookie();
        let sent = if cookie.is_empty() { sent } else { sent.header("cookie", &cookie) };
        let reply = alter.send(sent).await;
        for line in reply.cookies() {
            let pair = line.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').unwrap_or_default();
            self.browser.set_cookie(name, value);
        }
        reply
    }

    /// Sends the callback to a server that may die while handling it. Returns what came back, as text; empty for
    /// nothing.
    pub(crate) async fn try_callback(&self, alter: &Alter) -> String {
        self.try_callback_at(alter, alter.port).await
    }

    /// Like [`Self::try_callback`], at another server of the same deployment.
    pub(crate) async fn try_callback_at(&self, alter: &Alter, port: u16) -> String {
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\nconnection: close\r\n\r\n",
            self.callback,
            alter.host(),
            self.browser.cookie()
        );
        send_raw(&format!("localhost:{port}"), request.as_bytes()).await
    }

    /// Sends the callback again, as a browser does that has it in its address bar.
    pub(crate) async fn reload_callback(&mut self, alter: &Alter) -> Reply {
        let target = self.callback.clone();
        self.send(alter, Sent::new("GET", &target)).await
    }

    /// Like [`Self::reload_callback`], at another server of the same deployment.
    pub(crate) async fn callback_at(&self, alter: &Alter, port: u16) -> Reply {
        let sent = Sent::new("GET", &self.callback)
            .header("host", &alter.host())
            .header("cookie", &self.browser.cookie());
        alter_testkit::http::send(&format!("localhost:{port}"), sent).await
    }

    /// Fetches our page as it is now.
    pub(crate) async fn page(&mut self, alter: &Alter) -> String {
        let reply = self.send(alter, Sent::new("GET", &format!("/connect/s/{}", self.sid))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.text()
    }

    /// Waits until the status channel no longer says `open`. Returns what it says then.
    pub(crate) async fn wait_for_end(&self, alter: &Alter) -> Value {
        let begun = Instant::now();
        loop {
            let status = alter.status(&self.token).await;
            if status["status"] != "open" {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the session is stuck (I6): {status}; {}", alter.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The value of this query parameter of the callback.
    pub(crate) fn param(&self, name: &str) -> String {
        let url = url::Url::parse(&format!("http://x{}", self.callback)).unwrap();
        url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
    }
}
