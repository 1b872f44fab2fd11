//! These tests fail unless `docs/reference/catalog.md` names every field and shows every provider.

use std::{fmt::Write as _, path::PathBuf};

use alter_core::{BodyFormat, ClientAuth, IdentitySource, UserinfoMethod, recipe::FilledBy};
use alter_providers::{Catalog, Recipe};
use serde_json::Value;

const MARK: &str = "<!-- providers -->\n";

fn page() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/catalog.md");
    let text = std::fs::read_to_string(&path).expect("the page");
    (path, text)
}

fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).expect("JSON").as_str().expect("a word").to_owned()
}

/// How a provider differs from RFC 6749 with PKCE, Basic and an OpenID Connect account.
fn quirks(recipe: &Recipe) -> String {
    let scopes = recipe.scope_separator != " " || recipe.scope_parameter != "scope";
    let all = [
        (!recipe.pkce, "no PKCE"),
        (recipe.client_auth == ClientAuth::Post, "secret in the body"),
        (recipe.token_body == BodyFormat::Json, "JSON token request"),
        (scopes, "scopes asked for in its own way"),
        (recipe.scopes.is_empty(), "no scopes"),
        (recipe.token != Default::default(), "token answer of its own shape"),
        (recipe.identity.from == IdentitySource::TokenResponse, "account in the token answer"),
        (recipe.userinfo.method == UserinfoMethod::Post, "account by POST"),
        (recipe.userinfo.method == UserinfoMethod::Introspect, "account by introspection"),
        (recipe.issuer_template.is_some(), "issuer per tenant"),
        (recipe.parameters.values().any(|one| one.by == FilledBy::Operator), "host per configuration"),
        (recipe.parameters.values().any(|one| one.by == FilledBy::Customer), "host per customer"),
        (!recipe.names.is_standard(), "parameters of other names"),
        (!recipe.api_headers.is_empty(), "another header on calls"),
        (!recipe.metadata.is_empty() || !recipe.callback.metadata.is_empty(), "facts beside the token"),
        (recipe.identity.from == IdentitySource::None, "no account"),
        (recipe.api_hosts.iter().any(|host| host.starts_with('.')), "API host per customer"),
        (recipe.api_auth != Default::default(), "token in a header of its own"),
        (recipe.revoke.is_some(), "revocation of its own shape"),
        (recipe.revocation().is_none(), "no revocation"),
        (recipe.refresh.rotates == Some(true), "refresh tokens rotate"),
        (recipe.refresh.url.is_some(), "refreshed elsewhere"),
    ];
    all.iter().filter(|(holds, _)| *holds).map(|(_, words)| *words).collect::<Vec<_>>().join(", ")
}

fn table() -> String {
    let mut text = "\n| Id | Name | Facts | Quirks | Source |\n|---|---|---|---|---|\n".to_owned();
    for recipe in Catalog::builtin().iter() {
        let day = recipe.checked.as_deref().unwrap_or_default();
        let (status, quirks, source) = (word(&recipe.status), quirks(recipe), &recipe.source[0]);
        writeln!(text, "| `{}` | {} | {status} {day} | {quirks} | <{source}> |", recipe.id, recipe.name)
            .expect("a string takes it");
    }
    text
}

#[test]
fn the_table_of_providers_is_the_files_own() {
    let (path, text) = page();
    let (head, shown) = text.split_once(MARK).expect("the mark");
    let made = table();
    if std::env::var_os("UPDATE_CONTRACT").is_some() {
        std::fs::write(&path, format!("{head}{MARK}{made}")).expect("the page can be written");
        return;
    }
    assert!(shown == made, "out of date: UPDATE_CONTRACT=1 cargo test -p alter-providers --test page");
}

/// Every key of a recipe and of its tables, whatever their values.
fn keys(value: &Value, found: &mut Vec<String>) {
    for (name, inner) in value.as_object().into_iter().flatten() {
        found.push(name.clone());
        let open = [
            "scopes",
            "verified",
            "parameters",
            "authorize_params",
            "token_params",
            "token_headers",
            "api_headers",
            "metadata",
            "headers",
            "params",
            "aliases",
        ];
        if !open.contains(&name.as_str()) {
            keys(inner, found);
        }
    }
}

#[test]
fn every_field_is_on_the_page() {
    let (_, text) = page();
    let mut found = Vec::new();
    for recipe in Catalog::builtin().iter() {
        keys(&serde_json::to_value(recipe).expect("JSON"), &mut found);
        recipe.scopes.values().for_each(|s| keys(&serde_json::to_value(s).expect("JSON"), &mut found));
    }
    assert!(found.contains(&"token_field".to_owned()), "positive control: a [revoke] was looked at");
    for name in found {
        let named = [format!("`{name}`"), format!("{{ {name},"), format!(" {name},"), format!("{name} = [")];
        assert!(named.iter().any(|form| text.contains(form)), "{name} is not described");
    }
}
