//! The page that asks at which customer of a provider the account is, and its answer.

use alter_core::{BadParameter, Filled, Hash, SessionId};
use alter_flows::{FillError, PageView, Screen, connect};
use axum::response::Response;

use super::session::{after_step, back_to, frame, may_post, name_of, no_page};
use crate::{
    Shared,
    extract::Form,
    middleware::{RequestId, html},
    pages::{CustomerField, CustomerView, Frame, Page},
};

/// What the names of the fields that a person fills begin with: a placeholder may have the name of a field of ours.
const FIELD: &str = "at.";

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
    let open = view.offer.open_parameters(&view.session, provider);
    let names: Vec<_> = open.iter().map(|(name, _)| format!("{FIELD}{name}")).collect();
    let fields: Vec<_> = open
        .into_iter()
        .zip(&names)
        .map(|((name, open), field)| {
            let host = recipe.and_then(|recipe| recipe.host_with(name));
            let typed = refused.and_then(|refused| refused.typed.get(name)).map_or("", String::as_str);
            CustomerField {
                name: field,
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

/// Takes the answer, from our own page in the browser of the session.
pub(super) async fn answer(
    shared: &Shared,
    request_id: &RequestId,
    sid: &SessionId,
    key: &Hash,
    form: &Form,
) -> Response {
    let fields = form.fields().filter_map(|(name, value)| Some((name.strip_prefix(FIELD)?, value)));
    let typed: Filled = fields.map(|(name, value)| (name.to_owned(), value.trim().to_lowercase())).collect();
    match connect::fill(&shared.flows, sid, key, form.field("provider"), typed.clone()).await {
        Ok(()) => back_to(sid),
        Err(FillError::Value(BadParameter::Value { name, example, .. })) => {
            let why = format!("Write the name alone, like {example}: letters, digits and hyphens.");
            again(shared, request_id, sid, key, &Refused { typed, name, why }).await
        }
        // The page has no such field any more.
        Err(FillError::Value(BadParameter::Missing(_) | BadParameter::Unknown(_))) => back_to(sid),
        Err(FillError::Step(error)) => after_step(Err(error), request_id, sid),
    }
}

/// The same page again, with what was typed and what is wrong with it.
async fn again(
    shared: &Shared,
    request_id: &RequestId,
    sid: &SessionId,
    key: &Hash,
    refused: &Refused,
) -> Response {
    let view = match connect::open_page(&shared.flows, sid, Some(key), None).await {
        Ok(view) => view,
        Err(error) => return no_page(&error, request_id),
    };
    let Screen::Customer(provider) = &view.screen else { return back_to(sid) };
    show(&view, provider, Some(refused), &frame(&view, None))
}
