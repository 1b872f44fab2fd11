//! `/authorize` (RFC 6749 section 4.1.1) checks the request and shows the page or answers at once. The
//! page's form goes to `/authorize/decide`.

use crate::random_name::random_name;
use std::collections::HashMap;

use axum::Form;
use axum::extract::{Query, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::Provider;
use super::respond::{approve, deny, fail, redirect, refuse};
use crate::grants::AuthRequest;
use crate::page;
use crate::state::{Client, Inner};
use crate::switches::Switches;

type Params = HashMap<String, String>;

/// Forbids scripts and framing. `form-action` is left out: it would stop the redirect in some engines.
const PAGE_CSP: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) async fn ask(
    State(inner): Provider,
    RawQuery(query): RawQuery,
    Query(params): Query<Params>,
) -> Response {
    let switches = inner.switches();
    let response = match &switches.redirect_to_evil {
        Some(target) => redirect(StatusCode::FOUND, target, &query.unwrap_or_default()),
        None => answer(&inner, &switches, &params),
    };
    with_coop(&switches, response)
}

pub(crate) async fn decide(State(inner): Provider, Form(form): Form<Params>) -> Response {
    let switches = inner.switches();
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let now = inner.now();
    let pending = inner.world().pending.remove(field("request")).filter(|request| !request.is_stale(now));
    let user = inner.world().users.get(field("user"));
    let response = match (pending, field("decision"), user) {
        (None, ..) => refuse("This page is too old or was already answered."),
        (Some(request), "approve", Some(user)) => approve(&inner, &switches, request, &user.sub),
        (Some(_), "approve", None) => refuse("There is no such user."),
        (Some(request), ..) => deny(&inner, &switches, &request),
    };
    with_coop(&switches, response)
}

fn answer(inner: &Inner, switches: &Switches, params: &Params) -> Response {
    let request = match read_request(inner, switches, params) {
        Ok(request) => request,
        Err(why) => return refuse(why),
    };
    if let Err((error, why)) = check_request(switches, params) {
        return fail(inner, switches, &request, error, Some(why));
    }
    if switches.auto_deny {
        return deny(inner, switches, &request);
    }
    if !switches.auto_approve {
        return show(inner, switches, request);
    }
    match auto_user(inner, switches, &request) {
        Some(sub) => approve(inner, switches, request, &sub),
        None => refuse("There is no user to sign in."),
    }
}

/// Checks what must be right before the browser may be sent anywhere: the client and its redirect URI.
fn read_request(inner: &Inner, switches: &Switches, params: &Params) -> Result<AuthRequest, &'static str> {
    let get = |name: &str| params.get(name).cloned();
    let client_id = get("client_id").ok_or("The client_id is missing.")?;
    let redirect_uri = get("redirect_uri").ok_or("The redirect_uri is missing.")?;
    let asked_at = inner.now();
    let world = inner.world();
    let client = world.clients.get(&client_id).ok_or("This client is not registered here.")?;
    if !may_redirect(client, switches, &redirect_uri) {
        return Err("This redirect_uri is not one of those registered for the client.");
    }
    Ok(AuthRequest {
        client_id,
        redirect_uri,
        state: get("state"),
        scope: get("scope").unwrap_or_default(),
        nonce: get("nonce"),
        challenge: get("code_challenge"),
        form_post: get("response_mode").as_deref() == Some("form_post"),
        login_hint: get("login_hint"),
        asked_at,
    })
}

fn may_redirect(client: &Client, switches: &Switches, redirect_uri: &str) -> bool {
    if switches.strict_redirect_uri {
        return client.redirect_uris.iter().any(|known| known == redirect_uri);
    }
    let origin = |uri: &str| url::Url::parse(uri).ok().map(|url| url.origin());
    client.redirect_uris.iter().any(|known| origin(known).is_some() && origin(known) == origin(redirect_uri))
}

/// Checks the rest, whose errors the client learns by redirect.
fn check_request(switches: &Switches, params: &Params) -> Result<(), (&'static str, &'static str)> {
    if params.get("response_type").map(String::as_str) != Some("code") {
        return Err(("unsupported_response_type", "only code is supported"));
    }
    match (params.get("code_challenge"), params.get("code_challenge_method").map(String::as_str)) {
        _ if switches.ignore_pkce => Ok(()),
        (None, _) => Err(("invalid_request", "code_challenge is missing")),
        // Without a method the challenge would be `plain` (RFC 7636 section 4.3).
        (Some(_), Some("S256")) => Ok(()),
        (Some(_), _) => Err(("invalid_request", "code_challenge_method must be S256")),
    }
}

fn auto_user(inner: &Inner, switches: &Switches, request: &AuthRequest) -> Option<String> {
    let world = inner.world();
    match &switches.auto_user {
        Some(sub) => world.users.get(sub).map(|user| user.sub),
        None => world.users.hinted(request.login_hint.as_deref()).map(|user| user.sub),
    }
}

fn show(inner: &Inner, switches: &Switches, request: AuthRequest) -> Response {
    let now = inner.now();
    let id = random_name("");
    let mut world = inner.world();
    let response = match &switches.authorize_html {
        Some(html) => {
            let form = page::form(&request, &id, world.users.all());
            Html(html.replace("{{form}}", &form)).into_response()
        }
        None => {
            let headers = [(header::CONTENT_SECURITY_POLICY, PAGE_CSP), (header::CACHE_CONTROL, "no-store")];
            (headers, Html(page::consent(&request, &id, world.users.all()))).into_response()
        }
    };
    world.pending.retain(|_, waiting| !waiting.is_stale(now));
    world.pending.insert(id, request);
    response
}

fn with_coop(switches: &Switches, mut response: Response) -> Response {
    if let Some(policy) = switches.coop.as_ref().and_then(|policy| HeaderValue::try_from(policy).ok()) {
        response.headers_mut().insert("cross-origin-opener-policy", policy);
    }
    response
}
