//! The demo app: one page with a Connect button, and the two endpoints that any app has: mint a session, use a grant.

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

use super::client::AlterClient;

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/app.js");

#[derive(Clone)]
struct DemoApp {
    client: AlterClient,
    origin: String,
    server: String,
    provider: String,
}

pub(super) async fn serve(listener: TcpListener, client: AlterClient, provider: String) {
    let origin = listener.local_addr().map(|a| format!("http://127.0.0.1:{}", a.port())).unwrap_or_default();
    let server = client.base().to_owned();
    let app = DemoApp { client, origin, server, provider };
    let router = Router::new()
        .route("/", get(page))
        .route("/style.css", get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }))
        .route(
            "/app.js",
            get(|| async { ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT) }),
        )
        .route("/api/session", post(session))
        .route("/api/notes", post(notes))
        .with_state(app);
    alter_server::serve(listener, router, alter_server::Limits::default(), std::future::pending()).await;
}

/// The policy that the SDK's README tells apps to have, and nothing looser.
async fn page(State(app): State<DemoApp>) -> impl IntoResponse {
    let policy = format!(
        "default-src 'none'; script-src 'self' {0}; style-src 'self'; img-src 'self' data:; connect-src 'self' {0}; \
         form-action {0}; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        app.server
    );
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE.replace("{{server}}", &app.server)))
}

/// What a form or an image on another page cannot send: our own origin. A real app has its users' sessions here.
fn is_own_page(headers: &HeaderMap, origin: &str) -> bool {
    headers.get(header::ORIGIN).is_some_and(|o| o.as_bytes() == origin.as_bytes())
}

async fn session(State(app): State<DemoApp>, headers: HeaderMap) -> Response {
    if !is_own_page(&headers, &app.origin) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match app.client.create_session(&app.origin).await {
        Ok(session) => Json(json!({ "sessionToken": session["session_token"] })).into_response(),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
struct WithGrant {
    grant_id: String,
}

async fn notes(State(app): State<DemoApp>, headers: HeaderMap, Json(body): Json<WithGrant>) -> Response {
    if !is_own_page(&headers, &app.origin) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (me, notes) = (format!("{}/api/me", app.provider), format!("{}/api/notes", app.provider));
    let (me, notes) =
        tokio::join!(app.client.call_api(&body.grant_id, &me), app.client.call_api(&body.grant_id, &notes),);
    match (me, notes) {
        (Ok(me), Ok(notes)) => Json(json!({ "me": me, "notes": notes })).into_response(),
        (Err(error), _) | (_, Err(error)) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> Response {
    let body: Value = json!({ "error": format!("{error:#}") });
    (StatusCode::BAD_GATEWAY, Json(body)).into_response()
}
