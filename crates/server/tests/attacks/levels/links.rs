//! The three attacks on links (threats 0), against every way that a flow can go. A capture is a connection that one person
//! can use and another one consented to. In each way the same steps by one person connect: the positive control.
//!
//! | Attack | What is tried |
//! |---|---|
//! | session fixation | the attacker starts, and a victim is led into the flow: by a link, by a form, by an opener |
//! | account takeover | the victim consents to what the attacker started, or at an honest provider for a hostile app |
//! | request forgery | the victim's flow, page or app is given what came of the attacker's account, also by another app |
//!
//! A new way is a row of [`WAYS`], and what it needs in [`Cell`].

use alter_mock_provider::MockProvider;

use super::*;
use crate::callback::context::{add_evil, bounced};

/// How the browser comes to our pages and goes back to the app.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Transport {
    Popup,
    Redirect,
    /// The backend redirects to `connect_url`, without a script of ours.
    Link,
}
use Transport::{Link, Popup, Redirect};

/// What binds the person who consents to the one who started.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bond {
    /// The marks of the published client, which opens popups alone.
    Marks,
    /// The browser's word on which page sent the form.
    Page,
    /// The app's word at the end.
    App(Form),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Way {
    level: Level,
    transport: Transport,
    bond: Bond,
}

const WAYS: [Way; 9] = [
    Way { level: Level::L1, transport: Popup, bond: Bond::Marks },
    Way { level: Level::L2, transport: Popup, bond: Bond::Page },
    Way { level: Level::L2, transport: Redirect, bond: Bond::Page },
    Way { level: Level::L3, transport: Popup, bond: Bond::App(Form::UserToken) },
    Way { level: Level::L3, transport: Popup, bond: Bond::App(Form::Verifier) },
    Way { level: Level::L3, transport: Redirect, bond: Bond::App(Form::UserToken) },
    Way { level: Level::L3, transport: Redirect, bond: Bond::App(Form::Verifier) },
    Way { level: Level::L3, transport: Link, bond: Bond::App(Form::UserToken) },
    Way { level: Level::L3, transport: Link, bond: Bond::App(Form::Verifier) },
];

/// Runs an attack against every way of a level. Returns the ways in which something was captured.
async fn captured(level: Level, attack: impl AsyncFn(&Cell) -> bool) -> Vec<Way> {
    let mut ways = Vec::new();
    for way in WAYS.into_iter().filter(|way| way.level == level) {
        let cell = Cell::new(way).await;
        if attack(&cell).await {
            ways.push(way);
        }
        cell.one_person_connects().await;
    }
    ways
}

#[tokio::test]
async fn t01_session_fixation_captures_nothing_at_l1() {
    assert_eq!(captured(Level::L1, fixation).await, []);
}

#[tokio::test]
async fn t01_session_fixation_captures_nothing_at_l2() {
    assert_eq!(captured(Level::L2, fixation).await, []);
}

#[tokio::test]
async fn t01_session_fixation_captures_nothing_at_l3() {
    assert_eq!(captured(Level::L3, fixation).await, []);
}

#[tokio::test]
async fn t02_account_takeover_captures_nothing_at_l1() {
    assert_eq!(captured(Level::L1, takeover).await, []);
}

#[tokio::test]
async fn t02_account_takeover_captures_nothing_at_l2() {
    assert_eq!(captured(Level::L2, takeover).await, []);
}

#[tokio::test]
async fn t02_account_takeover_captures_nothing_at_l3() {
    assert_eq!(captured(Level::L3, takeover).await, []);
}

#[tokio::test]
async fn t11_request_forgery_captures_nothing_at_l1() {
    assert_eq!(captured(Level::L1, forgery).await, []);
}

#[tokio::test]
async fn t11_request_forgery_captures_nothing_at_l2() {
    assert_eq!(captured(Level::L2, forgery).await, []);
}

#[tokio::test]
async fn t11_request_forgery_captures_nothing_at_l3() {
    assert_eq!(captured(Level::L3, forgery).await, []);
}

/// What leads a victim's browser to the attacker's flow.
#[derive(Debug, Clone, Copy)]
enum Lure {
    /// A link in a message, which our shell page opens.
    Mail,
    /// The same, with a flow id whose `v` the attacker knows.
    MailWithFlowId,
    /// Whoever calls our API without a word about how he came.
    Silence,
    /// A page of another site sends the form of our SDK.
    EvilForm,
    /// A page of another site opens the window as the published client does.
    EvilOpener,
}

