//! A signed call's query. Unknown names are refused: an id that contains `?x=1` must not change what a call does.

use alter_api::ErrorCode;
use axum::{extract::Query, http::Uri};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    let refused = |_| {
        let message = "The query has an unknown name, a name twice, or a value of the wrong type.";
        ApiError::new(ErrorCode::InvalidRequest, message)
    };
    Query::try_from_uri(uri).map(|Query(query)| query).map_err(refused)
}
