//! Nothing is connected without the user's click on our page (T12), and what the user approves is what the page showed: the
//! operator and the app may change anything while a consent page is open (T13).

use alter_core::{AppSettings, Recipe};
use alter_flows::{ProviderSetting, operate};
use alter_testkit::{
    Reply, Sent, TestBrowser, TestServer, browser::shown_on, operator, server::CLIENT_SECRET,
    server::mock_recipe,
};
use secrecy::SecretString;
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";

/// A consent page of the test app's provider, open in a browser, for a user and an agent.
struct Open {
    server: TestServer,
    browser: TestBrowser,
    sid: String,
    agent: alter_core::AgentId,
    /// `data-shown` of the page.
    shown: String,
}

impl Open {
    async fn page() -> Self {
        let server = TestServer::start().await;
        server.set_idp(&server.app, Some(AUDIENCE)).await;
        let (agent, _) = server.add_agent(&server.app, "mailbot").await;
        let user = server.mock.user_token("acme-1001", AUDIENCE);
        let token = server.mint(&json!({ "user_token": user, "agent": "mailbot" })).await;
        let mut browser = TestBrowser::new();
        let sid = browser.claim(&server, &server.app, &token).await;
        let mut open = Self { server, browser, sid, agent, shown: String::new() };
        open.shown = open.reload().await.1;
        open
    }

    /// Loads the page. Returns its words and its `data-shown`.
    async fn reload(&mut self) -> (String, String) {
        let page = self.browser.get(&self.server, &format!("/connect/s/{}", self.sid)).await.text();
        let shown = shown_on(&page).unwrap_or_else(|| panic!("no consent page: {page}")).to_owned();
        (page.replace("<wbr>", ""), shown)
    }

    async fn approve(&mut self, shown: Option<&str>) -> Reply {
        let target = format!("/connect/api/s/{}/approve", self.sid);
        let mut body = json!({ "provider": "mock" });
        if let Some(shown) = shown {
            body["shown"] = json!(shown);
        }
        self.browser.post(&self.server, &target, &body).await
    }

    /// Configures the provider again.
    async fn set(&self, client: &str, scopes: &[&str], change: impl FnOnce(&mut Recipe)) {
        let mut recipe = mock_recipe(&self.server.mock.issuer());
        change(&mut recipe);
        let setting = ProviderSetting {
            recipe,
            client_id: client.to_owned(),
            client_secret: Some(SecretString::from(CLIENT_SECRET)),
            scopes: Some(scopes.iter().map(|s| (*s).to_owned()).collect()),
        };
        operate::set_provider(&self.server.flows, &operator(), self.server.app.id, setting)
            .await
            .expect("it is in order");
    }

    async fn set_app(&self, change: impl FnOnce(&mut AppSettings)) {
        let id = self.server.app.id;
        let mut settings = self.server.store.get_app(id).await.unwrap().unwrap().settings;
        change(&mut settings);
        operate::change_app(&self.server.flows, &operator(), id, settings).await.expect("it is in order");
    }

