//! Responses that can be read in only one way, and those that cannot.

use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;

const S: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn refused(query: &str) -> BadCallback {
    parse_callback(query).expect_err(query)
}

/// Why a response whose state is known is not read.
fn unreadable(query: &str) -> BadCallback {
    match parse_callback(query).expect(query).outcome {
        CallbackOutcome::Unreadable(why) => why,
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn a_code_and_its_state_are_read_as_they_came() {
    let callback =
        parse_callback(&format!("code=4%2F0Ab%20c&state={S}&scope=x&iss=https%3A%2F%2Fa.example")).unwrap();
    assert_eq!(callback.state, S);
    assert_eq!(callback.iss.as_deref(), Some("https://a.example"));
    let CallbackOutcome::Code(code) = &callback.outcome else { panic!("no code") };
    assert_eq!(code.expose_secret(), "4/0Ab c");
    let shown = format!("{callback:?}");
    assert!(!shown.contains("4/0Ab") && !shown.contains(S), "{shown}");
}

#[test]
fn a_denial_is_told_from_a_failure_and_the_description_is_not_read() {
    for (error, denied) in [
        ("access_denied", true),
        // Salesforce's documentation spells it like this.
        ("access-denied", true),
        ("user_cancelled_login", true),
        ("user_cancelled_authorize", true),
        ("Access_Denied", false),
        ("server_error", false),
        ("login_required", false),
    ] {
        let query = format!("error={error}&error_description=%3Cscript%3E&error_description=twice&state={S}");
        match parse_callback(&query).unwrap().outcome {
            CallbackOutcome::Error(Cause::Denied) => assert!(denied, "{error}"),
            CallbackOutcome::Error(cause) => {
                assert!(!denied, "{error}");
                assert_eq!(cause.provider_code().unwrap().as_str(), error.to_ascii_lowercase());
            }
            other => panic!("{error}: {other:?}"),
        }
    }
}

#[test]
fn a_provider_that_cannot_answer_now_has_not_refused() {
    for (error, later) in
        [("temporarily_unavailable", true), ("server_error", true), ("login_required", false)]
    {
        match parse_callback(&format!("error={error}&state={S}")).unwrap().outcome {
            CallbackOutcome::Error(Cause::ProviderUnavailable(_)) => assert!(later, "{error}"),
            CallbackOutcome::Error(Cause::ProviderRefused(_)) => assert!(!later, "{error}"),
            other => panic!("{error} {other:?}"),
        }
    }
}

#[test]
fn t16_a_state_that_is_missing_doubled_listed_long_or_of_another_shape_is_refused() {
    for query in [
        "code=c".to_owned(),
        "code=c&state=".to_owned(),
        format!("code=c&State={S}"),
        format!("code=c&STATE={S}"),
        format!("code=c&state[]={S}"),
        format!("code=c&state%5B%5D={S}"),
        format!("code=c&state={S}A"),
        format!("code=c&state={}", &S[1..]),
        format!("code=c&state={}%2B", &S[1..]),
        format!("code=c&state={}%00", &S[1..]),
        format!("code=c;state={S}"),
        String::new(),
    ] {
        assert_eq!(refused(&query), BadCallback::State, "{query}");
    }
    for query in [format!("code=c&state={S}&state={S}"), format!("code=c&state=&state={S}")] {
        assert_eq!(refused(&query), BadCallback::Duplicate("state"), "{query}");
    }
    assert_eq!(refused(&format!("code=c&state={}", "a".repeat(10_000))), BadCallback::TooLong);
    assert_eq!(refused(&format!("code=c&state={S}&x={}", "a".repeat(20_000))), BadCallback::TooLong);
}

#[test]
fn t16_a_response_that_says_two_things_or_nothing_is_refused() {
    for (query, why) in [
        (format!("code=a&code=b&state={S}"), BadCallback::Duplicate("code")),
        (format!("error=a&error=a&state={S}"), BadCallback::Duplicate("error")),
        (format!("code=a&iss=x&iss=x&state={S}"), BadCallback::Duplicate("iss")),
        (format!("code=a&error=access_denied&state={S}"), BadCallback::CodeAndError),
        (format!("state={S}"), BadCallback::Empty),
        (format!("code=&error=&state={S}"), BadCallback::Empty),
        (format!("code=a%0d%0ab&state={S}"), BadCallback::Code),
        (format!("code=a%00&state={S}"), BadCallback::Code),
        (format!("code=%ff&state={S}"), BadCallback::Code),
        (format!("auth_code=c&state={S}"), BadCallback::Empty),
    ] {
        assert_eq!(unreadable(&query), why, "{query}");
    }
}

#[test]
fn an_error_under_metas_name_is_an_error() {
    let query = format!("error_code=1349187&error_message=x&state={S}");
    let CallbackOutcome::Error(cause) = parse_callback(&query).unwrap().outcome else { panic!("an error") };
    assert_eq!(cause.provider_code().unwrap().as_str(), "1349187");
}

#[test]
fn a_state_may_have_every_character_of_base64url() {
    let (letters, rest) =
        ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ", "RSTUVWXYZ0123456789-_-_-_-_-_-_-_-_-_-_-_-_");
    for state in [letters, rest] {
        assert_eq!(parse_callback(&format!("code=c&state={state}")).unwrap().state, state);
    }
}

#[test]
fn t16_a_query_of_16_kib_and_a_value_of_8_kib_are_read_and_one_byte_more_is_refused() {
    let query = |length: usize| {
        let start = format!("code=c&state={S}&x=");
        let rest = "a".repeat(length - start.len());
        start + &rest
    };
    assert!(parse_callback(&query(16 * 1024)).is_ok());
    assert_eq!(refused(&query(16 * 1024 + 1)), BadCallback::TooLong);
    let code = |length: usize| format!("code={}&state={S}", "c".repeat(length));
    assert!(matches!(parse_callback(&code(8 * 1024)).unwrap().outcome, CallbackOutcome::Code(_)));
    assert_eq!(unreadable(&code(8 * 1024 + 1)), BadCallback::TooLong);
}

fn recipe(issuer: Option<&str>, advertised: bool) -> Recipe {
    serde_json::from_value(json!({"id":"a","name":"A","authorize_url":"https://a.example/a",
        "token_url":"https://a.example/t","issuer":issuer,"iss_parameter":advertised}))
    .expect("a recipe")
}

#[test]
fn t19_an_issuer_that_is_advertised_must_be_there_and_any_issuer_must_be_right() {
    let (a, b) = ("https://a.example", "https://b.example");
    for (issuer, advertised, iss, expected) in [
        (Some(a), true, Some(a), Ok(())),
        (Some(a), true, None, Err(MixUp::Missing)),
        (Some(a), true, Some(b), Err(MixUp::Different)),
        (Some(a), true, Some("https://a.example/"), Err(MixUp::Different)),
        (Some(a), true, Some("https://A.example"), Err(MixUp::Different)),
        (Some(a), false, None, Ok(())),
        (Some(a), false, Some(a), Ok(())),
        (Some(a), false, Some(b), Err(MixUp::Different)),
        (None, false, Some(b), Ok(())),
        (None, false, None, Ok(())),
        (None, true, Some(a), Err(MixUp::NotConfigured)),
    ] {
        assert_eq!(check_iss(&recipe(issuer, advertised), iss), expected, "{issuer:?} {advertised} {iss:?}");
    }
}

#[test]
fn t19_another_spelling_of_the_issuer_is_one_that_the_recipe_names() {
    let mut google = recipe(Some("https://a.example"), true);
    assert_eq!(check_iss(&google, Some("a.example")), Err(MixUp::Different));
    google.issuer_aliases = vec!["a.example".into()];
    assert_eq!(check_iss(&google, Some("a.example")), Ok(()));
    assert_eq!(check_iss(&google, Some("b.example")), Err(MixUp::Different));
}

#[test]
fn t19_an_issuer_per_tenant_must_fit_its_template() {
    let mut recipe = recipe(None, false);
    recipe.issuer_template = Some("https://login.example/{tenant}/v2.0".into());
    assert_eq!(check_iss(&recipe, Some("https://login.example/8a-1/v2.0")), Ok(()));
    for other in
        ["https://login.example//v2.0", "https://login.example/a/b/v2.0", "https://evil.example/a/v2.0"]
    {
        assert_eq!(check_iss(&recipe, Some(other)), Err(MixUp::Different), "{other}");
    }
}

proptest! {
    #[test]
    fn t16_no_query_gives_two_readings(names in prop::collection::vec(
        ("(state|code|error|iss|state\\[\\]|State|x)", "[A-Za-z0-9_%+&=;-]{0,50}"), 0..6)) {
        let query = names.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&");
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let count = |name: &str| pairs.iter().filter(|(n, _)| n == name).count();
        if let Ok(callback) = parse_callback(&query) {
            prop_assert_eq!(count("state"), 1);
            prop_assert!(count("code") <= 1 && count("error") <= 1 && count("iss") <= 1);
            prop_assert!(pairs.contains(&("state".into(), callback.state.clone())));
            prop_assert_eq!(callback.state.len(), 43);
        }
    }

    #[test]
    fn t16_any_bytes_are_answered(query in ".{0,300}") {
        let _ = parse_callback(&query);
    }

    #[test]
    fn t26_every_error_code_is_clean(raw in "\\PC{1,100}") {
        let query: String = form_urlencoded::Serializer::new(format!("state={S}")).append_pair("error", &raw).finish();
        if let CallbackOutcome::Error(cause) = parse_callback(&query).expect("one error").outcome {
            let code = cause.provider_code().map_or("none", |code| code.as_str());
            prop_assert!((1..=64).contains(&code.len()));
            prop_assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b)));
        }
    }
}
