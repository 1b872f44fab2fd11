//! `/openapi.json`: the contract of the routes that clients call. `contract/openapi.json` is this document, committed.
//!
//! A route's own part is in its `utoipa::path`: name, parameters, request, what success looks like. Here: who may call it
//! and what it refuses (`refusals`), and the examples (`examples`).

mod examples;
mod refusals;

use std::sync::LazyLock;

use axum::{
    http::{HeaderMap, header},
    response::Response,
};
use utoipa::{
    OpenApi,
    openapi::{
        path::Operation,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

use crate::{coding::StaticFile, routes};

/// What the security scheme says: the part that OpenAPI has no words for.
const SIGNED: &str = "The API key of an app (`alter_rk_...`) or of an agent (`alter_ak_...`) in `x-api-key`, and a \
    signature over the request in four more headers: `X-Alter-Timestamp` (Unix seconds), `X-Alter-Nonce` (32 lower-case \
    hexadecimal characters, fresh for every call), `X-Alter-Content-SHA256` (of the exact body) and `X-Alter-Signature`. \
    A generated client adds them in its own hook: docs/reference/signing.md says how, with an example that is tested.";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Alter Connect",
        description = "What an app's backend, its agents and the browser SDK call. Calls under `/sdk` are signed (docs/reference/signing.md). Every answer carries `X-Request-ID`; every error is an `ErrorBody`.",
        contact(name = "Alter Connect")
    ),
    servers((url = "/", description = "The server that serves this document, at its `ALTER_PUBLIC_URL`.")),
    tags(
        (name = "Sessions", description = "Let a user connect an account."),
        (name = "Tokens", description = "Use what the user connected."),
        (name = "Grants", description = "What was connected, and to which agents it is delegated."),
        (name = "Agents", description = "Those who act for users with less than the app's own key."),
        (name = "Agent keys", description = "What agents call with."),
        (name = "Users", description = "The app's users, as its identity provider knows them."),
        (name = "Providers", description = "What users can connect."),
        (name = "Browser", description = "What the browser SDK asks."),
        (name = "Health", description = "What probes ask."),
    ),
    paths(
        routes::sdk::session::create,
        routes::sdk::session::poll,
        routes::sdk::finalize::finalize,
        routes::sdk::token::retrieve,
        routes::sdk::report::api_call,
        routes::sdk::auth::verify_token,
        routes::sdk::auth_session::create,
        routes::sdk::auth_session::poll,
        routes::sdk::catalog::show,
        routes::sdk::grants::list,
        routes::sdk::grants::revoke,
        routes::sdk::grants::revoke_delegation,
        routes::sdk::grants::give_up_delegation,
        routes::sdk::agents::create,
        routes::sdk::agents::list,
        routes::sdk::agents::me,
        routes::sdk::agents::get,
        routes::sdk::agents::change,
        routes::sdk::agents::delete,
        routes::sdk::agent_keys::create,
        routes::sdk::agent_keys::list,
        routes::sdk::agent_keys::revoke,
        routes::sdk::agent_keys::deprecate,
        routes::sdk::agent_keys::undeprecate,
        routes::connect::status::status,
        routes::connect::result::result,
        routes::health::alive,
        routes::health::ready,
    ),
    components(schemas(alter_api::ErrorBody))
)]
struct Contract;

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Contract::openapi();
    let components = document.components.get_or_insert_default();
    let key = ApiKeyValue::with_description("x-api-key", SIGNED);
    components.add_security_scheme("signed", SecurityScheme::ApiKey(ApiKey::Header(key)));
    examples::of_errors(components);
    operations(&mut document).for_each(refusals::declare);
    examples::of_bodies(operations(&mut document));
    document
}

fn operations(document: &mut utoipa::openapi::OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|item| {
        [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
    })
}

static FILE: LazyLock<StaticFile> = LazyLock::new(|| {
    let json = document().to_json().expect("the document is JSON");
    StaticFile::made("application/json", json.into_bytes())
});

pub(crate) async fn show(asked: HeaderMap) -> Response {
    // The next version of the program may have another: ask again, by the tag.
    FILE.answer(&asked, &[(header::CACHE_CONTROL, "no-cache")])
}
