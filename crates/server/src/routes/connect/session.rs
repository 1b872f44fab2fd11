//! `/connect/s/{sid}`: the page that the session is at, for the browser that claimed it (GET), and the answer to a question
//! of the page (POST): a plain form, so that it works without the script.

use alter_api::ErrorCode;
use alter_core::{
    Cause, Connection, Failure, Fault, Level, Origin, ProviderCode, ProviderConfig, SessionId, SignInFault,
    Staged, auth_session::user_code,
};
use alter_flows::{FlowFault, Names, PageError, PageView, Screen, StepError, connect};
use axum::{
    Extension,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{connection, customer, extra, way_back};
use crate::{
    Shared,
    extract::{Browser, Form, PAGE_BODY_MAX, is_our_page, only},
    failure::{self, FailurePage},
    for_people,
    middleware::{RequestId, busy, html, page},
    pages::{
        Asked, CancelledView, ConnectionLine, ConsentView, DeniedView, DoneView, ExpiryReason, Frame, Legacy,
        Next, Page, PickerView, ProviderChoice, ProviderErrorView, ScopeLine, SignInView, WaitingView,
        WebviewView,
    },
    webview::{Webview, webview},
};

#[derive(Default, Deserialize)]
pub(crate) struct Arrival {
    /// The one-time marker of a claim.
    #[serde(default)]
    c: Option<String>,
    /// `unreadable`: the provider sent the user back with something that cannot be read.
    #[serde(default)]
    back: Option<String>,
    /// `1`: the person wants to go on in the browser of another app.
    here: Option<String>,
}

pub(crate) async fn show(
    State(shared): State<Shared>,
    Extension(request_id): Extension<RequestId>,
    Path(sid): Path<String>,
    browser: Browser,
    headers: HeaderMap,
    query: Result<Query<Arrival>, axum::extract::rejection::QueryRejection>,
) -> Response {
    // Unknown and foreign look alike (T50).
    let Some(sid) = SessionId::parse(&sid) else { return page(410, &Page::WrongBrowser) };
    let key = browser.key(&sid).and_then(|key| connect::browser_hash(&key));
    let Query(arrival) = query.unwrap_or_default();
    let marker = arrival.c.map(SecretString::from);
    let unreadable = arrival.back.as_deref() == Some("unreadable");
    let inside = webview_of(&headers).filter(|_| arrival.here.is_none());
    match connect::open_page(&shared.flows, &sid, key.as_ref(), marker.as_ref()).await {
        Ok(view) => render(&view, &shared, unreadable, inside),
        Err(error) => no_page(&error, &request_id),
    }
}

/// What the browser gets in place of a page of the session.
pub(super) fn no_page(error: &PageError, request_id: &RequestId) -> Response {
    match error {
        PageError::CookiesBlocked(way) => {
            let back = way.as_deref().and_then(way_back::without_cookie);
            let app_name = way.as_deref().map(|way| way.names.app.as_str());
            html(400, &Page::CookiesBlocked, &Frame { app_name, back: back.as_deref(), ..Frame::default() })
        }
        PageError::NotFound | PageError::WrongBrowser => page(410, &Page::WrongBrowser),
        PageError::Fault(error) => fault(error, request_id),
    }
}

pub(crate) async fn answer(
    State(shared): State<Shared>,
    Extension(request_id): Extension<RequestId>,
    Path(sid): Path<String>,
    browser: Browser,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // A foreign page learns nothing about the session (T49).
    if !is_our_page(&headers, &shared.site.origin) {
        shared.bodies.discard(body).await;
        return page(403, &Page::RefusedForm { foreign: true });
    }
    let bytes = match shared.bodies.read(&headers, body, PAGE_BODY_MAX).await {
        Ok(bytes) => bytes,
        Err(refused) if refused.code == ErrorCode::ServiceUnavailable => return busy(&request_id),
        Err(_) => return unread(),
    };
    let form = Form::parse(&bytes);
    // No form of ours sends a field twice.
    if form.repeats() {
        return unread();
    }
    let Some(sid) = SessionId::parse(&sid) else { return page(410, &Page::WrongBrowser) };
    let Some(key) = browser.key(&sid).and_then(|key| connect::browser_hash(&key)) else {
        return page(410, &Page::WrongBrowser);
    };
    if form.has("provider") {
        customer::answer(&shared, &request_id, &sid, &key, &form).await
    } else {
        extra::answer(&shared, &request_id, &sid, &key, &form).await
    }
}

fn unread() -> Response {
    page(400, &Page::RefusedForm { foreign: false })
}

/// Lets the browser send the page's form with our origin. Under `no-referrer`, a form's POST has `Origin: null` (Fetch
/// standard, "append a request Origin header"). No other site learns more by this: these pages link nowhere.
pub(super) fn may_post(response: &mut Response) {
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

/// Leads the browser on: to the page of now, also when the step came too late.
pub(super) fn after_step(step: Result<(), StepError>, request_id: &RequestId, sid: &SessionId) -> Response {
    match step {
        Ok(()) | Err(StepError::Moved) => back_to(sid),
        Err(StepError::NotYours) => page(410, &Page::WrongBrowser),
        Err(StepError::Fault(error)) => fault(&error, request_id),
    }
}

pub(super) fn back_to(sid: &SessionId) -> Response {
    let path = format!("/connect/s/{sid}");
    let no_store = (header::CACHE_CONTROL, "no-store".to_owned());
    (StatusCode::SEE_OTHER, [(header::LOCATION, path), no_store]).into_response()
}

fn fault(error: &FlowFault, request_id: &RequestId) -> Response {
    tracing::error!(request_id = request_id.0, %error, "a page failed");
    page(500, &Page::ServerError { request_id: &request_id.0 })
}

/// The word by which the waiting page notices that the session has moved on.
pub(super) fn page_word(screen: &Screen) -> &'static str {
    match screen {
        Screen::SignIn(_) => "sign_in",
        Screen::Waiting(_) => "waiting",
        Screen::Picker => "picker",
        Screen::Customer(_) => "customer",
        Screen::Consent(_) => "consent",
        Screen::Extra(_) => "extra",
        Screen::SignedIn | Screen::Done(_) | Screen::Awaiting(_) => "done",
        Screen::Failed { .. } if screen.is_denied() => "denied",
        Screen::Failed { .. } => "provider_error",
        Screen::Cancelled => "cancelled",
        Screen::Expired | Screen::AppUnreachable => "notice",
    }
}

pub(super) fn frame<'a>(view: &'a PageView, back: Option<&'a str>) -> Frame<'a> {
    Frame {
        sid: Some(view.session.sid.as_str()),
        instance: view.instance,
        app_name: Some(&view.offer.app.settings.name),
        app_origin: view.session.data.allowed_origin.as_ref().map(Origin::as_str),
        back,
        hub: view.session.claim().is_some_and(|claim| claim.level == Level::L1),
    }
}

fn render(view: &PageView, shared: &Shared, unreadable: bool, inside: Option<Webview>) -> Response {
    let back = view.goes_back().then(|| way_back::path(&view.session.sid));
    let frame = frame(view, back.as_deref());
    let message = legacy_message(view).map(|m| m.to_string());
    let target_origin = view.session.data.allowed_origin.as_ref().map(Origin::as_str);
    let legacy = message.as_deref().zip(target_origin);
    let legacy = legacy.map(|(message_json, target_origin)| Legacy { message_json, target_origin });
    let send = |status, page: &Page<'_>| html(status, page, &frame);
    let any_connected = view.session.has_connected();
    match &view.screen {
        Screen::SignIn(fault) => match inside.zip(view.offer.idp_refusing_webviews()) {
            Some((inside, idp)) => webview_page(view, (&idp.id, &idp.name), inside, &frame),
            None => sign_in(view, fault.or(unreadable_sign_in(view, unreadable)), &frame),
        },
        Screen::Picker => picker(view, &frame),
        // Only while the user is away: an old address of this kind shows nothing old.
        Screen::Consent(_) if unreadable && view.session.data.underway.is_some() => {
            let provider = view.session.data.underway.as_ref().map(|away| away.provider.clone());
            let cause = Cause::CallbackNotUnderstood;
            failed(view, &Failure { cause, provider, request_id: None, said: None }, false, None, &frame)
        }
        Screen::Customer(provider) => customer::show(view, provider, None, &frame),
        Screen::Consent(provider) => match inside.filter(|_| refuses_webviews(view, provider)) {
            Some(inside) => webview_page(view, name_of(view, Some(provider)), inside, &frame),
            None => consent(view, provider, &frame),
        },
        Screen::Waiting(provider) => {
            let (provider_id, provider_name) = name_of(view, provider.as_deref());
            send(200, &Page::Waiting(WaitingView { provider_id, provider_name }))
        }
        Screen::Extra(connection) => extra::show(view, connection, &frame),
        Screen::SignedIn => {
            let auth = view.session.data.auth.as_ref();
            send(200, &Page::SignedIn { user: auth.and_then(|auth| auth.signed_in_as.as_deref()) })
        }
        Screen::Done(connections) => {
            let lines: Vec<_> = connections.iter().map(connection_line).collect();
            send(200, &Page::Done(DoneView { connections: &lines, awaits_app: false, legacy }))
        }
        Screen::Awaiting(staged) => {
            let lines: Vec<_> = staged.iter().map(staged_line).collect();
            send(200, &Page::Done(DoneView { connections: &lines, awaits_app: true, legacy }))
        }
        Screen::Failed { failure, over } => failed(view, failure, *over, legacy, &frame),
        Screen::Expired => send(410, &Page::Expired { reason: ExpiryReason::Expired }),
        Screen::Cancelled => send(200, &Page::Cancelled(CancelledView { any_connected, legacy: None })),
        Screen::AppUnreachable => {
            let app = &view.offer.app.settings.name;
            send(200, &Page::AppUnreachable { app, server_origin: &shared.site.origin })
        }
    }
}

fn sign_in(view: &PageView, fault: Option<SignInFault>, frame: &Frame<'_>) -> Response {
    let host = &sign_in_host(view);
    html(200, &Page::SignIn(SignInView { host, asked: asked(view).as_ref(), fault }), frame)
}

/// The user came back with something that cannot be read. Only while the user is away: an old address shows nothing old.
fn unreadable_sign_in(view: &PageView, unreadable: bool) -> Option<SignInFault> {
    let away = view.session.data.sign_in.as_ref().is_some_and(|sign_in| sign_in.trip.is_some());
    (unreadable && away).then_some(SignInFault::Failed)
}

/// Who asks for an auth session, and the code that the asking side shows.
fn asked(view: &PageView) -> Option<Asked> {
    let requester = view.session.data.auth.as_ref()?.requester.clone();
    Some(Asked { requester, code: user_code(&view.session.token_hash) })
}

/// Where the app's users sign in; its issuer, where that is no URL.
fn sign_in_host(view: &PageView) -> String {
    let idp = view.offer.app.settings.identity_provider.as_ref();
    let issuer = idp.map(|idp| idp.issuer.as_str()).unwrap_or_default();
    let host = url::Url::parse(issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| issuer.to_owned())
}

fn picker(view: &PageView, frame: &Frame<'_>) -> Response {
    let account = |id: &str| {
        let data = &view.session.data;
        let made = data.connections.iter().rev().find(|c| c.provider == id).map(|c| &c.account_identifier);
        let waits = || data.staged.iter().rev().find(|s| s.provider == id).map(|s| &s.account_identifier);
        made.or_else(waits).map(String::as_str)
    };
    let providers: Vec<_> = view
        .offer
        .providers
        .iter()
        .map(|ProviderConfig { recipe, .. }| ProviderChoice {
            id: &recipe.id,
            name: &recipe.name,
            connected_account: account(&recipe.id),
        })
        .collect();
    let declined = view.session.data.declined.last().map(|d| name_of(view, Some(&d.provider)).1);
    let any_connected = view.session.has_connected();
    html(200, &Page::Picker(PickerView { providers: &providers, any_connected, declined }), frame)
}

fn webview_of(headers: &HeaderMap) -> Option<Webview> {
    webview(only(headers, header::USER_AGENT)?.to_str().ok()?)
}

fn refuses_webviews(view: &PageView, provider: &str) -> bool {
    view.offer.providers.iter().any(|c| c.recipe.id == provider && c.recipe.refuses_webviews)
}

fn webview_page(
    view: &PageView,
    (provider_id, provider_name): (&str, &str),
    found: Webview,
    frame: &Frame<'_>,
) -> Response {
    // The session belongs to this browser, so the other one starts anew, at the app.
    let origin = view.session.data.allowed_origin.as_ref();
    let website = view.offer.app.settings.website_url.as_deref();
    let signs_in = matches!(view.screen, Screen::SignIn(_));
    let address = website.filter(|_| view.offer.app.website_origin().as_ref() == origin);
    let page = WebviewView {
        provider_id,
        provider_name,
        inside: found.inside,
        browser: found.browser,
        address: address.or(origin.map(Origin::as_str)),
        can_go_back: !view.session.is_single() && !signs_in,
        signs_in,
    };
    html(200, &Page::Webview(page), frame)
}

fn consent(view: &PageView, provider: &str, frame: &Frame<'_>) -> Response {
    let (provider_id, provider_name) = name_of(view, Some(provider));
    let config = view.offer.provider(provider);
    let scopes = config.map(|config| config.scopes.as_slice()).unwrap_or_default();
    let scopes: Vec<_> = scopes.iter().map(|code| scope_line(config, code)).collect();
    let filled = view.session.data.filled_for(provider);
    let hosts: Vec<String> = filled
        .iter()
        .filter_map(|(name, value)| {
            let host = config?.recipe.host_with(name)?;
            Some(host.replace(&format!("{{{name}}}"), value))
        })
        .collect();
    let consent = ConsentView {
        provider_id,
        provider_name,
        hosts: &hosts,
        can_change_host: view.session.data.typed.get(provider).is_some_and(|typed| !typed.is_empty()),
        shown: view.session.data.shown.as_deref().unwrap_or_default(),
        scopes: &scopes,
        user: view.session.data.user.as_ref().map(|user| user.label.as_str()),
        agent: view.offer.agent_name(&view.session),
        opened_by_link: view.session.claim().is_some_and(|c| c.level == Level::L0),
        confirmed_by_app: view.session.is_confirmed_by_app(),
        connected_account: None,
        can_go_back: !view.session.is_single(),
    };
    let mut response = html(200, &Page::Consent(consent), frame);
    if consent.can_change_host {
        may_post(&mut response);
    }
    response
}

/// A scope, with the words that its provider has for it.
pub(super) fn scope_line<'a>(config: Option<&'a ProviderConfig>, code: &'a str) -> ScopeLine<'a> {
    ScopeLine { code, text: config.and_then(|config| config.recipe.scope_words(code)) }
}

fn failed(
    view: &PageView,
    failure: &Failure,
    over: bool,
    legacy: Option<Legacy<'_>>,
    frame: &Frame<'_>,
) -> Response {
    let (provider_id, provider_name) = name_of(view, failure.provider.as_deref());
    let next = ways_on(view, failure, over);
    let page = match failure::told(&failure.cause).page {
        FailurePage::Denied => Page::Denied(DeniedView { provider_id, provider_name, next, legacy }),
        FailurePage::Error(fault) => Page::ProviderError(ProviderErrorView {
            provider_id,
            provider_name,
            fault,
            provider_code: failure.cause.provider_code().map(ProviderCode::as_str),
            request_id: failure.request_id.as_deref(),
            next,
            legacy,
        }),
    };
    html(200, &page, frame)
}

/// How the user can go on after a failure: only ways that can succeed before the app or the operator has changed
/// something.
fn ways_on(view: &PageView, failure: &Failure, over: bool) -> Next {
    let fault = failure.cause.fault();
    Next {
        try_again: !over && !matches!(fault, Fault::App | Fault::Operator),
        choose_another: !over && !view.session.is_single() && fault != Fault::App,
    }
}

/// Id and name of a provider of the session, for words and tile.
pub(super) fn name_of<'a>(view: &'a PageView, provider: Option<&'a str>) -> (&'a str, &'a str) {
    let Some(id) = provider else { return ("", "the provider") };
    match view.offer.provider(id) {
        Some(config) => (&config.recipe.id, &config.recipe.name),
        None => (id, id),
    }
}

