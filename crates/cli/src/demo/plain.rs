//! The demo app's pages without a script, as an app makes them that is rendered on its server: a form, whose answer sends
//! the user to the session's `connect_url`, and the address to which the user comes back. Nothing proves to the Connect
//! server that the one who comes back is the one who left. The app shows it, by a text that it keeps in that user's session.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use alter_core::{SystemRandom, secret, time::random_bytes};
use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    AGENT,
    app::{DemoApp, is_own_page},
    client::{Proof, Refused},
};

pub(super) const PATH: &str = "/plain";
const PAGE: &str = include_str!("page/plain.html");
const COOKIE: &str = "demo_visitor";

/// The app's own sessions, by the value of their cookie.
pub(super) type Visitors = Arc<Mutex<HashMap<String, Visit>>>;

#[derive(Clone, Default)]
pub(super) struct Visit {
    /// What this visitor's newest flow is confirmed with. It leaves the server for the Connect server only.
    verifier: String,
    /// The grant that was made.
    grant: Option<Value>,
    /// What there is to say.
    words: String,
}

pub(super) fn routes() -> Router<DemoApp> {
    Router::new()
        .route(PATH, get(show))
        .route("/plain/connect", post(connect))
        .route("/plain/connected", get(connected))
        .route("/plain/disconnect", post(disconnect))
}

/// Answers the form: a session for this visitor, and away.
async fn connect(State(app): State<DemoApp>, headers: HeaderMap) -> Response {
    if !is_own_page(&headers, &app.origin) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let verifier = secret::base64url(&random_bytes::<32>(&SystemRandom));
    let challenge = secret::base64url(&secret::sha256(verifier.as_bytes()));
    let return_url = format!("{}/plain/connected", app.origin);
    let minted = app.client.create_session(&return_url, &app.user_token(), AGENT, Some(&challenge)).await;
    let id = visitor(&headers).unwrap_or_else(|| secret::base64url(&random_bytes::<32>(&SystemRandom)));
    match minted.as_ref().map(|session| session["connect_url"].as_str()) {
        Ok(Some(connect_url)) => {
            // Not `Strict`: the user comes back from another site.
            let cookie = format!("{COOKIE}={id}; Path={PATH}; HttpOnly; SameSite=Lax");
            remember(&app, id, |visit| *visit = Visit { verifier, ..Visit::default() });
            ([(header::SET_COOKIE, cookie)], Redirect::to(connect_url)).into_response()
        }
        Ok(None) => StatusCode::BAD_GATEWAY.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

/// Of all that is in the address, only the code counts, and only with this visitor's verifier.
#[derive(Deserialize)]
struct CameBack {
    alter_result_code: Option<String>,
}

async fn connected(State(app): State<DemoApp>, headers: HeaderMap, Query(back): Query<CameBack>) -> Response {
    if let (Some(id), Some(code)) = (visitor(&headers), back.alter_result_code) {
        let verifier = visit_of(&app, &id).verifier;
        match app.client.finalize(&code, Proof::Verifier(&verifier)).await {
            Ok(grant) => remember(&app, id, |visit| visit.grant = Some(grant)),
            Err(error) => remember(&app, id, |visit| visit.words = words(&error)),
        }
    }
    Redirect::to(PATH).into_response()
}

async fn disconnect(State(app): State<DemoApp>, headers: HeaderMap) -> Response {
    if !is_own_page(&headers, &app.origin) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(id) = visitor(&headers) else { return Redirect::to(PATH).into_response() };
    if let Some(grant) = visit_of(&app, &id).grant.as_ref().and_then(|grant| grant["grant_id"].as_str()) {
        let words = match app.client.revoke(grant, &app.user_token()).await {
            Ok(revoked) => revoked["message"].as_str().unwrap_or_default().to_owned(),
            Err(error) => words(&error),
        };
        remember(&app, id, |visit| *visit = Visit { words, ..Visit::default() });
    }
    Redirect::to(PATH).into_response()
}

/// Shows the connection, and what the provider's API says right now.
async fn show(State(app): State<DemoApp>, headers: HeaderMap) -> Response {
    let visit = visitor(&headers).map(|id| visit_of(&app, &id)).unwrap_or_default();
    let content = match &visit.grant {
        Some(grant) => connection(grant, app.read(&app.client, Some(&app.user_token())).await),
        None => START.replace("{{words}}", &escape(&visit.words)),
    };
    // Browsers hold a form to `form-action` wherever its answer redirects.
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        app.client.base()
    );
    let headers = [(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, "no-store".to_owned())];
    (headers, Html(PAGE.replace("{{content}}", &content))).into_response()
}

const START: &str = r#"<form method="post" action="/plain/connect"><button id="connect">Connect Acme Notes</button></form>
<p id="say">{{words}}</p>"#;

fn connection(grant: &Value, read: anyhow::Result<(Value, Value)>) -> String {
    let row = |name: &str, field: &str| {
        format!("<dt>{name}</dt><dd>{}</dd>", escape(grant[field].as_str().unwrap_or_default()))
    };
    let read = match read {
        Ok((read, _token)) => format!("{read:#}"),
        Err(error) => format!("The call failed: {error:#}"),
    };
    format!(
        r#"<h2>Connected, and confirmed by this app</h2>
<dl id="connection">{}{}{}</dl>
<h2>What the backend read</h2>
<pre id="result" tabindex="0">{}</pre>
<div class="buttons">
<form method="get" action="/plain"><button class="quiet">Read them again</button></form>
<form method="post" action="/plain/disconnect"><button id="disconnect" class="quiet">Disconnect</button></form>
</div>"#,
        row("Grant", "grant_id"),
        row("Account", "account_identifier"),
        row("Operation", "operation"),
        escape(&read),
    )
}

/// What the Connect server said, without the code: this page is for people.
fn words(error: &anyhow::Error) -> String {
    error.downcast_ref::<Refused>().map_or_else(|| format!("{error:#}"), |refused| refused.message.clone())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The value of the visitor's cookie.
fn visitor(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

fn visit_of(app: &DemoApp, id: &str) -> Visit {
    app.visitors.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default()
}

fn remember(app: &DemoApp, id: String, change: impl FnOnce(&mut Visit)) {
    change(app.visitors.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default());
}
