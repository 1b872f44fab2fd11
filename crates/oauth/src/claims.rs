//! The claims of an id_token whose signature holds: every check of OpenID Connect Core section 3.1.3.7, and those of
//! RFC 9700. Time is an argument; one minute of skew is allowed in either direction.

use alter_core::{Micros, Recipe, secret};
use serde_json::Value;

/// Seconds by which the provider's clock and ours may differ.
const SKEW_S: f64 = 60.0;

/// Maximum length of a subject, in characters (OpenID Connect Core section 2: 255 ASCII characters).
const SUBJECT_MAX: usize = 255;

/// The placeholder for the tenant in an issuer template.
const TENANT: &str = "{tenant}";

/// The claim that is wrong or missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadClaim {
    /// `iss` is not the provider's issuer.
    #[error("iss is missing or another issuer's")]
    Iss,
    /// There is no subject, or it is longer than 255 characters.
    #[error("sub is missing or unusable")]
    Sub,
    /// The token is not for our client, or also for others that are not trusted.
    #[error(
        "aud is missing, another client's, or names others besides us, which neither azp nor trusted_audiences allows"
    )]
    Aud,
    /// The token was issued to another client.
    #[error("azp is another client's")]
    Azp,
    /// The token expired more than a minute ago, or does not say when it expires.
    #[error("exp is missing or past")]
    Exp,
    /// The token has no date, or is dated more than a minute in the future.
    #[error("iat is missing or in the future")]
    Iat,
    /// The token is not valid for more than another minute.
    #[error("nbf is malformed or in the future")]
    Nbf,
    /// The token belongs to another flow.
    #[error("nonce is missing or another flow's")]
    Nonce,
    /// The token belongs to another access token.
    #[error("at_hash does not match the access token")]
    AtHash,
}

/// What the claims must match.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) now: Micros,
}

/// Makes all checks except `at_hash`, which needs the algorithm.
pub(crate) fn check(claims: &Value, expected: &Expected<'_>) -> Result<(), BadClaim> {
    ensure(is_issuer(claims, expected.recipe), BadClaim::Iss)?;
    let subject = text(claims, "sub").is_some_and(|sub| (1..=SUBJECT_MAX).contains(&sub.chars().count()));
    ensure(subject, BadClaim::Sub)?;
    ensure(is_audience(claims, expected), BadClaim::Aud)?;
    ensure(claims.get("azp").is_none_or(|azp| azp == expected.client_id), BadClaim::Azp)?;
    check_time(claims, expected.now)?;
    let nonce = text(claims, "nonce").unwrap_or_default();
    let same = secret::same(nonce.as_bytes(), expected.nonce.as_bytes());
    // An empty expected nonce is our own fault, and an empty claim must not match it.
    ensure(same && !expected.nonce.is_empty(), BadClaim::Nonce)
}

fn ensure(holds: bool, otherwise: BadClaim) -> Result<(), BadClaim> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn text<'a>(claims: &'a Value, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// Whether `iss` is the recipe's issuer. A template, if the recipe has one, replaces the issuer (Microsoft Entra has
/// one issuer per tenant).
fn is_issuer(claims: &Value, recipe: &Recipe) -> bool {
    let Some(iss) = text(claims, "iss") else { return false };
    match &recipe.issuer_template {
        Some(template) => {
            let tenant = text(claims, "tid").filter(|tenant| is_tenant(tenant));
            tenant.is_some_and(|tenant| template.contains(TENANT) && template.replace(TENANT, tenant) == iss)
        }
        None => recipe.is_issuer(iss),
    }
}

