//! Checks what a recipe adds to the standards' requests: extra parameters, headers, bodies, revocations.

use alter_core::recipe::{ClientAuth, Names, Recipe, RevokeAuth, UserinfoMethod};

use crate::findings::{Findings, is_name, is_ours, is_parameter};
use crate::urls::endpoint;
use crate::validate::NOT_A_PARAMETER;

/// Headers that a recipe must not set: our client or the connection sets them.
const OWN_HEADERS: [&str; 12] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// What is wrong with a header's value.
const NOT_A_VALUE: &str = "must be printable ASCII and must not contain `{token}`";

/// How many further headers a call may have: clients take no more (wire 3.3).
const API_HEADERS_MAX: usize = 10;

fn is_header_value(value: &str) -> bool {
    value.bytes().all(|b| (0x20..0x7f).contains(&b)) && !value.contains("{token}")
}

/// Checks the further headers of calls. They go out with a released token, so clients must accept them (wire 3.3).
fn api_headers(recipe: &Recipe, found: &mut Findings) {
    let few = recipe.api_headers.len() <= API_HEADERS_MAX;
    found.need("api_headers", few, "has more than 10 headers");
    for (name, value) in &recipe.api_headers {
        let (field, lower) = (format!("api_headers.{name}"), name.to_ascii_lowercase());
        let shape = name.len() <= 50
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let once = recipe.api_headers.keys().filter(|other| other.eq_ignore_ascii_case(name)).count() == 1;
        let free = !OWN_HEADERS.contains(&lower.as_str()) && lower != recipe.api_auth.header.to_lowercase();
        found.need(&field, shape && once && free, "must be one of the provider's own headers, named once");
        found.need(&field, is_header_value(value) && !value.trim().is_empty(), NOT_A_VALUE);
    }
}

/// Checks the names of our own parameters: one parameter for each.
fn names(recipe: &Recipe, found: &mut Findings) {
    let names = &recipe.names;
    let (id, secret, code) = (&names.client_id, &names.client_secret, &names.code);
    let standard = Recipe { names: Names::default(), ..recipe.clone() };
    for (field, name, own) in [
        ("names.client_id", id, "client_id"),
        ("names.client_secret", secret, "client_secret"),
        ("names.code", code, "code"),
    ] {
        let taken = name != own && is_ours(&standard, name);
        found.need(field, is_parameter(name) && !taken, "is not a free parameter name");
    }
    let apart = id != secret && id != code && secret != code;
    found.need("names", apart, "uses one name for two parameters");
}

/// Checks the extra parameters, headers and bodies.
pub(crate) fn requests(recipe: &Recipe, found: &mut Findings) {
    for (name, value) in &recipe.token_params {
        let field = format!("token_params.{name}");
        found.need(&field, !is_ours(recipe, name), "is set by the flow itself; remove it");
        found.need(&field, is_parameter(name), NOT_A_PARAMETER);
        found.need(&field, !value.chars().any(char::is_control), "must not contain control characters");
    }
    for (table, headers) in
        [("userinfo.headers", &recipe.userinfo.headers), ("token_headers", &recipe.token_headers)]
    {
        for (name, value) in headers {
            let field = format!("{table}.{name}");
            let free = is_name(name)
                && !name.bytes().any(|b| b.is_ascii_uppercase())
                && !OWN_HEADERS.contains(&name.as_str());
            found.need(&field, free, "must be one of the provider's own headers, in lower case");
            found.need(&field, is_header_value(value), NOT_A_VALUE);
        }
    }
    api_headers(recipe, found);
    names(recipe, found);
    let body_fits = recipe.userinfo.body.is_none() || recipe.userinfo.method == UserinfoMethod::Post;
    found.need("userinfo.body", body_fits, "is sent only with `method = \"post\"`");
    introspection(recipe, found);
    let auth = &recipe.api_auth;
    let lower = auth.header.to_ascii_lowercase();
    let header_fits =
        is_name(&auth.header) && (lower == "authorization" || !OWN_HEADERS.contains(&lower.as_str()));
    found.need(
        "api_auth.header",
        header_fits,
        "must be a header that can carry a token, like `Authorization`",
    );
    let format_fits =
        auth.format.matches("{token}").count() == 1 && auth.format.bytes().all(|b| (0x20..0x7f).contains(&b));
    found.need("api_auth.format", format_fits, "must contain `{token}` once, like `Bearer {token}`");
    let urls = [&recipe.authorize_url, &recipe.token_url]
        .into_iter()
        .chain(&recipe.userinfo_url)
        .chain(&recipe.revoke_url);
    let in_url = urls.chain(recipe.revoke.iter().map(|r| &r.url)).any(|url| url.contains("{token}"));
    found.need("api_auth", !in_url, "must not put the token into a URL: logs keep URLs");
}

