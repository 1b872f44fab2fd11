//! The page that asks at which customer of a provider the account is, and its answer.

use alter_core::{BadParameter, Filled, Hash, SessionId};
use alter_flows::{FillError, PageView, Screen, connect};
use axum::response::Response;

use super::session::{after_step, back_to, frame, may_post, name_of};
use crate::{
    Shared,
    extract::Form,
    middleware::{RequestId, html},
    pages::{CustomerField, CustomerView, Frame, Page},
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

/// Takes the answer, from our own page in the browser of the session.
pub(super) async fn answer(
    shared: &Shared,
    request_id: &RequestId,
    sid: &SessionId,
    key: &Hash,
    form: &Form,
) -> Response {
    let named = form.fields().filter(|(name, _)| *name != "provider");
    let typed: Filled = named.map(|(name, value)| (name.to_owned(), value.trim().to_lowercase())).collect();
    match connect::fill(&shared.flows, sid, key, form.field("provider"), typed.clone()).await {
        Ok(()) => back_to(sid),
        Err(FillError::Value(bad)) => refuse(shared, sid, key, typed, &bad).await,
        Err(FillError::Step(error)) => after_step(Err(error), request_id, sid),
    }
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
