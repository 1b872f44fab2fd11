//! `POST /connect/api/s/{sid}/*`: what the user does on our pages, and the pages' signs of life.

use alter_api::{
    ErrorCode,
    connect::{Approval, Location, Nothing, PageSign, PageState, ProviderStep},
};
use alter_core::{Hash, SessionId};
use alter_flows::{ApproveError, PageError, StepError, connect};
use axum::{
    Json, RequestExt,
    extract::{FromRequest, Path, Request, State},
};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use super::session::page_word;
use crate::{
    Shared,
    error::ApiError,
    extract::{Browser, PagePost},
};

/// A POST from our own page, by the browser that claimed the session in the path. Unknown and foreign sessions look the
/// same (T50).
pub(crate) struct Step<T> {
    sid: SessionId,
    /// The browser's key for the session, as its cookie has it.
    key: SecretString,
    /// Its hash.
    browser: Hash,
    body: T,
}

impl<T: DeserializeOwned + 'static> FromRequest<Shared> for Step<T> {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, shared: &Shared) -> Result<Self, ApiError> {
        let path = request.extract_parts::<Path<String>>().await.ok();
        let Ok(browser) = request.extract_parts_with_state::<Browser, _>(shared).await;
        // Check first which page asks: a foreign page learns nothing about the session (T49).
        let PagePost(body) = PagePost::from_request(request, shared).await?;
        let found = path.and_then(|Path(sid)| SessionId::parse(&sid)).and_then(|sid| {
            let key = browser.key(&sid)?;
            let browser = connect::browser_hash(&key)?;
            Some((sid, key, browser))
        });
        let (sid, key, browser) = found.ok_or_else(not_yours)?;
        Ok(Self { sid, key, browser, body })
    }
}

fn not_yours() -> ApiError {
    ApiError::plain(ErrorCode::SessionExpired).with(serde_json::json!({ "reason": "other_browser" }))
}

type Answer = Result<Json<Location>, ApiError>;

fn to_page(sid: &SessionId) -> Answer {
    Ok(Json(Location { location: format!("/connect/s/{sid}").into() }))
}

pub(crate) async fn select(State(shared): State<Shared>, step: Step<ProviderStep>) -> Answer {
    connect::select(&shared.flows, &step.sid, &step.browser, &step.body.provider).await?;
    to_page(&step.sid)
}

pub(crate) async fn approve(State(shared): State<Shared>, step: Step<Approval>) -> Answer {
    let Approval { provider, shown } = &step.body;
    let location =
        connect::approve(&shared.flows, &step.sid, &step.browser, provider, shown.as_deref()).await?;
    Ok(Json(Location { location: String::from(location).into() }))
}

pub(crate) async fn sign_in(State(shared): State<Shared>, step: Step<Nothing>) -> Answer {
    let location = connect::sign_in(&shared.flows, &step.sid, &step.key).await?;
    Ok(Json(Location { location: String::from(location).into() }))
}

pub(crate) async fn back(State(shared): State<Shared>, step: Step<Nothing>) -> Answer {
    connect::back(&shared.flows, &step.sid, &step.browser).await?;
    to_page(&step.sid)
}

pub(crate) async fn cancel(State(shared): State<Shared>, step: Step<Nothing>) -> Answer {
    connect::cancel(&shared.flows, &step.sid, &step.browser).await?;
    to_page(&step.sid)
}

pub(crate) async fn finish(State(shared): State<Shared>, step: Step<Nothing>) -> Answer {
    connect::finish(&shared.flows, &step.sid, &step.browser).await?;
    to_page(&step.sid)
}

pub(crate) async fn seen(State(shared): State<Shared>, step: Step<PageSign>) -> Answer {
    connect::page_sign(&shared.flows, &step.sid, &step.browser, step.body.instance, false).await?;
    to_page(&step.sid)
}

pub(crate) async fn bye(State(shared): State<Shared>, step: Step<PageSign>) -> Answer {
    connect::page_sign(&shared.flows, &step.sid, &step.browser, step.body.instance, true).await?;
    to_page(&step.sid)
}

pub(crate) async fn state(
    State(shared): State<Shared>,
    step: Step<Nothing>,
) -> Result<Json<PageState>, ApiError> {
    let screen = connect::screen_of(&shared.flows, &step.sid, &step.browser).await?;
    Ok(Json(PageState { page: page_word(&screen).to_owned() }))
}

impl From<StepError> for ApiError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::NotYours => not_yours(),
            StepError::Moved => Self::plain(ErrorCode::StepMoved),
            StepError::Fault(fault) => fault.into(),
        }
    }
}

impl From<ApproveError> for ApiError {
    fn from(error: ApproveError) -> Self {
        match error {
            ApproveError::Step(step) => step.into(),
            ApproveError::WaitingForApp => Self::plain(ErrorCode::WaitingForApp),
            ApproveError::AppUnreachable => Self::plain(ErrorCode::AppUnreachable),
            ApproveError::ProviderGone => Self::plain(ErrorCode::ProviderNotConfigured),
        }
    }
}

impl From<PageError> for ApiError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Fault(error) => error.into(),
            PageError::NotFound | PageError::WrongBrowser | PageError::CookiesBlocked(_) => not_yours(),
        }
    }
}