fn connection_line(connection: &Connection) -> ConnectionLine<'_> {
    ConnectionLine {
        provider_id: &connection.provider,
        provider_name: &connection.provider_name,
        account: Some(&connection.account_identifier),
    }
}

fn staged_line(staged: &Staged) -> ConnectionLine<'_> {
    ConnectionLine {
        provider_id: &staged.provider,
        provider_name: &staged.provider_name,
        account: Some(&staged.account_identifier),
    }
}

/// The message for the published client 0.8.0 (wire 6); our own SDK asks the status channel.
fn legacy_message(view: &PageView) -> Option<Value> {
    if view.session.claim()?.cb.is_some() || view.session.is_redirect() {
        return None;
    }
    match &view.screen {
        Screen::Done(connections) => {
            let grants: Vec<_> = connections.iter().map(connection).collect();
            Some(json!({ "type": "alter_connect_success", "grants": grants }))
        }
        Screen::Failed { failure, over: true } => {
            let provider = failure.provider.as_deref().map(|id| name_of(view, Some(id)).1.to_owned());
            let names = Names { app: view.offer.app.settings.name.clone(), provider };
            let (error, description) =
                (failure::told(&failure.cause).sdk, for_people::message(failure, &names));
            Some(json!({ "type": "alter_connect_error", "error": error, "error_description": description }))
        }
        _ => None,
    }
}
