//! The authorization response: back to the client with a code or an error (RFC 6749 section 4.1.2).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::grants::AuthRequest;
use crate::page;
use crate::state::Inner;
use crate::switches::Switches;

/// Issues a code for this user and sends the browser back with it.
pub(crate) fn approve(inner: &Inner, switches: &Switches, request: AuthRequest, sub: &str) -> Response {
    let now = inner.now();
    let code = inner.world().grants.issue_code(request.clone(), sub, now);
    respond(inner, switches, &request, vec![("code".to_owned(), code)])
}

/// Sends the browser back with the switched error of a denial.
pub(crate) fn deny(inner: &Inner, switches: &Switches, request: &AuthRequest) -> Response {
    fail(inner, switches, request, &switches.deny_error, switches.deny_description.as_deref())
}

/// Sends the browser back with an error.
pub(crate) fn fail(
    inner: &Inner,
    switches: &Switches,
    request: &AuthRequest,
    error: &str,
    description: Option<&str>,
) -> Response {
    let mut params = vec![("error".to_owned(), error.to_owned())];
    params.extend(description.map(|text| ("error_description".to_owned(), text.to_owned())));
    respond(inner, switches, request, params)
}

fn respond(
    inner: &Inner,
    switches: &Switches,
    request: &AuthRequest,
    mut params: Vec<(String, String)>,
) -> Response {
    params.extend(switches.state.apply(request.state.as_deref()).map(|state| ("state".to_owned(), state)));
    params.extend(switches.iss.apply(Some(&inner.issuer)).map(|iss| ("iss".to_owned(), iss)));
    params.extend(switches.extra_response_params.iter().cloned());
    if request.form_post {
        return Html(page::form_post(&request.redirect_uri, &params)).into_response();
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    redirect(StatusCode::SEE_OTHER, &request.redirect_uri, &query)
}

/// Redirects to `target` with `query` added, byte for byte: no parser may normalise the target.
pub(crate) fn redirect(status: StatusCode, target: &str, query: &str) -> Response {
    let joint = if target.contains('?') { '&' } else { '?' };
    match HeaderValue::try_from(format!("{target}{joint}{query}")) {
        Ok(location) => (status, [(header::LOCATION, location)]).into_response(),
        Err(_) => refuse("The redirect URI cannot be written into a header."),
    }
}

/// Answers with a page, never a redirect: for requests that do not prove where the browser may be sent.
pub(crate) fn refuse(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Html(page::error(why))).into_response()
}
