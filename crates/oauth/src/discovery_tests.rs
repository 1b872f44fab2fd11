//! Documents that belong to the issuer, and documents that belong to others.

use serde_json::json;

use super::*;

const ISSUER: &str = "https://a.example/t1";

fn discovered(changes: Value) -> Result<Discovered, DiscoveryError> {
    let mut document = json!({"issuer":ISSUER,"authorization_endpoint":"https://a.example/a",
        "token_endpoint":"https://tokens.example/t"});
    for (name, value) in changes.as_object().expect("an object") {
        document[name] = value.clone();
    }
    read(&document, ISSUER, &Url::parse(ISSUER).expect("a URL"))
}

#[test]
fn the_document_is_looked_for_where_the_standards_put_it() {
    for (issuer, openid, oauth) in [
        (
            "https://a.example",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example/",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example/t1",
            "https://a.example/t1/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server/t1",
        ),
    ] {
        let base = issuer_url(issuer).unwrap();
        assert_eq!((openid_location(&base).as_str(), oauth_location(&base).as_str()), (openid, oauth));
    }
    for bad in
        ["a.example", "ftp://a.example", "https://a.example?x", "https://a.example#x", "https://u@a.example"]
    {
        assert!(issuer_url(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_sparse_document_has_the_defaults_of_the_standard_and_shows_its_foreign_hosts() {
    let found = discovered(json!({})).unwrap();
    assert_eq!((found.client_auth, found.iss_parameter, found.pkce_s256), (ClientAuth::Basic, false, false));
    assert_eq!(found.foreign_hosts(), ["tokens.example"]);
}

#[test]
fn methods_and_algorithms_are_those_that_we_can_do() {
    let found = discovered(json!({"token_endpoint_auth_methods_supported":["private_key_jwt","client_secret_post"],
        "id_token_signing_alg_values_supported":["none","HS256","ES256","RS256"],
        "code_challenge_methods_supported":["plain","S256"],"authorization_response_iss_parameter_supported":true}))
    .unwrap();
    assert_eq!((found.client_auth, found.iss_parameter, found.pkce_s256), (ClientAuth::Post, true, true));
    assert_eq!(found.id_token_algs, Some(vec!["ES256".to_owned(), "RS256".to_owned()]));
    let refused = discovered(json!({"token_endpoint_auth_methods_supported":["private_key_jwt"]}));
    assert!(matches!(refused, Err(DiscoveryError::ClientAuth)));
    let refused = discovered(json!({"response_types_supported":["token"]}));
    assert!(matches!(refused, Err(DiscoveryError::NoCodeFlow)));
    let refused = discovered(json!({"require_pushed_authorization_requests":true}));
    assert!(matches!(refused, Err(DiscoveryError::PushedRequests)));
    assert!(discovered(json!({"require_pushed_authorization_requests":false})).is_ok());
}

#[test]
fn algorithms_that_are_not_named_are_the_default_and_ones_that_are_not_supported_are_named() {
    assert_eq!(discovered(json!({})).unwrap().id_token_algs, None);
    let named = |names| discovered(json!({ "id_token_signing_alg_values_supported": names }));
    assert_eq!(named(json!(["Ed25519"])).unwrap().id_token_algs, Some(vec!["Ed25519".to_owned()]));
    for (names, said) in [
        (json!(["HS256"]), "signs with HS256: not supported"),
        (json!(["ES512", "none"]), "signs with ES512, none: not supported"),
        (json!(["\u{1b}[31mHS256"]), "signs with [31mHS256: not supported"),
        (json!([]), "signs with no algorithm: not supported"),
    ] {
        let refused = named(names).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn the_address_of_the_metadata_is_no_issuer_and_the_error_says_what_is() {
    for suffix in ["openid-configuration", "oauth-authorization-server", "oauth-authorization-server/x"] {
        let refused = base_of(&format!("https://a.example/t1/.well-known/{suffix}")).unwrap_err().to_string();
        assert!(refused.ends_with("the issuer is \"https://a.example/t1\""), "{refused}");
    }
    assert!(base_of("https://a.example/well-known/t1").is_ok());
}

#[test]
fn t20_an_issuer_that_differs_in_one_character_is_refused() {
    for other in [
        "https://a.example/t1/",
        "https://A.example/t1",
        "https://a.example:443/t1",
        "http://a.example/t1",
        "",
    ] {
        let refused = discovered(json!({ "issuer": other }));
        assert!(matches!(refused, Err(DiscoveryError::IssuerMismatch { .. })), "{other}");
    }
}

#[test]
fn t20_an_endpoint_that_is_not_https_is_refused_required_or_not() {
    for bad in [
        json!("http://a.example/x"),
        json!("javascript:1"),
        json!("/x"),
        json!(7),
        json!("https://u@a.example/"),
        json!("https://a.example/#x"),
        json!(""),
    ] {
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "revocation_endpoint",
        ] {
            let refused = discovered(json!({ name: bad.clone() }));
            assert!(matches!(refused, Err(DiscoveryError::Endpoint(at)) if at == name), "{name} {bad}");
        }
    }
    assert!(matches!(discovered(json!({"token_endpoint":null})), Err(DiscoveryError::Endpoint(_))));
}