const LURES: [Lure; 5] = [Lure::Mail, Lure::MailWithFlowId, Lure::Silence, Lure::EvilForm, Lure::EvilOpener];

/// The attacker starts a flow for himself, and a victim goes through it with an account of hers.
async fn fixation(cell: &Cell) -> bool {
    let mut captured = false;
    for lure in LURES {
        let mut attacker = SignedIn::new(BOB);
        let token = cell.start(&mut attacker).await;
        let mut victim = TestBrowser::new();
        if let Some(sid) = cell.lured(&mut victim, &token, lure).await {
            let callback = cell.consented(&mut victim, &sid, ANN).await;
            victim.get(&cell.app.server, &callback).await;
            // The attacker confirms with all that he can learn, before the victim is at the app, and after.
            cell.confirm_what_is_told(&attacker, &token, &sid).await;
            cell.goes_back(&mut victim, &sid, &SignedIn::new(ANN)).await;
            cell.confirm_what_is_told(&attacker, &token, &sid).await;
        }
        captured |= cell.has_connected(&token).await;
    }
    captured
}

async fn takeover(cell: &Cell) -> bool {
    consent_handed_over(cell).await | bounced_to_an_honest_provider(cell).await
}

/// The attacker starts in his own browser, and a victim goes on at the provider's address.
async fn consent_handed_over(cell: &Cell) -> bool {
    let mut attacker = SignedIn::new(BOB);
    let token = cell.start(&mut attacker).await;
    let mut own = TestBrowser::new();
    let sid = cell.opened(&mut own, &token).await;
    let callback = cell.consented(&mut own, &sid, ANN).await;
    TestBrowser::new().get(&cell.app.server, &callback).await;
    // Nor does the attacker get it afterwards, with his cookie.
    own.get(&cell.app.server, &callback).await;
    cell.confirm_what_is_told(&attacker, &token, &sid).await;
    cell.goes_back(&mut own, &sid, &attacker).await;
    cell.has_connected(&token).await
}

/// A victim uses a hostile app, whose provider sends her on to an honest one, as the client of an honest app. The code would
/// be worth her account there to whoever reads the hostile app's token endpoint.
async fn bounced_to_an_honest_provider(cell: &Cell) -> bool {
    let evil = MockProvider::start().await;
    add_evil(&cell.app.server, &evil, &cell.app.app).await;
    let mut ann = SignedIn::new(ANN);
    let token = cell.app.start_with(&mut ann, json!({ "allowed_providers": ["evil"] })).await;
    let mut victim = TestBrowser::new();
    let sid = cell.opened(&mut victim, &token).await;
    let authorize = victim.approve(&cell.app.server, &sid, "evil").await;
    let callback = victim.at_provider(&bounced(&cell.app.server, &authorize)).await;
    victim.get(&cell.app.server, &callback).await;
    !evil.seen().token.is_empty() || cell.has_connected(&token).await
}

async fn forgery(cell: &Cell) -> bool {
    callback_slipped_in(cell).await | result_slipped_in(cell).await
}

/// In the middle of her own flow, the victim's browser is sent to a callback with a code of the attacker's account: his own
/// callback, and his code beside her state.
async fn callback_slipped_in(cell: &Cell) -> bool {
    let server = &cell.app.server;
    let mut captured = false;
    for under_her_state in [false, true] {
        let (mut attacker, mut ann) = (SignedIn::new(BOB), SignedIn::new(ANN));
        let (own, mut victim) = (cell.start(&mut attacker).await, TestBrowser::new());
        let token = cell.start(&mut ann).await;
        let mut browser = TestBrowser::new();
        let his = cell.opened(&mut browser, &own).await;
        let his = cell.consented(&mut browser, &his, BOB).await;
        let sid = cell.opened(&mut victim, &token).await;
        let hers = cell.consented(&mut victim, &sid, ANN).await;
        let code = param(&format!("{}{his}", server.public_url), "code").expect("he has a code");
        let code_of_hers = param(&format!("{}{hers}", server.public_url), "code").expect("she has one");
        victim.get(server, &if under_her_state { hers.replace(&code_of_hers, &code) } else { his }).await;
        cell.goes_back(&mut victim, &sid, &ann).await;
        captured |= cell.has_connected(&token).await;
    }
    captured
}

