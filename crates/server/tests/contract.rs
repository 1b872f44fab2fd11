//! The wire contract is a set of reviewed files: the files that the code generates must equal the committed ones.
//! `UPDATE_CONTRACT=1 cargo test -p alter-server --test contract` writes them anew.

use std::path::PathBuf;

use alter_api::ErrorCode;
use alter_core::{Cause, Failure};
use alter_flows::Names;
use alter_server::{
    failure::{FailurePage, told},
    for_people::message,
};
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

const FAILURES: &str = "# Failed flows

Made from the tables in `crates/core/src/cause.rs` and `crates/server/src/failure.rs`: every way in which a flow can end
without a connection, whose fault it is, who does what next, and what each side is told.

The browser SDK's `onError` gets `code`, `message` and `details`: `reason` is the first column, a word of ours that keeps
its meaning; `provider_error` is the error code that the provider sent, cleaned to `[a-z0-9_.-]` and 64 characters
(`unknown_error` when nothing of it is left), and absent when the provider sent none; `provider_status` is the HTTP status of
its token endpoint, where that is all there is; `provider_message` is what the provider said in its own words, in one line of
at most 200 characters, in which what looks like a secret is `[...]`; `provider` and `request_id` are what they say. Decide by `code` and
`reason`: what a provider sends never chooses between two rows of ours. `message` of a row is for the person in front of the
page (the last column, here of the provider Acme and the app My App); show it as it is. The poll gets `error_code`, and
`error_message` for the backend's developer: the second and the fourth column, with the code that the provider sent. The
audit entry (`connect_failed`, or `browser_mismatch` for `other_browser`) keeps `reason`, `provider_error`,
`provider_status` and `provider`.

Final: the same request cannot succeed until somebody has changed something.

Other ends are no failure of an attempt, and have no row:

- The session's time ran out: `session_expired` with the reason `expired` (the poll: `expired`). Another flow has opened the
  session: `session_expired` with the reason `used` or `other_browser` (the poll tells of that other flow). These messages are
  for people too.
- The token is malformed or unknown: `invalid_token` (the poll: 404 `invalid_token`). The app's page is at another origin than
  the session's: `binding_failed` with `page_origin` and `allowed_origin`. These messages are for developers.
- What only the SDK sees (`popup_blocked`, `token_error`, `network_error`, `binding_failed` with the reason `form_action`) has
  messages of the SDK's own, for developers: [its README](../../sdk/browser/README.md) has the codes.
- The user or the app has left: `onExit` (the poll: `error` with `connect_denied`).

| `details.reason` | What happened | Fault | What to do | Final | SDK `code` | Poll `error_code` | Page | SDK `message` |
|---|---|---|---|---|---|---|---|---|
";

#[test]
fn the_failures_page_is_made_of_the_tables() {
    let rows: String = Cause::one_of_each().iter().map(failure_row).collect();
    compare("docs/reference/failures.md", &format!("{FAILURES}{rows}"));
}

fn failure_row(cause: &Cause) -> String {
    let told = told(cause);
    let page = match told.page {
        FailurePage::Denied => "`Denied`".to_owned(),
        FailurePage::Error(words) => format!("`{words:?}`"),
    };
    let sentence = told.sentence_of(None, "");
    let is_final = if cause.is_final() { "yes" } else { "no" };
    let names = Names { app: "My App".into(), provider: Some("Acme".into()) };
    let failure =
        Failure { cause: cause.clone(), provider: Some("acme".into()), request_id: None, said: None };
    let message = message(&failure, &names);
    format!(
        "| `{cause}` | {sentence} | {fault} | {mend} | {is_final} | `{sdk}` | `{poll}` | {page} | {message} |\n",
        cause = cause.as_str(),
        fault = cause.fault().as_str(),
        mend = told.mend,
        sdk = told.sdk,
        poll = told.poll,
    )
}

/// What the default file does not say.
const OF_SETTINGS: &str = "\
`ALTER_CONFIG` names such a file. `ALTER_ROOT_KEY` holds the root key itself (base64) instead of a file.

Four settings are flags too, and win over everything: `--config FILE`, `--data-dir DIR` and `--public-url URL` of every
command, `--listen ADDRESS:PORT` of `alter serve`.

`alter serve` leaves `public_url`, `egress_allow` and the name of its database (never a password) in `served.json` in the
data directory. A command that was not given the first two takes them from there. A command that was not told of a database
is refused when the server's is another one. Where no server has run, and nobody has named the public URL, callback URLs
are not known, and none is printed.

Every command that reads settings refuses a variable `ALTER_...` that is no setting, and names the nearest one (exit status 2). Let through are
`ALTER_API_KEY` and `ALTER_BASE_URL`, which clients of the server read, and what Kubernetes tells a container of a service
`alter` or `alter-...` (`ALTER_PORT=tcp://...`, `ALTER_SERVICE_HOST`, `ALTER_PORT_8700_TCP_ADDR`).

`ALTER_LOG` takes one level for everything and further ones per module: `info,alter_flows=debug,hyper=warn`. Without a
level for everything that level is `info`. A word that is neither is refused; nothing switches errors off.
";

#[test]
fn the_settings_page_is_the_default_file() {
    let text = include_str!("../../cli/src/config/default.toml");
    let page = format!(
        "# Settings\n\nThe file that `alter config` prints and the binary embeds: `crates/cli/src/config/default.toml`.\n\n```toml\n{text}```\n\n{OF_SETTINGS}"
    );
    compare("docs/reference/settings.md", &page);
}
