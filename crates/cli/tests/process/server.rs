//! `alter serve` as a process, with an app and a mock provider, and a browser that walks through the flow.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use alter_core::{
    SystemRandom,
    secret::{hex, sha256},
    time::{Clock, SystemClock, random_bytes},
};
use alter_mock_provider::MockProvider;
use alter_signing::{SignedParts, sign};
use alter_testkit::{
    Reply, Sent, TestBrowser,
    browser::sid_of,
    free_port,
    http::{send, send_to_another},
};
use serde_json::{Value, json};

use crate::place::Place;

/// The origin of the app's page.
pub(crate) const APP: &str = "https://app.example";
/// A canary: scans for secrets look for this value.
pub(crate) const CLIENT_SECRET: &str = "canary-client-secret-77aa";

/// How long a test waits for what must come. How fast the machine is decides nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server that has been set up; it may be running or not.
pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) mock: MockProvider,
    pub(crate) host: String,
    pub(crate) metrics: String,
    pub(crate) api_key: String,
    pub(crate) app_id: String,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Sets a server up with the operator's commands, and starts it.
    pub(crate) async fn start(name: &str) -> Self {
        let (port, metrics) = (free_port(), free_port());
        let place = Place::new(name)
            .with("ALTER_LISTEN", &format!("127.0.0.1:{port}"))
            .with("ALTER_PUBLIC_URL", &format!("http://localhost:{port}"))
            .with("ALTER_METRICS_LISTEN", &format!("127.0.0.1:{metrics}"));
        let mock = MockProvider::start().await;
        mock.set(|switches| switches.auto_approve = true);
        place.json(&["init"]);
        let app = place.json(&["app", "create", "My App", "--website-url", APP]);
        let (issuer, host) = (mock.issuer(), mock.issuer().replace("http://", ""));
        let set = ["provider", "set", "My App", "mock", "--issuer", &issuer, "--client-id", "client"];
        let more = ["--client-secret-stdin", "--api-host", &host];
        let provider = place.json_with(&[&set[..], &more[..]].concat(), CLIENT_SECRET);
        mock.register_client("client", Some(CLIENT_SECRET), &[provider["callback_url"].as_str().unwrap()]);
        let text = |field: &str| app[field].as_str().unwrap().to_owned();
        let (api_key, app_id) = (text("api_key"), text("app_id"));
        let mut server = Self {
            place,
            mock,
            host: format!("localhost:{port}"),
            metrics: format!("localhost:{metrics}"),
            api_key,
            app_id,
            child: None,
            log: Arc::default(),
        };
        server.serve().await;
        server
    }

    /// Starts the process and waits until it answers.
    pub(crate) async fn serve(&mut self) {
        self.log.lock().unwrap().clear();
        let mut command = self.place.command(&["serve"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (stderr, log) = (child.stderr.take().unwrap(), self.log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        self.child = Some(child);
        self.until("it serves", |server| server.log().contains("\"serving\"")).await;
    }

    /// Everything that the server has logged since its last start.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until `is_so` holds, for a minute at most.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let from = Instant::now();
        while !is_so(self) {
            assert!(from.elapsed() < PATIENCE, "not in time: {what}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends SIGTERM, as systemd does.
    pub(crate) fn terminate(&self) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits for the server's end, for a minute at most.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let from = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if from.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("the server does not end:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn send(&self, sent: Sent) -> Reply {
        send(&self.host, sent).await
    }

    /// A signed call by the app's backend, not sent yet.
    pub(crate) fn signed(&self, target: &str, body: &Value) -> Sent {
        let body = body.to_string();
        let timestamp = SystemClock.now().as_seconds().to_string();
        let nonce = hex(&random_bytes::<16>(&SystemRandom));
        let parts = SignedParts {
            method: "POST",
            target,
            timestamp: &timestamp,
            nonce: &nonce,
            body: body.as_bytes(),
            ..SignedParts::default()
        };
        Sent::new("POST", target)
            .header("x-api-key", &self.api_key)
            .header("x-alter-timestamp", &timestamp)
            .header("x-alter-nonce", &nonce)
            .header("x-alter-content-sha256", &hex(&sha256(body.as_bytes())))
            .header("x-alter-signature", &sign(&self.api_key, &parts))
            .header("content-type", "application/json")
            .body(body)
    }

    pub(crate) async fn mint(&self) -> String {
        let reply = self.send(self.signed("/sdk/oauth/connect/session", &json!({}))).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["session_token"].as_str().unwrap().to_owned()
    }

    /// Goes from a minted session up to the callback, which is not sent yet.
    pub(crate) async fn up_to_callback(&self) -> Walk {
        let token = self.mint().await;
        let cb = TestBrowser::cb_of(&token);
        let form = Sent::new("POST", "/connect/open")
            .header("origin", APP)
            .header("content-type", "application/x-www-form-urlencoded");
        let opened = self.send(form.body(format!("session={token}&cb={cb}&m=p"))).await;
        assert_eq!(opened.status, 303, "{}", opened.text());
        let cookie = opened.cookies()[0].split(';').next().unwrap().to_owned();
        let sid = sid_of(opened.header("location"));
        self.status(&token).await;

        let approve = Sent::new("POST", &format!("/connect/api/s/{sid}/approve"))
            .header("origin", &format!("http://{}", self.host))
            .header("cookie", &cookie)
            .header("content-type", "application/json");
        let approved = self.send(approve.body(json!({ "provider": "mock" }).to_string())).await;
        assert_eq!(approved.status, 200, "{}", approved.text());
        let authorize = approved.json()["location"].as_str().unwrap().replace(&self.mock.issuer(), "");
        let provider = self.mock.issuer().replace("http://", "");
        let redirect = send(&provider, Sent::new("GET", &authorize)).await;
        let callback = redirect.header("location").replace(&format!("http://{}", self.host), "");
        Walk { token, sid, cookie, callback }
    }

    /// Connects an account; returns the grant's id.
    pub(crate) async fn connect(&self) -> String {
        let walk = self.up_to_callback().await;
        assert_eq!(self.send(walk.coming_back()).await.status, 303);
        let status = self.status(&walk.token).await;
        status["connections"][0]["grant_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn status(&self, token: &str) -> Value {
        let sent =
            Sent::new("POST", "/connect/status").header("origin", APP).header("content-type", "text/plain");
        self.send(sent.body(
            json!({ "session_token": token, "cb": TestBrowser::cb_of(token), "cursor": 0 }).to_string(),
        ))
        .await
        .json()
    }

    /// Reads `/metrics`, as monitoring does.
    pub(crate) async fn scrape(&self) -> String {
        let reply = send_to_another(&self.metrics, Sent::new("GET", "/metrics")).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        reply.text()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _it_may_have_ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// A user between session and grant.
pub(crate) struct Walk {
    pub(crate) token: String,
    pub(crate) sid: String,
    pub(crate) cookie: String,
    pub(crate) callback: String,
}

impl Walk {
    /// What the app's page asks meanwhile.
    pub(crate) fn waiting(&self) -> Sent {
        let cb = TestBrowser::cb_of(&self.token);
        let body = json!({ "session_token": self.token, "cb": cb, "cursor": 2, "wait": 25 });
        Sent::new("POST", "/connect/status")
            .header("origin", APP)
            .header("content-type", "text/plain")
            .body(body.to_string())
    }

    /// The request with which the provider sends the browser back.
    pub(crate) fn coming_back(&self) -> Sent {
        Sent::new("GET", &self.callback).header("cookie", &self.cookie)
    }
}