fn introspection(recipe: &Recipe, found: &mut Findings) {
    let request = &recipe.userinfo;
    if request.method != UserinfoMethod::Introspect {
        found.need(
            "userinfo.token_fields",
            request.token_fields.is_empty(),
            "need `method = \"introspect\"`",
        );
        return;
    }
    found.need("userinfo.headers", request.headers.is_empty(), "are not sent with `method = \"introspect\"`");
    let proves_itself = recipe.client_auth != ClientAuth::None;
    found.need(
        "userinfo.method",
        proves_itself,
        "`introspect` needs a client with a secret: `client_auth` is `none`",
    );
    let ours = ["client_id", "client_secret", "token_type_hint"];
    let own = [&recipe.names.client_id, &recipe.names.client_secret];
    for (index, name) in request.token_fields.iter().enumerate() {
        let once = request.token_fields.iter().filter(|other| *other == name).count() == 1;
        let free = is_parameter(name) && !ours.contains(&name.as_str()) && !own.contains(&name) && once;
        found.need(&format!("userinfo.token_fields[{index}]"), free, "is not a free parameter name");
    }
}

pub(crate) fn revocation(recipe: &Recipe, found: &mut Findings) {
    let Some(revoke) = &recipe.revoke else { return };
    found.need("revoke", recipe.revoke_url.is_none(), "repeats `revoke_url`; keep one of the two");
    found.check("revoke.url", endpoint(&with_client(&revoke.url)).map(drop));
    // Only Basic keeps our client's id out of the body.
    let sends_client_id = revoke.auth == RevokeAuth::Client
        && revoke.client_auth.unwrap_or(recipe.client_auth) != ClientAuth::Basic;
    let Names { client_id, client_secret, .. } = &recipe.names;
    let proves_us = |name: &String| {
        name == "client_secret"
            || name == client_secret
            || sends_client_id && (name == "client_id" || name == client_id)
    };
    let named = revoke.token_field.is_empty() || is_parameter(&revoke.token_field);
    found.need(
        "revoke.token_field",
        named && !proves_us(&revoke.token_field),
        "is not a free parameter name",
    );
    for (name, value) in &revoke.params {
        let taken = revoke.token_field == *name || proves_us(name);
        found.need(
            &format!("revoke.params.{name}"),
            is_parameter(name) && !taken,
            "is not a free parameter name",
        );
        let rest = value.replace("{client_id}", "").replace("{subject}", "");
        let plain = !rest.contains(['{', '}']) && !rest.chars().any(char::is_control);
        found.need(&format!("revoke.params.{name}"), plain, "may hold only `{client_id}` and `{subject}`");
    }
    let names_it =
        !revoke.token_field.is_empty() || revoke.auth == RevokeAuth::Token || !revoke.params.is_empty();
    found.need("revoke.token_field", names_it, "is needed: nothing else says which token to end");
}

/// Returns the URL with a client id in place of `{client_id}`: in the path, never in the host.
pub(crate) fn with_client(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match rest.split_once('/') {
        Some((host, path)) => format!("{scheme}://{host}/{}", path.replacen("{client_id}", "c", 1)),
        None => url.to_owned(),
    }
}
