//! One attempt to connect, with everything that a test may want to inspect, however the attempt ends.

use serde_json::{Value, json};

use crate::{Reply, TestApp, TestBrowser, TestServer};

/// An attempt that has reached the provider or its end.
#[derive(Debug, Clone)]
pub struct TestAttempt {
    /// The session token.
    pub token: String,
    /// The session's public id.
    pub sid: String,
    /// The provider's authorization URL.
    pub authorize: String,
    /// Path and query of the callback; empty before the provider was asked.
    pub callback: String,
    /// The reply to the callback; `None` before the callback was sent.
    pub reply: Option<Reply>,
    /// What the status channel says; null before the callback was sent.
    pub status: Value,
}

impl TestAttempt {
    /// A parameter of the authorization URL.
    ///
    /// # Panics
    /// The URL has no such parameter.
    pub fn param(&self, name: &str) -> String {
        let url = url::Url::parse(&self.authorize).expect("an authorization URL");
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
    }

    /// `details.provider_error` of a failed attempt; empty if there is none.
    pub fn provider_error(&self) -> &str {
        self.status["details"]["provider_error"].as_str().unwrap_or_default()
    }

    /// `details.reason` of a failed attempt; empty if there is none.
    pub fn reason(&self) -> &str {
        self.status["details"]["reason"].as_str().unwrap_or_default()
    }

    /// The only connection that the attempt made.
    ///
    /// # Panics
    /// The attempt did not complete.
    pub fn connection(&self) -> &Value {
        assert_eq!(self.status["status"], "completed", "{}", self.status);
        &self.status["connections"][0]
    }

    /// The grant id of that connection.
    ///
    /// # Panics
    /// The attempt did not complete.
    pub fn grant_id(&self) -> &str {
        self.connection()["grant_id"].as_str().expect("a connection has a grant")
    }
}

impl TestBrowser {
    /// Mints a session for this provider only, claims it and approves. The user is about to go to the provider.
    pub async fn leave_for(&mut self, server: &TestServer, app: &TestApp, provider: &str) -> TestAttempt {
        let token = server.mint_for(app, &json!({ "allowed_providers": [provider] })).await;
        let sid = self.claim(server, app, &token).await;
        let authorize = self.approve(server, &sid, provider).await;
        TestAttempt { token, sid, authorize, callback: String::new(), reply: None, status: Value::Null }
    }

    /// Goes through the provider and the callback, however the attempt ends.
    pub async fn come_back(&mut self, server: &TestServer, app: &TestApp, attempt: &mut TestAttempt) {
        if attempt.callback.is_empty() {
            attempt.callback = self.at_provider(&attempt.authorize).await;
        }
        attempt.reply = Some(self.get(server, &attempt.callback).await);
        attempt.status = server.status(&attempt.token, &app.origin, json!({})).await.json();
    }

    /// Makes one whole attempt for the test app, however it ends.
    pub async fn attempt(&mut self, server: &TestServer, provider: &str) -> TestAttempt {
        let mut attempt = self.leave_for(server, &server.app, provider).await;
        self.come_back(server, &server.app, &mut attempt).await;
        attempt
    }
}
