//! Applies every recipe to a token response copied from the provider's documentation (`replay/<id>.json`): the paths in
//! the recipe must lead to what a reader of the documentation would expect. The OAuth client replays the same files.

use alter_core::IdentitySource;
use alter_providers::{Catalog, Recipe};
use serde_json::Value;

fn sample(id: &str) -> Value {
    let path = format!("{}/tests/replay/{id}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A string, or a number written out.
fn text(document: &Value, path: &str) -> Option<String> {
    match document.pointer(path)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn first(document: &Value, paths: &[String]) -> Option<String> {
    paths.iter().find_map(|path| text(document, path))
}

fn failure(recipe: &Recipe, body: &Value) -> Option<String> {
    let flag = recipe.token.ok.as_deref().and_then(|path| body.pointer(path));
    let error = text(body, &recipe.token.error);
    match flag {
        Some(Value::Bool(true)) => None,
        Some(_) => error.or(Some("unnamed".into())),
        None => error,
    }
}

fn each(check: impl Fn(&Recipe, &Value)) {
    for recipe in Catalog::builtin().iter() {
        check(recipe, &sample(&recipe.id));
    }
}

#[test]
fn the_recipe_finds_the_tokens_where_the_documentation_shows_them() {
    each(|recipe, sample| {
        let (body, expect) = (&sample["token_response"]["body"], &sample["expect"]);
        assert_eq!(failure(recipe, body), None, "{}", recipe.id);
        for (path, field) in [
            (&recipe.token.access_token, "/access_token"),
            (&recipe.token.refresh_token, "/refresh_token"),
            (&recipe.token.expires_in, "/expires_in"),
        ] {
            assert_eq!(text(body, path), text(expect, field), "{}: {path}", recipe.id);
        }
        // An answer that names no scopes granted what was asked for.
        let split: Option<Vec<&str>> = match body.pointer(&recipe.token.scope) {
            Some(Value::String(scopes)) => {
                let delimiter = |letter| recipe.granted_scope_delimiters.contains(letter);
                Some(scopes.split(delimiter).filter(|scope| !scope.is_empty()).collect())
            }
            Some(Value::Array(scopes)) => Some(scopes.iter().filter_map(Value::as_str).collect()),
            _ => None,
        };
        assert_eq!(serde_json::json!(split), expect["scopes"], "{}", recipe.id);
    });
}

#[test]
fn the_recipe_finds_the_account_where_the_documentation_shows_it() {
    each(|recipe, sample| {
        let claims = sample.get("id_token_claims");
        let document = match recipe.identity.from {
            // Nobody is told who connected.
            IdentitySource::None => {
                return assert_eq!(sample["expect"].get("subject"), None, "{}", recipe.id);
            }
            IdentitySource::TokenResponse => sample.pointer("/token_response/body"),
            _ => claims.or_else(|| sample.pointer("/userinfo/body")),
        };
        let document = document.expect("the document that the recipe names");
        assert_eq!(claims.is_some(), recipe.jwks_url.is_some(), "{}: who signs is who is asked", recipe.id);
        let expect = &sample["expect"];
        let within = recipe.identity.subject_within.iter().chain([&recipe.identity.subject]);
        let subject: Option<Vec<String>> = within.map(|path| text(document, path)).collect();
        assert_eq!(subject.map(|parts| parts.join("/")), text(expect, "/subject"), "{}", recipe.id);
        assert_eq!(first(document, &recipe.identity.account), text(expect, "/account"), "{}", recipe.id);
        assert_eq!(
            first(document, &recipe.identity.display_name),
            text(expect, "/display_name"),
            "{}",
            recipe.id
        );
    });
}

#[test]
fn the_recipe_sees_the_failures_of_the_documentation_for_what_they_are() {
    each(|recipe, sample| {
        let errors = sample["errors"].as_array().expect("a list");
        assert!(!errors.is_empty(), "{}", recipe.id);
        for error in errors {
            let expected = text(error, "/expect/error");
            assert!(
                expected.is_some() && failure(recipe, &error["body"]) == expected,
                "{}: {error}",
                recipe.id
            );
            assert_eq!(text(&error["body"], &recipe.token.access_token), None, "{}", recipe.id);
        }
    });
}

#[test]
fn an_issuer_of_the_samples_is_the_recipes_own() {
    each(|recipe, sample| {
        let Some(claims) = sample.get("id_token_claims") else { return };
        let tenant = text(claims, "/tid").unwrap_or_default();
        let template = recipe.issuer_template.as_ref().map(|template| template.replace("{tenant}", &tenant));
        assert_eq!(template.or_else(|| recipe.issuer.clone()), text(claims, "/iss"), "{}", recipe.id);
    });
}

#[test]
fn every_sample_says_where_it_was_copied_from() {
    each(|recipe, sample| {
        let sources = sample["source"].as_array().expect("a list");
        assert!(
            !sources.is_empty() && sources.iter().all(|source| source.as_str().is_some()),
            "{}",
            recipe.id
        );
    });
}
