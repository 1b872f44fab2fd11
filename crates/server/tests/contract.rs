//! The wire contract is a set of files under review: what the code makes must equal what is committed.
//! `UPDATE_CONTRACT=1 cargo test -p alter-server --test contract` writes them anew.

use std::path::PathBuf;

use alter_api::ErrorCode;
use serde_json::json;

fn compare(path: &str, made: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE_CONTRACT").is_some() {
        std::fs::write(&file, made).expect("the contract can be written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == made,
        "{path} is out of date: UPDATE_CONTRACT=1 cargo test -p alter-server --test contract"
    );
}

#[test]
fn the_openapi_document_is_the_committed_one() {
    let made = alter_server::openapi::document().to_pretty_json().expect("the document is JSON");
    compare("contract/openapi.json", &format!("{made}\n"));
}

#[test]
fn the_error_codes_are_the_committed_ones() {
    let codes: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|c| json!({ "error": c.as_str(), "status": c.status(), "meaning": c.meaning() }))
        .collect();
    let made = serde_json::to_string_pretty(&codes).expect("the table is JSON");
    compare("contract/error-codes.json", &format!("{made}\n"));
    let rows: String = ErrorCode::ALL
        .iter()
        .map(|c| format!("| `{}` | {} | {} |\n", c.as_str(), c.status(), c.meaning()))
        .collect();
    let page = format!(
        "# Error codes\n\nMade from the table in `crates/api/src/error.rs`. The body is `{{error, message, request_id, details?}}`.\n\n\
         | `error` | Status | Meaning |\n|---|---|---|\n{rows}"
    );
    compare("docs/reference/errors.md", &page);
}

#[test]
fn the_settings_page_is_the_default_file() {
    let text = include_str!("../../cli/src/config/default.toml");
    let page = format!(
        "# Settings\n\nThe file that `alter config` prints and the binary embeds: `crates/cli/src/config/default.toml`.\n\n```toml\n{text}```\n\n\
         `ALTER_CONFIG` names such a file. `ALTER_ROOT_KEY` holds the root key itself (base64) instead of a file.\n"
    );
    compare("docs/reference/settings.md", &page);
}
