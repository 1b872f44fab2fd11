//! `POST /connect/s/{sid}`: the answer to the question about scopes that nobody asked for, or about the customer
//! ([`customer`]). Plain forms, so that they work without the script.

use alter_api::ErrorCode;
use alter_core::{Connection, SessionId};
use alter_flows::{ExtraAnswer, PageView, StepError, connect};
use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{customer, session::scope_line};
use crate::{
    Shared,
    extract::{Browser, Form, PAGE_BODY_MAX, is_our_page},
    middleware::{RequestId, busy, html, page},
    pages::{ExtraView, Frame, Page},
};

pub(super) fn show(view: &PageView, connection: &Connection, frame: &Frame<'_>) -> Response {
    let config = view.offer.provider(&connection.provider);
    let scopes: Vec<_> = connection.unanswered.iter().map(|code| scope_line(config, code)).collect();
    let shown = view.offer.shown_extra(&view.session, connection).unwrap_or_default();
    let extra = ExtraView {
        provider_name: &connection.provider_name,
        account: &connection.account_identifier,
        agent: view.offer.agent_name(&view.session).unwrap_or_default(),
        scopes: &scopes,
        shown: &shown,
    };
    let mut response = html(200, &Page::Extra(extra), frame);
    // Under `no-referrer`, a form's POST has `Origin: null` (Fetch standard, "append a request Origin header"). No other
    // site learns more by this: the page links nowhere.
    let policy = HeaderValue::from_static("same-origin");
    response.headers_mut().insert(header::REFERRER_POLICY, policy);
    response
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
        return page(403, &Page::WrongBrowser);
    }
    let bytes = match shared.bodies.read(&headers, body, PAGE_BODY_MAX).await {
        Ok(bytes) => bytes,
        Err(refused) if refused.code == ErrorCode::ServiceUnavailable => return busy(&request_id),
        Err(_) => return page(400, &Page::WrongBrowser),
    };
    let Some(sid) = SessionId::parse(&sid) else { return page(410, &Page::WrongBrowser) };
    let Some(key) = browser.key(&sid).and_then(|key| connect::browser_hash(&key)) else {
        return page(410, &Page::WrongBrowser);
    };
    let form = Form::parse(&bytes);
    if form.has("provider") {
        return customer::answer(&shared, &request_id, &sid, &key, &bytes).await;
    }
    let answer = match form.field("answer") {
        word @ ("allow" | "not_now") => {
            let allow = word == "allow";
            let answer = ExtraAnswer { shown: form.field("shown"), allow, request_id: &request_id.0 };
            connect::answer_extra(&shared.flows, &sid, &key, answer).await
        }
        // Something else sent it: the page asks again.
        _ => Err(StepError::Moved),
    };
    match answer {
        // The page of now: it goes on, or shows the question anew.
        Ok(()) | Err(StepError::Moved) => {
            let to = [(header::LOCATION, format!("/connect/s/{sid}"))];
            (StatusCode::SEE_OTHER, to, [(header::CACHE_CONTROL, "no-store")]).into_response()
        }
        Err(StepError::NotYours) => page(410, &Page::WrongBrowser),
        Err(StepError::Fault(error)) => {
            tracing::error!(request_id = request_id.0, %error, "an answer failed");
            page(500, &Page::ServerError { request_id: &request_id.0 })
        }
    }
}