/// The attacker has connected his account, and brings the result to the victim's page, or to another app's.
async fn result_slipped_in(cell: &Cell) -> bool {
    let (mut attacker, mut ann) = (SignedIn::new(BOB), SignedIn::new(ANN));
    let evil = Backend::add_app(&cell.app.server, "Evil App", "https://evil.example").await;
    let own = cell.start(&mut attacker).await;
    let mut browser = TestBrowser::new();
    let sid = cell.opened(&mut browser, &own).await;
    let callback = cell.consented(&mut browser, &sid, BOB).await;
    browser.get(&cell.app.server, &callback).await;
    let code = cell.code(&mut browser, &own, &sid).await;

    // She has started a flow too, so that her page and her session keep what belongs to one.
    let hers = cell.start(&mut ann).await;
    let mut captured = cell.is_told_to(&cell.app.app.origin, &code, &TestBrowser::flow_of(&hers).0).await;
    captured |= cell.is_told_to("https://evil.example", &code, &TestBrowser::flow_of(&own).0).await;
    let poll = json!({ "session_token": own });
    let polled = cell.app.server.signed(&evil.key, "/sdk/oauth/connect/session/poll", &poll);
    captured |= cell.app.server.send(polled).await.status == 200;
    if let Bond::App(_) = cell.way.bond {
        let foreign = finalize_as(&cell.app.server, &evil, &cell.app.proof(&attacker, &code)).await;
        captured |= foreign.status == 200;
        captured |= cell.app.returned(&ann, &code).await.status == 200;
    }
    captured
}

/// An app whose flows go one way.
struct Cell {
    way: Way,
    app: Backend,
}

impl Cell {
    async fn new(way: Way) -> Self {
        let server = TestServer::start().await;
        let mut settings = AppSettings::named("Honest App");
        settings.website_url = Some("https://confirming.example".into());
        settings.min_binding = Some(way.level);
        settings.legacy_clients = way.bond == Bond::Marks;
        let app = server.add_app(settings).await;
        server.set_idp(&app, Some(AUDIENCE)).await;
        let form = if let Bond::App(form) = way.bond { form } else { Form::UserToken };
        Self { way, app: Backend { server, app, form } }
    }

    /// A flow with the provider `mock` alone.
    async fn start(&self, who: &mut SignedIn) -> String {
        self.app.start_with(who, json!({ "allowed_providers": ["mock"] })).await
    }

    /// One person starts, consents and comes back: there is a connection, at the level of this way.
    async fn one_person_connects(&self) {
        let mut own = SignedIn::new(ANN);
        let token = self.start(&mut own).await;
        let mut browser = TestBrowser::new();
        let sid = self.opened(&mut browser, &token).await;
        let callback = self.consented(&mut browser, &sid, ANN).await;
        assert_eq!(browser.get(&self.app.server, &callback).await.status, 303);
        if let Bond::App(_) = self.way.bond {
            let code = self.code(&mut browser, &token, &sid).await;
            assert_eq!(self.app.returned(&own, &code).await.status, 200, "{:?}", self.way);
        }
        assert!(self.has_connected(&token).await, "control of {:?}", self.way);
        let newest = self.app.server.grants(self.app.app.id).await.remove(0);
        assert_eq!(newest.level, self.way.level);
    }

    /// The way from the app's own page, in the browser of whoever is there. Returns the sid.
    async fn opened(&self, browser: &mut TestBrowser, token: &str) -> String {
        let Backend { server, app, .. } = &self.app;
        let reply = match (self.way.transport, self.way.bond) {
            (_, Bond::Marks) => self.opened_like_the_published_client(browser, token, &app.origin).await,
            (Link, _) => {
                self.app.open_link(browser, token, &format!("{}/settings", app.origin), json!({})).await
            }
            (Popup | Redirect, _) => browser.open_as(self.mode(), server, token, Some(&app.origin)).await,
        };
        // The app's page asks how it goes, as every popup's does.
        server.status(token, &app.origin, json!({})).await;
        sid_in(&reply).unwrap_or_else(|| panic!("{:?}: {}", self.way, reply.text()))
    }

