//! The demo app: a page with a Connect button, and what any app's backend does. It mints a session for the signed-in
//! user, uses the connected account for the user, lets an agent use it, and disconnects it. The page is there twice: as
//! it is, and in a small window that plays a phone. `plain.rs` has the page without a script.
//!
//! The phone is a window, because a page in a frame never leaves (its storage is not the tab's), and because a real
//! phone cannot reach loopback.

use std::sync::Arc;

use alter_mock_provider::MockProvider;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    AGENT, APP, PROVIDER,
    client::{AlterClient, Proof},
    plain::{self, Visitors},
};

/// The page in the window that plays a phone.
pub(super) const PHONE_PATH: &str = "/phone";

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/app.js");
const PHONE: &str = include_str!("page/phone.js");

#[derive(Clone)]
pub(super) struct DemoApp {
    pub(super) client: AlterClient,
    /// Calls with the agent's own key. A real agent runs elsewhere.
    agent: AlterClient,
    pub(super) origin: String,
    /// The mock provider; it is also the app's identity provider.
    provider: Arc<MockProvider>,
    /// The sessions of the pages without a script.
    pub(super) visitors: Visitors,
}

impl DemoApp {
    /// The signed-in user's token. A real app has it from its login.
    pub(super) fn user_token(&self) -> String {
        let claims = json!({ "name": "Robin Vale" });
        self.provider.user_token_with("reader-7", APP, Value::Null, claims)
    }

    /// Calls the provider's API twice. Returns what it said, and what may be told about the token.
    pub(super) async fn read(
        &self,
        client: &AlterClient,
        user: Option<&str>,
    ) -> anyhow::Result<(Value, Value)> {
        let issuer = self.provider.issuer();
        let (me, notes) = (format!("{issuer}/api/me"), format!("{issuer}/api/notes"));
        let (me, notes) =
            tokio::try_join!(client.call_api(PROVIDER, user, &me), client.call_api(PROVIDER, user, &notes))?;
        Ok((json!({ "me": me.0, "notes": notes.0 }), notes.1))
    }
}

pub(super) async fn serve(
    listener: TcpListener,
    client: AlterClient,
    agent: AlterClient,
    provider: Arc<MockProvider>,
) {
    let origin = listener.local_addr().map(|a| format!("http://127.0.0.1:{}", a.port())).unwrap_or_default();
    let app = DemoApp { client, agent, origin, provider, visitors: Visitors::default() };
    let router = Router::new()
        .route("/", get(desktop))
        .route(PHONE_PATH, get(phone))
        .route("/style.css", file("text/css; charset=utf-8", STYLE))
        .route("/app.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/phone.js", file("text/javascript; charset=utf-8", PHONE))
        .route("/api/session", post(session))
        .route("/api/confirm", post(confirm))
        .route("/api/notes", post(notes))
        .route("/api/agent", post(agent_notes))
        .route("/api/disconnect", post(disconnect))
        .merge(plain::routes())
        .with_state(app);
    alter_server::serve(listener, router, alter_server::Limits::default(), std::future::pending()).await;
}

fn file(content_type: &'static str, text: &'static str) -> MethodRouter<DemoApp> {
    get(move || async move { ([(header::CONTENT_TYPE, content_type)], text) })
}

async fn desktop(State(app): State<DemoApp>) -> impl IntoResponse {
    page(&app, "desktop", "")
}

async fn phone(State(app): State<DemoApp>) -> impl IntoResponse {
    page(&app, "phone", "<script src=\"/phone.js\" defer></script>\n")
}

/// Serves the page under the content security policy that the SDK's README recommends, and nothing looser. `first` is
/// what runs before the SDK.
fn page(app: &DemoApp, device: &str, first: &str) -> impl IntoResponse + use<> {
    let policy = format!(
        "default-src 'none'; script-src 'self' {0}; style-src 'self'; img-src 'self' data:; connect-src 'self' {0}; \
         form-action {0}; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        app.client.base()
    );
    let text = PAGE.replace("{{server}}", app.client.base()).replace("{{device}}", device);
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(text.replace("{{first}}", first)))
}

/// Whether the request carries our own origin, which a form or an image on another page cannot send. A real app checks
/// its users' sessions here.
pub(super) fn is_own_page(headers: &HeaderMap, origin: &str) -> bool {
    headers.get(header::ORIGIN).is_some_and(|o| o.as_bytes() == origin.as_bytes())
}

#[derive(Deserialize)]
struct FromPage {
    /// The path of the page that asks, to which a phone comes back.
    page: String,
}

async fn session(State(app): State<DemoApp>, headers: HeaderMap, Json(from): Json<FromPage>) -> Response {
    if !is_own_page(&headers, &app.origin) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let path = if from.page == PHONE_PATH { PHONE_PATH } else { "/" };
    let return_url = format!("{}{path}", app.origin);
    match app.client.create_session(&return_url, &app.user_token(), AGENT, None).await {
        Ok(session) => Json(json!({ "sessionToken": session["session_token"] })).into_response(),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
struct WithCode {
    result_code: String,
}

/// A connection of the account whose grant was confirmed before (`plain.rs`) waits for this: no weaker flow replaces a
/// grant at L3.
async fn confirm(State(app): State<DemoApp>, headers: HeaderMap, Json(body): Json<WithCode>) -> Response {
    if !is_own_page(&headers, &app.origin) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match app.client.finalize(&body.result_code, Proof::User(&app.user_token())).await {
        Ok(grant) => Json(grant).into_response(),
        Err(error) => failed(&error),
    }
}

/// The backend asks by provider and user, because it has stored nothing.
async fn notes(State(app): State<DemoApp>, headers: HeaderMap) -> Response {
    let token = app.user_token();
    read(&app, &headers, &app.client, Some(&token)).await
}

/// The agent asks with its own key and names no user.
async fn agent_notes(State(app): State<DemoApp>, headers: HeaderMap) -> Response {
    read(&app, &headers, &app.agent, None).await
}

async fn read(app: &DemoApp, headers: &HeaderMap, client: &AlterClient, user: Option<&str>) -> Response {
    if !is_own_page(headers, &app.origin) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match app.read(client, user).await {
        Ok((read, token)) => Json(json!({ "read": read, "token": token })).into_response(),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
struct WithGrant {
    grant_id: String,
}

/// Sends the user's token along, so that another user's grant is not found.
async fn disconnect(State(app): State<DemoApp>, headers: HeaderMap, Json(body): Json<WithGrant>) -> Response {
    if !is_own_page(&headers, &app.origin) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match app.client.revoke(&body.grant_id, &app.user_token()).await {
        Ok(revoked) => Json(json!({ "message": revoked["message"] })).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> Response {
    let body: Value = json!({ "error": format!("{error:#}") });
    (StatusCode::BAD_GATEWAY, Json(body)).into_response()
}
