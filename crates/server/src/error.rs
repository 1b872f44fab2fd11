//! An error response: a code for programs, a sentence for people. The cause was logged where it happened. The outermost
//! middleware writes the body, because it knows the request id.

use alter_api::{ErrorBody, ErrorCode};
use alter_core::StoreError;
use alter_flows::{AppKeyRequired, FlowFault};
use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

/// An error answer.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) details: Option<Value>,
    /// More facts, next to `error` in the body.
    pub(crate) more: Map<String, Value>,
    /// Seconds: the header `Retry-After`.
    pub(crate) retry_after: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, more: Map::new(), retry_after: None }
    }

    /// An error with the table's sentence.
    pub(crate) fn plain(code: ErrorCode) -> Self {
        Self::new(code, code.meaning())
    }

    pub(crate) fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Adds facts next to `error` in the body.
    pub(crate) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.more.insert(name.to_owned(), value);
        }
        self
    }

    /// The response with its body. Headers that `response` has already (CORS) are kept.
    pub(crate) fn finish(self, kept: HeaderMap, request_id: &str) -> Response {
        let body = ErrorBody {
            error: self.code.as_str().to_owned(),
            message: self.message,
            request_id: request_id.to_owned(),
            details: self.details,
            more: self.more,
        };
        let mut response = (status_of(self.code), Json(body)).into_response();
        response.headers_mut().extend(kept);
        response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

pub(crate) fn status_of(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = status_of(self.code).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<AppKeyRequired> for ApiError {
    fn from(_: AppKeyRequired) -> Self {
        Self::plain(ErrorCode::AppKeyRequired)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NonceReplayed => Self::new(
                ErrorCode::InvalidSignature,
                "This signed request was sent before: every call needs a fresh nonce.",
            ),
            StoreError::Unstorable => {
                Self::new(ErrorCode::InvalidRequest, "A text contains a NUL character.")
            }
            other => {
                tracing::error!(error = %other, "storage failed");
                Self::plain(ErrorCode::ServiceUnavailable)
            }
        }
    }
}

impl From<FlowFault> for ApiError {
    fn from(fault: FlowFault) -> Self {
        match fault {
            FlowFault::Store(error) => error.into(),
            FlowFault::Unproven(why) => {
                tracing::error!(error = %why, "a row is refused");
                let message =
                    "A stored row is refused until the operator has looked at it: alter doctor names it.";
                Self::new(ErrorCode::ProviderConfigurationUnavailable, message)
            }
            other => {
                tracing::error!(error = %other, "a flow failed");
                Self::plain(ErrorCode::ServerError)
            }
        }
    }
}
