//! The page that asks at which customer of a provider the account is, and its answer: a plain form, so that it works without
//! the script.

use std::collections::BTreeMap;

use alter_core::{BadParameter, Filled, Hash, SessionId};
use alter_flows::{FillError, PageView, Screen, StepError, connect};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::session::{frame, name_of};
use crate::{
    Shared,
    middleware::{RequestId, html, page},
    pages::{CustomerField, CustomerView, ExpiryReason, Frame, Page},
};

/// What a person typed that is not taken, and why.
pub(super) struct Refused {
    typed: Filled,
    name: String,
    why: String,
}

pub(super) fn show(
    view: &PageView,
    provider: &str,
    refused: Option<&Refused>,
    frame: &Frame<'_>,
) -> Response {
    let (provider_id, provider_name) = name_of(view, Some(provider));
    let recipe = view.offer.provider(provider).map(|config| &config.recipe);
    let fields: Vec<_> = view
        .offer
        .open_parameters(&view.session, provider)
        .into_iter()
        .map(|(name, open)| {
            let host = recipe.and_then(|recipe| recipe.host_with(name));
            let typed = refused.and_then(|refused| refused.typed.get(name)).map_or("", String::as_str);
            CustomerField {
                name,
                label: &open.description,
                example: &open.example,
                after: host.and_then(|host| host.split_once('}')).map_or("", |(_, after)| after),
                typed,
                oops: refused.filter(|refused| refused.name == name).map(|refused| refused.why.as_str()),
            }
        })
        .collect();
    let can_go_back = !view.session.is_single();
    let page = Page::Customer(CustomerView { provider_id, provider_name, fields: &fields, can_go_back });
    let mut response = html(if refused.is_some() { 400 } else { 200 }, &page, frame);
    may_post(&mut response);
    response
}

/// Under `no-referrer`, a form's POST has `Origin: null` (Fetch standard, "append a request Origin header").
pub(super) fn may_post(response: &mut Response) {
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

/// The fields of the form; `None` when one comes twice.
fn fields(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body).into_owned() {
        if fields.insert(name, value).is_some() {
            return None;
        }
    }
    Some(fields)
}

/// Takes the answer, from our own page in the browser of the session.
pub(super) async fn answer(
    shared: &Shared,
    request_id: &RequestId,
    sid: &SessionId,
    key: &Hash,
    body: &[u8],
) -> Response {
    let Some(mut form) = fields(body) else {
        // Our own form cannot send it, and there is nothing to type anew.
        return page(400, &Page::Expired { reason: ExpiryReason::NotUnderstood });
    };
    let provider = form.remove("provider").unwrap_or_default();
    let typed: Filled = form.into_iter().map(|(name, value)| (name, value.trim().to_lowercase())).collect();
    match connect::fill(&shared.flows, sid, key, &provider, typed.clone()).await {
        // The page says what is due now, also when the step came too late.
        Ok(()) | Err(FillError::Step(StepError::Moved)) => back_to(sid),
        Err(FillError::Value(bad)) => refuse(shared, sid, key, typed, &bad).await,
        Err(FillError::Step(StepError::NotYours)) => page(410, &Page::WrongBrowser),
        Err(FillError::Step(StepError::Fault(error))) => {
            tracing::error!(request_id = request_id.0, %error, "a step failed");
            page(500, &Page::ServerError { request_id: &request_id.0 })
        }
    }
}

fn back_to(sid: &SessionId) -> Response {
    let path = format!("/connect/s/{sid}");
    let no_store = (header::CACHE_CONTROL, "no-store".to_owned());
    (StatusCode::SEE_OTHER, [(header::LOCATION, path), no_store]).into_response()
}

/// The same page again, with what was typed and what is wrong with it.
async fn refuse(shared: &Shared, sid: &SessionId, key: &Hash, typed: Filled, bad: &BadParameter) -> Response {
    let Ok(view) = connect::open_page(&shared.flows, sid, Some(key), None).await else { return back_to(sid) };
    let Screen::Customer(provider) = &view.screen else { return back_to(sid) };
    let why = match bad {
        BadParameter::Value { example, .. } => {
            format!("Write the name alone, like {example}: letters, digits and hyphens.")
        }
        BadParameter::Missing(_) | BadParameter::Unknown(_) => "This is not asked for.".to_owned(),
    };
    let refused = Refused { typed, name: bad.name().to_owned(), why };
    show(&view, provider, Some(&refused), &frame(&view))
}
