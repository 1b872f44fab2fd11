//! What every request passes through, outermost first: an id, the host check, limits on headers and target; on the way
//! back the body of an error, the headers of every response, one line in the log, and the counters.

mod headers;
mod trace;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use alter_api::ErrorCode;
use alter_core::{Random, SystemRandom, secret::hex, time::random_bytes};
use alter_signing::check_target;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};

pub(crate) use headers::{busy, html, page, see_other};
use tracing::Instrument;

use crate::{
    Shared, Site,
    coding::{self, Coding},
    error::ApiError,
    extract::only,
    metrics::Answering,
    middleware::trace::Trace,
    pages::{Page, script_path},
    routes::connect,
};

/// Request headers longer than this are answered with 431 (T48); bytes of names and values together.
const HEADER_BYTES: usize = 16 * 1024;

/// The longest path segment that is logged, bytes: a UUID fits, a token does not.
const SEGMENT_LOGGED: usize = 36;

/// The longest path that is logged, bytes. The longest of ours is a third of it.
const PATH_LOGGED: usize = 256;

/// The longest method that is logged, bytes; a caller may send any word.
const METHOD_LOGGED: usize = 16;

/// The id of a request: in its log lines, its audit entries, its error bodies and `X-Request-ID`.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// The request's id, and its place in a trace.
fn identify(headers: &HeaderMap, random: &dyn Random) -> (RequestId, Trace) {
    let bytes = random_bytes::<24>(random);
    let (id, trace) = bytes.split_at(8);
    (RequestId(hex(id)), Trace::of(headers, trace))
}

/// What the response says about the caller's key: the route's extractor knows it, and the header is written here.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyNotice(Arc<AtomicBool>);

impl KeyNotice {
    pub(crate) fn say_deprecated(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn around(routes: Router<Shared>, shared: Shared) -> Router {
    routes.layer(from_fn_with_state(shared.clone(), outermost)).with_state(shared)
}

async fn outermost(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let (id, Trace { trace_id, span_id }) = identify(request.headers(), &SystemRandom);
    // At error level, so that a log with only errors has it too.
    let span = tracing::error_span!("request", request_id = id.0, trace_id, span_id);
    let answering = Answering::begin(&request);
    request.extensions_mut().insert(id.clone());
    let coding = Coding::asked(request.headers());
    let answer = async move {
        let notice = KeyNotice::default();
        request.extensions_mut().insert(notice.clone());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let refused = refuse(&request, &shared);
        let response = match refused {
            Some(response) => response,
            None => next.run(request).await,
        };
        let mut response = finish(response, &id, &method, &uri);
        if notice.0.load(Ordering::Relaxed) {
            response.headers_mut().insert("x-alter-key-deprecated", HeaderValue::from_static("true"));
        }
        response
    };
    let response = coding::code(answer.instrument(span).await, coding).await;
    answering.done(response.status());
    response
}

fn refuse(request: &Request, shared: &Shared) -> Option<Response> {
    let path = request.uri().path();
    let target = request.uri().path_and_query().map_or(path, |t| t.as_str());
    if header_bytes(request.headers()) > HEADER_BYTES {
        return Some(if is_for_people(request) {
            page(ErrorCode::HeadersTooLarge.status(), &Page::HeadersTooLarge)
        } else {
            ApiError::plain(ErrorCode::HeadersTooLarge).into_response()
        });
    }
    // Probes use the server's address, not its name. And the page that says so has a button, which needs the script.
    if !is_probe(path) && path != script_path() && !is_for_us(request, &shared.site) {
        return Some(wrong_host(request, shared));
    }
    check_target(target).err().map(|_| ambiguous(request))
}

fn ambiguous(request: &Request) -> Response {
    if is_for_people(request) {
        page(ErrorCode::AmbiguousTarget.status(), &Page::NotFound)
    } else {
        ApiError::plain(ErrorCode::AmbiguousTarget).into_response()
    }
}

/// The path for the log. Our own segments contain public ids at most; a longer segment is somebody's token in the wrong
/// place. A caller may send any number of short ones, so the whole is cut too.
fn loggable(path: &str) -> String {
    let kept = path.split('/').map(|segment| if segment.len() <= SEGMENT_LOGGED { segment } else { "..." });
    let mut kept = kept.collect::<Vec<_>>().join("/");
    if kept.len() > PATH_LOGGED {
        kept.truncate(kept.floor_char_boundary(PATH_LOGGED));
        kept.push_str("...");
    }
    kept
}

fn loggable_method(method: &Method) -> &str {
    if method.as_str().len() <= METHOD_LOGGED { method.as_str() } else { "..." }
}

fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// Whether a person will see the response as a page, rather than a program reading it: who goes to an address in a browser
/// never sees JSON, by whichever method.
pub(crate) fn is_for_people(request: &Request) -> bool {
    let path = request.uri().path();
    let page = !path.starts_with("/sdk/") || path == "/sdk/oauth/connect";
    let program = is_probe(path)
        || matches!(path, "/openapi.json" | "/connect/status" | "/connect/result")
        || path.starts_with("/connect/api/");
    page && !program && shows(request)
}

/// Whether the request is a navigation. Browsers say so by a header, but not all that people have; they send forms to
/// three of our addresses.
fn shows(request: &Request) -> bool {
    let path = request.uri().path();
    let form =
        path == "/connect/open" || ["/connect/s/", "/oauth/callback/"].iter().any(|at| path.starts_with(at));
    let said = only(request.headers(), "sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    said || request.method() == Method::GET || (form && request.method() == Method::POST)
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Whether the request is for our public address. A target that names a host too (RFC 9112 section 3.2.2) must name this
/// one: one of two hosts would be ignored, and a proxy in front may ignore the other.
fn is_for_us(request: &Request, site: &Site) -> bool {
    let target = request.uri().authority().is_none_or(|authority| site.is_at(authority.as_str().as_bytes()));
    target && only(request.headers(), header::HOST).is_some_and(|host| site.is_at(host.as_bytes()))
}

fn wrong_host(request: &Request, shared: &Shared) -> Response {
    if is_for_people(request) {
        page(ErrorCode::WrongHost.status(), &Page::WrongHost { expected: &shared.site.origin })
    } else if matches!(request.uri().path(), "/connect/status" | "/connect/result") {
        // An app's page with a wrong `baseURL` may read that it is wrong. Any page may, so that it is not told the right one.
        connect::status::readable(ApiError::plain(ErrorCode::WrongHost), request.headers())
    } else {
        let message = format!("This server answers as {} only (ALTER_PUBLIC_URL).", shared.site.origin);
        ApiError::new(ErrorCode::WrongHost, message).into_response()
    }
}

fn finish(mut response: Response, id: &RequestId, method: &Method, uri: &Uri) -> Response {
    let code = response.extensions().get::<ApiError>().map(|e| e.code.as_str());
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = error.finish(std::mem::take(response.headers_mut()), &id.0);
    }
    let status = response.status().as_u16();
    // Tokens are in bodies, codes and states in queries; neither is logged.
    let path = || loggable(uri.path());
    let method = loggable_method(method);
    match status {
        500.. => tracing::error!(request_id = id.0, method, path = path(), status, code, "request failed"),
        400.. => tracing::info!(request_id = id.0, method, path = path(), status, code, "request refused"),
        _ => tracing::debug!(request_id = id.0, method, path = path(), status, "request"),
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        headers.insert("x-request-id", value);
    }
    response
}
