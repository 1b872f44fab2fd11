//! The question about scopes that nobody asked for, and its answer.

use alter_core::{Connection, Hash, SessionId};
use alter_flows::{ExtraAnswer, PageView, StepError, connect};
use axum::response::Response;

use super::session::{after_step, may_post, scope_line};
use crate::{
    Shared,
    extract::Form,
    middleware::{RequestId, html},
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
    let answered = match form.field("answer") {
        word @ ("allow" | "not_now") => {
            let allow = word == "allow";
            let answer = ExtraAnswer { shown: form.field("shown"), allow, request_id: &request_id.0 };
            connect::answer_extra(&shared.flows, sid, key, answer).await
        }
        // Something else sent it: the page asks again.
        _ => Err(StepError::Moved),
    };
    after_step(answered, request_id, sid)
}
