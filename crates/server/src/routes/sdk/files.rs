//! The browser SDK's built files, embedded. Versioned paths never change their content (so that SRI works); the
//! unversioned ones are the newest.

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderName, header},
    response::{IntoResponse, Response},
};

use alter_api::ErrorCode;

use crate::{coding::StaticFile, error::ApiError};

/// The SDK's version, as in `sdk/browser/package.json`.
pub const SDK_VERSION: &str = "0.1.0";

/// For a page anywhere, and a script tag with `integrity`, which needs both.
fn for_any_page() -> [(HeaderName, &'static str); 2] {
    [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ]
}

macro_rules! script {
    ($name:literal) => {
        (
            $name,
            StaticFile {
                content_type: "text/javascript; charset=utf-8",
                plain: include_bytes!(concat!("../../../../../sdk/browser/dist/", $name)),
                gzip: Some(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))),
            },
        )
    };
}

static SCRIPTS: [(&str, StaticFile); 3] =
    [script!("alter-connect.umd.js"), script!("alter-connect.esm.js"), script!("alter-connect.cjs.js")];

pub(crate) async fn latest(Path(file): Path<String>, asked: HeaderMap) -> Response {
    let script = SCRIPTS.iter().find(|(name, _)| *name == file).map(|(_, script)| script);
    script.map_or_else(nothing, |script| send(script, &asked, "public, max-age=300"))
}

pub(crate) async fn versioned(Path((version, file)): Path<(String, String)>, asked: HeaderMap) -> Response {
    if version != SDK_VERSION {
        let message = format!("This server carries version {SDK_VERSION} of the browser SDK.");
        return ApiError::new(ErrorCode::NotFound, message).into_response();
    }
    let found = SCRIPTS.iter().find(|(name, _)| *name == file).map(|(_, script)| script);
    found.map_or_else(nothing, |file| send(file, &asked, "public, max-age=31536000, immutable"))
}

fn nothing() -> Response {
    ApiError::plain(ErrorCode::NotFound).into_response()
}

fn send(file: &StaticFile, asked: &HeaderMap, cache: &'static str) -> Response {
    let [origin, policy] = for_any_page();
    file.answer(asked, &[(header::CACHE_CONTROL, cache), origin, policy])
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_served_version_is_the_packages_version() {
        let package: serde_json::Value =
            serde_json::from_str(include_str!("../../../../../sdk/browser/package.json"))
                .expect("it is JSON");
        assert_eq!(package["version"], super::SDK_VERSION);
    }
}