    async fn patch_agent(&self, body: Value) {
        let target = format!("/sdk/agents/{}?expected_version=1", self.agent);
        let reply = self.server.call_as(&self.server.app.key, "PATCH", &target, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    fn client(&self) -> String {
        format!("client-{}-mock", self.server.app.id)
    }
}

const SCOPES: [&str; 3] = ["openid", "email", "profile"];

/// The changes, each with what the page then shows of it, if people see it.
const CHANGES: [(&str, Option<&str>); 8] = [
    ("a scope more", Some("calendar.all")),
    ("a scope less", None),
    ("another client", None),
    ("another authorize URL", None),
    ("another name of the provider", Some("Mock Two")),
    ("another name of the app", Some("Renamed App")),
    ("another name of the agent", Some("Helper Two")),
    ("other scopes of the agent", None),
];

async fn change(open: &Open, what: &str) {
    let client = open.client();
    match what {
        "a scope more" => open.set(&client, &["openid", "email", "profile", "calendar.all"], |_| ()).await,
        "a scope less" => open.set(&client, &SCOPES[..2], |_| ()).await,
        "another client" => open.set("another-client", &SCOPES, |_| ()).await,
        "another authorize URL" => {
            open.set(&client, &SCOPES, |recipe| recipe.authorize_url.push_str("/elsewhere")).await;
        }
        "another name of the provider" => {
            open.set(&client, &SCOPES, |recipe| recipe.name = "Mock Two".into()).await;
        }
        "another name of the app" => open.set_app(|app| app.name = "Renamed App".into()).await,
        "another name of the agent" => open.patch_agent(json!({ "display_name": "Helper Two" })).await,
        _ => open.patch_agent(json!({ "scopes": { "mock": ["email"] } })).await,
    }
}

/// The provider knows the client and asks nobody, so one redirect would connect.
#[tokio::test]
async fn t12_a_provider_that_approves_by_itself_hears_nothing_before_our_own_consent_click() {
    let mut open = Open::page().await;
    let page = format!("/connect/s/{}", open.sid);
    let approve = format!("/connect/api/s/{}/approve", open.sid);
    for target in [&page, &format!("{page}?provider=mock&approve=true"), &approve] {
        for method in ["GET", "HEAD"] {
            let reply = open.browser.send(&open.server, Sent::new(method, target)).await;
            assert!(reply.status < 300 || reply.status >= 400, "{method} {target}: {}", reply.status);
            assert_eq!(reply.header("location"), "", "{method} {target}");
        }
    }
    let select = format!("/connect/api/s/{}/select", open.sid);
    let chosen = open.browser.post(&open.server, &select, &json!({ "provider": "mock" })).await;
    assert!(!chosen.text().contains("/authorize"), "{}", chosen.text());
    assert!(open.server.mock.seen().authorize.is_empty());
    assert!(open.server.grants(open.server.app.id).await.is_empty());

    // Control: the click, and nobody else is asked.
    let authorize = open.browser.approve(&open.server, &open.sid, "mock").await;
    let callback = open.browser.at_provider(&authorize).await;
    assert_eq!(open.browser.get(&open.server, &callback).await.status, 303);
    assert_eq!(open.server.grants(open.server.app.id).await.len(), 1);
}

#[tokio::test]
async fn t13_what_was_changed_after_the_page_was_shown_is_not_approved_but_shown() {
    for (what, words) in CHANGES {
        // As our script sends it, and as a page with an older script does.
        for names_it in [true, false] {
            let mut open = Open::page().await;
            change(&open, what).await;
            let shown = open.shown.clone();
            let refused = open.approve(names_it.then_some(&shown)).await;
            assert_eq!((refused.status, refused.error().as_str()), (409, "step_moved"), "{what}");
            assert!(open.server.mock.seen().authorize.is_empty(), "{what}");

            let (page, now) = open.reload().await;
            assert_ne!(now, shown, "{what}");
            assert!(words.is_none_or(|words| page.contains(words)), "{what}: {page}");
            let approved = open.approve(names_it.then_some(&now)).await;
            assert_eq!(approved.status, 200, "{what}: now it was shown: {}", approved.text());
        }
    }
}

#[tokio::test]
async fn t13_an_older_page_approves_nothing_that_only_a_newer_one_showed() {
    let mut open = Open::page().await;
    let older = open.shown.clone();
    change(&open, "a scope more").await;
    open.reload().await;
    assert_eq!(
        open.approve(Some(&older)).await.error(),
        "step_moved",
        "another tab showed it, this one did not"
    );
    assert_eq!(open.approve(Some("")).await.error(), "step_moved");
}

#[tokio::test]
async fn what_another_providers_page_showed_does_not_stand_in_the_way() {
    let mut open = Open::page().await;
    open.server.add_provider(&open.server.app, "other", |_| {}).await;
    let (token, mut browser) = (open.server.mint(&json!({})).await, TestBrowser::new());
    let sid = browser.claim(&open.server, &open.server.app, &token).await;
    let step = |name: &str| format!("/connect/api/s/{sid}/{name}");
    for provider in ["mock", "other"] {
        browser.post(&open.server, &step("select"), &json!({ "provider": provider })).await;
        if provider == "mock" {
            browser.get(&open.server, &format!("/connect/s/{sid}")).await;
        }
    }
    let approved = browser.post(&open.server, &step("approve"), &json!({ "provider": "other" })).await;
    assert_eq!(approved.status, 200, "{}", approved.text());
    // The other session is as it was.
    let shown = open.shown.clone();
    assert_eq!(open.approve(Some(&shown)).await.status, 200);
}

#[tokio::test]
async fn a_page_is_approved_when_nothing_that_it_shows_has_changed() {
    let mut open = Open::page().await;
    open.set(&open.client(), &SCOPES, |_| ()).await;
    open.set_app(|app| app.session_ttl = 700).await;
    open.patch_agent(json!({ "metadata": { "note": "new" } })).await;
    let shown = open.shown.clone();
    assert_eq!(open.approve(Some(&shown)).await.status, 200);
}

#[tokio::test]
async fn a_provider_that_is_removed_while_its_page_is_open_ends_the_flow_and_the_page_says_so() {
    let mut open = Open::page().await;
    operate::remove_provider(&open.server.flows, &operator(), open.server.app.id, "mock").await.unwrap();
    let shown = open.shown.clone();
    assert_eq!(open.approve(Some(&shown)).await.error(), "provider_not_configured");
    let page = open.browser.get(&open.server, &format!("/connect/s/{}", open.sid)).await.text();
    assert!(page.contains("is not set up correctly"), "{page}");
}
