//! The browser SDK's built files, embedded. Versioned paths never change their content (so that SRI works); the
//! unversioned ones are the newest.

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};

use alter_api::ErrorCode;

use crate::error::ApiError;

/// The SDK's version, as in `sdk/browser/package.json`.
pub const SDK_VERSION: &str = "0.1.0";

const FILES: [(&str, &str); 3] = [
    ("alter-connect.umd.js", include_str!("../../../../../sdk/browser/dist/alter-connect.umd.js")),
    ("alter-connect.esm.js", include_str!("../../../../../sdk/browser/dist/alter-connect.esm.js")),
    ("alter-connect.cjs.js", include_str!("../../../../../sdk/browser/dist/alter-connect.cjs.js")),
];

pub(crate) async fn latest(Path(file): Path<String>) -> Response {
    serve(&file, "public, max-age=300")
}

pub(crate) async fn versioned(Path((version, file)): Path<(String, String)>) -> Response {
    if version == SDK_VERSION {
        serve(&file, "public, max-age=31536000, immutable")
    } else {
        ApiError::new(
            ErrorCode::NotFound,
            format!("This server carries version {SDK_VERSION} of the browser SDK."),
        )
        .into_response()
    }
}

fn serve(file: &str, cache: &'static str) -> Response {
    let Some((_, text)) = FILES.iter().find(|(name, _)| *name == file) else {
        return ApiError::plain(ErrorCode::NotFound).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, cache),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    (headers, *text).into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_served_version_is_the_packages_version() {
        let package: serde_json::Value =
            serde_json::from_str(include_str!("../../../../../sdk/browser/package.json")).unwrap();
        assert_eq!(package["version"], super::SDK_VERSION);
    }
}
