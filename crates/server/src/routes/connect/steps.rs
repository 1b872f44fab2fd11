//! `POST /connect/api/s/{sid}/*`: what the user does on our pages, and the pages' signs of life.

use alter_api::{
    ErrorCode,
    connect::{Location, Nothing, PageSign, PageState, ProviderStep},
};
use alter_core::{Hash, SessionId};
use alter_flows::{ApproveError, PageError, StepError};
use axum::{
    Json,
    extract::{Path, State},
};

use super::session::page_word;
use crate::{
    Shared,
    error::ApiError,
    extract::{Browser, PagePost},
};

/// The session of the path, when this browser has its key. Unknown and foreign are the same (T50).
fn yours(shared: &Shared, sid: &str, browser: &Browser) -> Result<(SessionId, Hash), ApiError> {
    let found = SessionId::parse(sid).and_then(|sid| {
        let hash = shared.flows.browser_hash(&browser.key(&sid)?)?;
        Some((sid, hash))
    });
    found.ok_or_else(not_yours)
}

fn not_yours() -> ApiError {
    ApiError::plain(ErrorCode::SessionExpired).with(serde_json::json!({ "reason": "other_browser" }))
}

fn to_page(sid: &SessionId) -> Json<Location> {
    Json(Location { location: format!("/connect/s/{sid}") })
}

pub(crate) async fn select(
    State(shared): State<Shared>,
    Path(sid): Path<String>,
    browser: Browser,
    PagePost(step): PagePost<ProviderStep>,
) -> Result<Json<Location>, ApiError> {
    let (sid, key) = yours(&shared, &sid, &browser)?;
    shared.flows.select(&sid, &key, &step.provider).await?;
    Ok(to_page(&sid))
}

pub(crate) async fn approve(
    State(shared): State<Shared>,
    Path(sid): Path<String>,
    browser: Browser,
    PagePost(step): PagePost<ProviderStep>,
) -> Result<Json<Location>, ApiError> {
    let (sid, key) = yours(&shared, &sid, &browser)?;
    let location = shared.flows.approve(&sid, &key, &step.provider).await?;
    Ok(Json(Location { location: location.into() }))
}

pub(crate) async fn back(
    State(shared): State<Shared>,
    Path(sid): Path<String>,
    browser: Browser,
    PagePost(_): PagePost<Nothing>,
) -> Result<Json<Location>, ApiError> {
    let (sid, key) = yours(&shared, &sid, &browser)?;
    shared.flows.back(&sid, &key).await?;
    Ok(to_page(&sid))
}

pub(crate) async fn cancel(
    State(shared): State<Shared>,
    Path(sid): Path<String>,
    browser: Browser,
    PagePost(_): PagePost<Nothing>,
) -> Result<Json<Location>, ApiError> {
    let (sid, key) = yours(&shared, &sid, &browser)?;
    shared.flows.cancel(&sid, &key).await?;
    Ok(to_page(&sid))
}

pub(crate) async fn finish(
    State(shared): State<Shared>,
    Path(sid): Path<String>,
    browser: Browser,
    PagePost(_): PagePost<Nothing>,
) -> Result<Json<Location>, ApiError> {
    let (sid, key) = yours(&shared, &sid, &browser)?;
    shared.flows.finish(&sid, &key).await?;
    Ok(to_page(&sid))
}

pub(crate) async fn seen(
    State(shared): State<Shared>,
    Path(sid): Path<String>,
    browser: Browser,
    PagePost(sign): PagePost<PageSign>,
) -> Result<Json<Location>, ApiError> {
    let (sid, key) = yours(&shared, &sid, &browser)?;
    shared.flows.page_sign(&sid, &key, sign.instance, false).await?;
    Ok(to_page(&sid))
}

pub(crate) async fn bye(
    State(shared): State<Shared>,
    Path(sid): Path<String>,
    browser: Browser,
    PagePost(sign): PagePost<PageSign>,
) -> Result<Json<Location>, ApiError> {
    let (sid, key) = yours(&shared, &sid, &browser)?;
    shared.flows.page_sign(&sid, &key, sign.instance, true).await?;
    Ok(to_page(&sid))
}

pub(crate) async fn state(
    State(shared): State<Shared>,
    Path(sid): Path<String>,
    browser: Browser,
    PagePost(_): PagePost<Nothing>,
) -> Result<Json<PageState>, ApiError> {
    let (sid, key) = yours(&shared, &sid, &browser)?;
    let screen = shared.flows.screen_of(&sid, &key).await?;
    Ok(Json(PageState { page: page_word(&screen) }))
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
            PageError::Store(error) => error.into(),
            PageError::NotFound | PageError::WrongBrowser | PageError::CookiesBlocked => not_yours(),
        }
    }
}
