//! The constant style and the one script of the pages, and the Content-Security-Policy that allows exactly
//! these two. Both are fixed at build time; their hashes are computed once, at first use.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The pages' script, served as `text/javascript` under [`script_path`], immutable.
pub const SCRIPT: &str = include_str!("../../../../ui/assets/connect.js");

/// The pages' style, written into each page, so that the first paint needs one round trip.
pub(super) const STYLE: &str = include_str!("../../../../ui/assets/connect.css");

/// Where the script is served: `/connect/assets/connect.{hash}.js`. The hash is of its content, so the
/// answer may be cached for ever and an old page never meets a newer script.
#[must_use]
pub fn script_path() -> &'static str {
    static PATH: LazyLock<String> =
        LazyLock::new(|| format!("/connect/assets/connect.{}.js", crate::coding::hash(SCRIPT.as_bytes())));
    &PATH
}

/// The Content-Security-Policy of every page: nothing but our script, our style by its hash, and requests
/// to ourselves; no frames, no forms elsewhere, and with Trusted Types no string ever becomes markup or code.
#[must_use]
pub fn content_security_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        format!(
            "default-src 'none'; script-src 'self'; style-src 'sha256-{style}'; img-src 'self' data:; \
             connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'"
        )
    });
    &POLICY
}
