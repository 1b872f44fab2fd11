//! The demo app: one page with a Connect button, and what any app's backend does. It mints a session for the signed-in
//! user, uses the connected account for the user, lets an agent use it, and disconnects it.

use std::sync::Arc;

use alter_mock_provider::MockProvider;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{AGENT, APP, PROVIDER, client::AlterClient};

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/app.js");

#[derive(Clone)]
struct DemoApp {
    client: AlterClient,
    /// Calls with the agent's own key. A real agent runs elsewhere.
    agent: AlterClient,
    origin: String,
    /// The mock provider; it is also the app's identity provider.
    provider: Arc<MockProvider>,
}

impl DemoApp {
    /// The signed-in user's token. A real app has it from its login.
    fn user_token(&self) -> String {
        let claims = json!({ "name": "Robin Vale" });
        self.provider.user_token_with("reader-7", APP, Value::Null, claims)
    }
}

pub(super) async fn serve(
    listener: TcpListener,
    client: AlterClient,
    agent: AlterClient,
    provider: Arc<MockProvider>,
) {
    let origin = listener.local_addr().map(|a| format!("http://127.0.0.1:{}", a.port())).unwrap_or_default();
    let app = DemoApp { client, agent, origin, provider };
    let router = Router::new()
        .route("/", get(page))
        .route("/style.css", get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }))
        .route(
            "/app.js",
            get(|| async { ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT) }),
        )
        .route("/api/session", post(session))
        .route("/api/notes", post(notes))
        .route("/api/agent", post(agent_notes))
        .route("/api/disconnect", post(disconnect))
        .with_state(app);
    alter_server::serve(listener, router, alter_server::Limits::default(), std::future::pending()).await;
}

/// Serves the page under the content security policy that the SDK's README recommends, and nothing looser.
async fn page(State(app): State<DemoApp>) -> impl IntoResponse {
    let policy = format!(
        "default-src 'none'; script-src 'self' {0}; style-src 'self'; img-src 'self' data:; connect-src 'self' {0}; \
         form-action {0}; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        app.client.base()
    );
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE.replace("{{server}}", app.client.base())))
}

/// Whether the request carries our own origin, which a form or an image on another page cannot send. A real app checks
/// its users' sessions here.
fn is_own_page(headers: &HeaderMap, origin: &str) -> bool {
    headers.get(header::ORIGIN).is_some_and(|o| o.as_bytes() == origin.as_bytes())
}

async fn session(State(app): State<DemoApp>, headers: HeaderMap) -> Response {
    if !is_own_page(&headers, &app.origin) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match app.client.create_session(&app.origin, &app.user_token(), AGENT).await {
        Ok(session) => Json(json!({ "sessionToken": session["session_token"] })).into_response(),
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
    let issuer = app.provider.issuer();
    let (me, notes) = (format!("{issuer}/api/me"), format!("{issuer}/api/notes"));
    match tokio::join!(client.call_api(PROVIDER, user, &me), client.call_api(PROVIDER, user, &notes)) {
        (Ok((me, _)), Ok((notes, token))) => {
            Json(json!({ "read": { "me": me, "notes": notes }, "token": token })).into_response()
        }
        (Err(error), _) | (_, Err(error)) => failed(&error),
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