    /// The way by a lure. Returns the sid if our pages let the browser in.
    async fn lured(&self, browser: &mut TestBrowser, token: &str, lure: Lure) -> Option<String> {
        let reply = match lure {
            Lure::Mail => self.app.open_link(browser, token, "", json!({})).await,
            Lure::MailWithFlowId => {
                let known = json!({ "cb": TestBrowser::cb_of(token), "m": self.mode() });
                self.app.open_link(browser, token, "", known).await
            }
            Lure::Silence => {
                browser.post(&self.app.server, "/connect/api/claim", &json!({ "token": token })).await
            }
            Lure::EvilForm => {
                let evil = Some("https://evil.example");
                browser.open_as(self.mode(), &self.app.server, token, evil).await
            }
            Lure::EvilOpener => {
                self.opened_like_the_published_client(browser, token, "https://evil.example").await
            }
        };
        // The attacker asks how it goes, as the page would.
        self.app.server.status(token, &self.app.app.origin, json!({})).await;
        sid_in(&reply)
    }

    async fn opened_like_the_published_client(
        &self,
        browser: &mut TestBrowser,
        token: &str,
        from: &str,
    ) -> Reply {
        let marks = json!({
            "opener": true, "name": "alter_oauth_popup", "referrer": format!("{from}/"), "site": "cross-site", "history": 1,
        });
        self.app.open_link(browser, token, "", json!({ "marks": marks })).await
    }

    fn mode(&self) -> &'static str {
        if self.way.transport == Popup { "p" } else { "r" }
    }

    /// Our consent page in `browser`, and then the provider, where `account` signs in. Returns the callback, which nobody
    /// has gone to yet.
    async fn consented(&self, browser: &mut TestBrowser, sid: &str, account: &str) -> String {
        let authorize = browser.approve(&self.app.server, sid, "mock").await;
        self.app.server.mock.set(|switches| switches.auto_user = Some(account.into()));
        browser.at_provider(&authorize).await
    }

    /// What the app's page sends to its backend at the end; empty where it gets no code.
    async fn code(&self, browser: &mut TestBrowser, token: &str, sid: &str) -> String {
        match self.way.transport {
            Popup => {
                self.told_code(&json!({ "session_token": token, "v": TestBrowser::flow_of(token).0 })).await
            }
            Redirect | Link => param(&self.app.back(browser, sid).await, "alter_result_code"),
        }
        .unwrap_or_default()
    }

    /// The code in what `/connect/result` says, if there is one.
    async fn told_code(&self, body: &Value) -> Option<String> {
        let told = self.app.result(body).await.json();
        Some(told["connections"][0]["metadata"]["result_code"].as_str()?.to_owned())
    }

    /// The browser goes back to the app, where `who` is signed in and the backend confirms what came.
    async fn goes_back(&self, browser: &mut TestBrowser, sid: &str, who: &SignedIn) {
        let back = browser.get(&self.app.server, &format!("/connect/s/{sid}/return")).await;
        // A popup is led nowhere.
        let Ok(address) = url::Url::parse(back.header("location")) else { return };
        let came = address.query_pairs().find(|(name, _)| name == "alter_result_code");
        if let (Some((_, code)), Bond::App(_)) = (came, self.way.bond) {
            self.app.returned(who, &code).await;
        }
    }

    /// Whoever started asks for the code with all that he has, and confirms with what he is told.
    async fn confirm_what_is_told(&self, starter: &SignedIn, token: &str, sid: &str) {
        let v = TestBrowser::flow_of(token).0;
        for body in [
            json!({ "session_token": token, "v": v }),
            json!({ "sid": sid, "v": v }),
            json!({ "sid": sid, "session_token": token, "v": v }),
            json!({ "session_token": token }),
        ] {
            if let Some(code) = self.told_code(&body).await {
                self.app.returned(starter, &code).await;
            }
        }
    }

    /// Whether a page of `origin` that has this `v` is told of a connection.
    async fn is_told_to(&self, origin: &str, code: &str, v: &str) -> bool {
        let told = self.app.server.result(origin, &json!({ "result_code": code, "v": v })).await;
        told.text().contains("connections")
    }

    /// Whether a connection came of a flow, as the app's backend hears it.
    async fn has_connected(&self, token: &str) -> bool {
        self.app.poll(token).await["status"] == "completed"
    }
}

/// The session that a browser was let into.
fn sid_in(reply: &Reply) -> Option<String> {
    match reply.status {
        303 => Some(sid_of(reply.header("location"))),
        200 => Some(sid_of(reply.json()["location"].as_str()?)),
        _ => None,
    }
}
