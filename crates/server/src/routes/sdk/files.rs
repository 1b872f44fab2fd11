//! The browser SDK's built files, its npm package and their integrity, embedded. Versioned paths never change their
//! content (so that SRI works, and the integrity in a lock file); the unversioned ones are the newest.

use std::sync::LazyLock;

use aws_lc_rs::digest::{Algorithm, SHA384, SHA512, digest};
use axum::{
    Json,
    extract::Path,
    http::{HeaderMap, HeaderName, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

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
            StaticFile::embedded(
                "text/javascript; charset=utf-8",
                include_bytes!(concat!("../../../../../sdk/browser/dist/", $name)),
                Some(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))),
            ),
        )
    };
}

static SCRIPTS: [(&str, StaticFile); 3] =
    [script!("alter-connect.umd.js"), script!("alter-connect.esm.js"), script!("alter-connect.cjs.js")];

const PACKAGE: &str = "alter-connect.tgz";

// Not compressed again: a client might unpack it on the way, and would then find that its integrity is wrong.
static PACKAGE_FILE: StaticFile = StaticFile::embedded(
    "application/gzip",
    include_bytes!(concat!(env!("OUT_DIR"), "/alter-connect.tgz")),
    None,
);

pub(crate) async fn latest(Path(file): Path<String>, asked: HeaderMap) -> Response {
    let script = SCRIPTS.iter().find(|(name, _)| *name == file).map(|(_, script)| script);
    script.map_or_else(nothing, |script| send(script, &asked, "public, max-age=300"))
}

pub(crate) async fn versioned(Path((version, file)): Path<(String, String)>, asked: HeaderMap) -> Response {
    if version != SDK_VERSION {
        let message = format!("This server carries version {SDK_VERSION} of the browser SDK.");
        return ApiError::new(ErrorCode::NotFound, message).into_response();
    }
    if file == "integrity.json" {
        return (for_any_page(), Json(&*INTEGRITY)).into_response();
    }
    let found = SCRIPTS.iter().find(|(name, _)| *name == file).map(|(_, script)| script);
    let found = found.or_else(|| (file == PACKAGE).then_some(&PACKAGE_FILE));
    found.map_or_else(nothing, |file| send(file, &asked, "public, max-age=31536000, immutable"))
}

fn nothing() -> Response {
    ApiError::plain(ErrorCode::NotFound).into_response()
}

fn send(file: &StaticFile, asked: &HeaderMap, cache: &'static str) -> Response {
    let [origin, policy] = for_any_page();
    file.answer(asked, &[(header::CACHE_CONTROL, cache), origin, policy])
}

/// What `integrity` must be, by file: of a script tag SHA-384, of the package SHA-512, which npm writes into lock files.
static INTEGRITY: LazyLock<Value> = LazyLock::new(|| {
    let scripts = SCRIPTS.iter().map(|(name, file)| (*name, integrity("sha384", &SHA384, file)));
    let package = (PACKAGE, integrity("sha512", &SHA512, &PACKAGE_FILE));
    let files: serde_json::Map<_, _> =
        scripts.chain([package]).map(|(name, is)| (name.to_owned(), is.into())).collect();
    json!({ "version": SDK_VERSION, "files": files })
});

fn integrity(name: &str, algorithm: &'static Algorithm, file: &StaticFile) -> String {
    format!("{name}-{}", STANDARD.encode(digest(algorithm, file.plain())))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn manifest() -> Value {
        serde_json::from_str(include_str!("../../../../../sdk/browser/package.json")).expect("it is JSON")
    }

    /// The package's files by name, read the way tar does.
    fn unpacked() -> Vec<(String, Vec<u8>)> {
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(PACKAGE_FILE.plain()).read_to_end(&mut tar).expect("it is gzip");
        let (mut files, mut rest) = (Vec::new(), &tar[..]);
        while rest[0] != 0 {
            let text = |from: usize, length: usize| {
                String::from_utf8_lossy(&rest[from..from + length]).trim_end_matches('\0').to_owned()
            };
            let size = usize::from_str_radix(&text(124, 12), 8).expect("an octal size");
            files.push((text(0, 100), rest[512..512 + size].to_vec()));
            rest = &rest[512 + size.next_multiple_of(512)..];
        }
        assert!(rest.len() == 1024 && rest.iter().all(|byte| *byte == 0), "two empty blocks end it");
        files
    }

    #[test]
    fn the_served_version_is_the_packages_version() {
        assert_eq!(manifest()["version"], SDK_VERSION);
    }

    #[test]
    fn the_npm_package_has_what_npm_pack_would_put_there() {
        let mut expected: Vec<String> = manifest()["files"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|f| f.as_str().expect("a name").into())
            .collect();
        expected.extend(["package.json", "LICENSE", "README.md"].map(String::from));
        expected.sort();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/browser/");
        let mut names = Vec::new();
        for (name, bytes) in unpacked() {
            let name = name.strip_prefix("package/").expect("npm's folder").to_owned();
            assert_eq!(bytes, std::fs::read(format!("{folder}{name}")).expect("the file"), "{name}");
            names.push(name);
        }
        names.sort();
        assert_eq!(names, expected);
    }

    #[test]
    fn integrity_is_what_a_script_tag_and_a_lock_file_say() {
        let files = &INTEGRITY["files"];
        assert_eq!(files.as_object().expect("an object").len(), 4);
        for name in ["alter-connect.umd.js", "alter-connect.esm.js", "alter-connect.cjs.js"] {
            assert!(
                files[name].as_str().is_some_and(|is| is.starts_with("sha384-") && is.len() == 71),
                "{name}"
            );
        }
        assert!(files[PACKAGE].as_str().is_some_and(|is| is.starts_with("sha512-") && is.len() == 95));
    }
}