fn is_tenant(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Whether an issuer is the template with some tenant in place of the placeholder.
pub(crate) fn fits_template(template: &str, issuer: &str) -> bool {
    let Some((before, after)) = template.split_once(TENANT) else { return false };
    let tenant = issuer.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    tenant.is_some_and(is_tenant)
}

/// Whether the token is for our client. It may be for others too (ZITADEL, Oracle) if they are trusted, or if `azp` says
/// that our client is the one that asked for it (OpenID Connect Core section 3.1.3.7).
fn is_audience(claims: &Value, expected: &Expected<'_>) -> bool {
    let ours = |one: &Value| one == expected.client_id;
    let trusted = |one: &Value| expected.recipe.trusted_audiences.iter().any(|known| one == known);
    match claims.get("aud") {
        Some(Value::Array(all)) => {
            let asked = claims.get("azp").is_some_and(ours);
            all.iter().any(ours)
                && all.iter().all(|one| ours(one) || trusted(one) || (asked && one.is_string()))
        }
        Some(one) => ours(one),
        None => false,
    }
}

fn check_time(claims: &Value, now: Micros) -> Result<(), BadClaim> {
    // Seconds of this millennium are exact in an f64; claims may have fractions (RFC 7519 section 2).
    let now = now.as_seconds() as f64;
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
    ensure(seconds("exp").is_some_and(|exp| now - SKEW_S < exp), BadClaim::Exp)?;
    ensure(seconds("iat").is_some_and(|iat| iat <= now + SKEW_S), BadClaim::Iat)?;
    ensure(
        claims.get("nbf").is_none() || seconds("nbf").is_some_and(|nbf| nbf <= now + SKEW_S),
        BadClaim::Nbf,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strict_json;

    const NOW: i64 = 1_800_000_000;

    fn recipe(issuer: Value, template: Value) -> Recipe {
        serde_json::from_value(json!({"id":"a","name":"A","authorize_url":"https://a.example/a",
            "token_url":"https://a.example/t","issuer":issuer,"issuer_template":template}))
        .expect("a recipe")
    }

    fn good() -> Value {
        json!({"iss":"https://a.example","sub":"s","aud":"c","exp":NOW + 300,"iat":NOW,"nonce":"n"})
    }

    fn judge(recipe: &Recipe, claims: &Value) -> Result<(), BadClaim> {
        check(claims, &Expected { recipe, client_id: "c", nonce: "n", now: Micros(NOW * 1_000_000) })
    }

    fn with(changes: Value) -> Result<(), BadClaim> {
        let mut claims = good();
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        // As a token's claims are read.
        let claims = strict_json::parse(claims.to_string().as_bytes()).expect("claims");
        judge(&recipe(json!("https://a.example"), Value::Null), &claims)
    }

    #[test]
    fn what_the_standard_allows_is_accepted() {
        for changes in [
            json!({}),
            json!({"aud":["c"]}),
            json!({"azp":"c"}),
            json!({"azp":null,"nbf":null}),
            json!({"aud":["c","246813579@project"],"azp":"c"}),
            json!({"exp":NOW - 59}),
            json!({"iat":NOW + 60, "nbf":NOW + 60}),
            json!({"iat":1.5e9, "exp":1.9e9}),
            json!({"sub":"x".repeat(255)}),
            json!({"unknown":{"a":1}}),
        ] {
            assert_eq!(with(changes.clone()), Ok(()), "{changes}");
        }
    }

    #[test]
    fn t24_every_claim_that_is_wrong_or_of_another_type_is_named() {
        for (changes, why) in [
            (json!({"iss":"https://a.example/"}), BadClaim::Iss),
            (json!({"iss":["https://a.example"]}), BadClaim::Iss),
            (json!({"sub":""}), BadClaim::Sub),
            (json!({"sub":7}), BadClaim::Sub),
            (json!({"sub":"x".repeat(256)}), BadClaim::Sub),
            (json!({"aud":"C"}), BadClaim::Aud),
            (json!({"aud":[]}), BadClaim::Aud),
            (json!({"aud":["c","d"]}), BadClaim::Aud),
            (json!({"aud":["c","d"],"azp":"d"}), BadClaim::Aud),
            (json!({"aud":["d"],"azp":"c"}), BadClaim::Aud),
            (json!({"aud":["c",7],"azp":"c"}), BadClaim::Aud),
            (json!({"aud":null}), BadClaim::Aud),
            (json!({"aud":["c",7]}), BadClaim::Aud),
            (json!({"azp":"d"}), BadClaim::Azp),
            (json!({"exp":NOW - 60}), BadClaim::Exp),
            (json!({"exp":(NOW + 300).to_string()}), BadClaim::Exp),
            (json!({"iat":NOW + 61}), BadClaim::Iat),
            (json!({"iat":"0"}), BadClaim::Iat),
            (json!({"nbf":NOW + 61}), BadClaim::Nbf),
            (json!({"nbf":"0"}), BadClaim::Nbf),
            (json!({"nonce":"m"}), BadClaim::Nonce),
            (json!({"nonce":""}), BadClaim::Nonce),
            (json!({"nonce":["n"]}), BadClaim::Nonce),
        ] {
            assert_eq!(with(changes.clone()), Err(why), "{changes}");
        }
    }

    #[test]
    fn t24_other_audiences_are_those_that_the_operator_trusts() {
        let mut recipe = recipe(json!("https://a.example"), Value::Null);
        recipe.trusted_audiences = vec!["https://id.example".into()];
        let ask = |aud: Value| {
            let mut claims = good();
            claims["aud"] = aud;
            judge(&recipe, &claims)
        };
        assert_eq!(ask(json!(["https://id.example", "c"])), Ok(()));
        assert_eq!(ask(json!(["https://id.example"])), Err(BadClaim::Aud));
        assert_eq!(ask(json!("https://id.example")), Err(BadClaim::Aud));
        assert_eq!(ask(json!(["https://id.example", "c", "d"])), Err(BadClaim::Aud));
    }

    #[test]
    fn an_empty_expected_nonce_is_met_by_nothing() {
        let recipe = recipe(json!("https://a.example"), Value::Null);
        let claims = {
            let mut claims = good();
            claims["nonce"] = "".into();
            claims
        };
        let expected = Expected { recipe: &recipe, client_id: "c", nonce: "", now: Micros(NOW * 1_000_000) };
        assert_eq!(check(&claims, &expected), Err(BadClaim::Nonce));
    }

    #[test]
    fn an_issuer_per_tenant_is_that_of_the_tokens_tenant() {
        let recipe = recipe(json!("https://ignored.example"), json!("https://l.example/{tenant}/v2.0"));
        let ask = |iss: &str, tid: Value| {
            let mut claims = good();
            claims["iss"] = iss.into();
            claims["tid"] = tid;
            judge(&recipe, &claims)
        };
        assert_eq!(ask("https://l.example/8a-1/v2.0", json!("8a-1")), Ok(()));
        for (iss, tid) in [
            ("https://l.example/8a-1/v2.0", json!("8a-2")),
            ("https://l.example/8a-1/v2.0", Value::Null),
            ("https://l.example/a/b/v2.0", json!("a/b")),
            ("https://l.example//v2.0", json!("")),
            ("https://l.example/{tenant}/v2.0", json!("{tenant}")),
            ("https://ignored.example", json!("8a-1")),
        ] {
            assert_eq!(ask(iss, tid.clone()), Err(BadClaim::Iss), "{iss} {tid}");
        }
    }

    #[test]
    fn t24_another_spelling_of_the_issuer_is_one_that_the_recipe_names() {
        let mut recipe = recipe(json!("https://a.example"), Value::Null);
        let ask = |recipe: &Recipe| {
            let mut claims = good();
            claims["iss"] = "a.example".into();
            judge(recipe, &claims)
        };
        assert_eq!(ask(&recipe), Err(BadClaim::Iss));
        recipe.issuer_aliases = vec!["a.example".into()];
        assert_eq!(ask(&recipe), Ok(()));
    }

    #[test]
    fn a_template_without_a_place_for_the_tenant_fits_nothing() {
        let recipe = recipe(Value::Null, json!("https://a.example"));
        let mut claims = good();
        claims["tid"] = "8a-1".into();
        assert_eq!(judge(&recipe, &claims), Err(BadClaim::Iss));
        assert!(!fits_template("https://a.example", "https://a.example"));
    }

    #[test]
    fn no_configured_issuer_accepts_no_token() {
        assert_eq!(judge(&recipe(Value::Null, Value::Null), &good()), Err(BadClaim::Iss));
    }
}
