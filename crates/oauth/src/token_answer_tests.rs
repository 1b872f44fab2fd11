//! Documented answers from real providers, odd answers, and hostile ones.

use alter_core::Fault;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const JSON: &str = "application/json; charset=utf-8";

fn recipe(token: Value) -> Recipe {
    serde_json::from_value(json!({"id":"a","name":"A","authorize_url":"https://a.example/a",
        "token_url":"https://a.example/t","token":token}))
    .expect("a recipe")
}

fn read_as(status: u16, kind: &str, body: &[u8]) -> Result<TokenSet, TokenRefused> {
    parse_token_answer(&recipe(json!({})), &RawAnswer::new(status, kind, body))
}

fn read(body: &Value) -> Result<TokenSet, TokenRefused> {
    read_as(200, JSON, body.to_string().as_bytes())
}

fn code_of(result: Result<TokenSet, TokenRefused>) -> String {
    match result {
        Err(TokenRefused::Provider(cause)) => cause.provider_code().unwrap().as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn is_not_understood(result: &Result<TokenSet, TokenRefused>) -> bool {
    matches!(result, Err(TokenRefused::NotUnderstood { .. }))
}

#[test]
fn the_answer_of_rfc_6749_section_5_1_is_read() {
    let set = read(&json!({"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"example","expires_in":3600,
        "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA","example_parameter":"example_value"}))
    .unwrap();
    assert_eq!(set.access_token.expose_secret(), "2YotnFZFEjr1zCsicMWpAA");
    assert_eq!(
        set.refresh_token.as_ref().map(|t| t.expose_secret().to_owned()).as_deref(),
        Some("tGzv3JOkF0XG5Qx2TlKWIA")
    );
    assert_eq!(
        (set.token_type.as_str(), set.expiry, &set.scopes),
        ("example", Some(Expiry::In(3600)), &None)
    );
    let shown = format!("{set:?}");
    assert!(
        !shown.contains("2Yotn") && !shown.contains("tGzv3") && !shown.contains("example_value"),
        "{shown}"
    );
}

#[test]
fn a_form_encoded_answer_is_read_where_the_type_allows_it() {
    let body = b"access_token=gho_16C7e42F&scope=repo%2Cgist&token_type=bearer";
    for kind in ["application/x-www-form-urlencoded; charset=utf-8", "text/plain"] {
        let set = read_as(200, kind, body).unwrap();
        assert_eq!(set.scopes, Some(vec!["repo".into(), "gist".into()]));
    }
    assert!(is_not_understood(&read_as(200, "text/html", body)));
    for bad in ["access_token=a&access_token=b", "access_token=a&x=<b>", "access_token=a&x=b c"] {
        assert!(is_not_understood(&read_as(200, "text/plain", bad.as_bytes())), "{bad}");
    }
    assert_eq!(
        code_of(read_as(
            200,
            "application/x-www-form-urlencoded",
            b"error=bad_verification_code&error_description=x"
        )),
        "bad_verification_code"
    );
}

#[test]
fn f42_an_error_under_status_200_is_an_error_even_beside_a_token() {
    assert_eq!(
        code_of(read(&json!({"error":"bad_verification_code","error_description":"x"}))),
        "bad_verification_code"
    );
    assert_eq!(code_of(read(&json!({"error":"x","access_token":"t"}))), "x");
    assert_eq!(
        code_of(read(&json!({"error":{"message":"m","type":"OAuthException","code":190}}))),
        "oauthexception"
    );
    assert_eq!(code_of(read(&json!({"error":190}))), "190");
    assert_eq!(code_of(read(&json!({"error":["a"]}))), "unknown_error");
    assert_eq!(code_of(read(&json!({"error":true}))), "unknown_error");
    let slack =
        recipe(json!({"ok":"/ok","access_token":"/authed_user/access_token","scope":"/authed_user/scope"}));
    let ask =
        |body: Value| parse_token_answer(&slack, &RawAnswer::new(200, JSON, body.to_string().as_bytes()));
    assert_eq!(code_of(ask(json!({"ok":false,"error":"invalid_code"}))), "invalid_code");
    assert_eq!(code_of(ask(json!({"ok":false}))), "unknown_error");
    let set = ask(
        json!({"ok":true,"authed_user":{"id":"U1","scope":"chat:write,im:read","access_token":"xoxp-1"}}),
    );
    assert_eq!(set.unwrap().scopes, Some(vec!["chat:write".into(), "im:read".into()]));
    assert!(read(&json!({"access_token":"t","error":""})).is_ok());
    assert!(read(&json!({"access_token":"t","error":null})).is_ok());
}

#[test]
fn f44_a_refused_client_and_an_unregistered_redirect_uri_are_the_operators() {
    for (code, reason) in [
        ("invalid_client", "client_refused"),
        ("unauthorized_client", "client_refused"),
        ("incorrect_client_credentials", "client_refused"),
        ("redirect_uri_mismatch", "callback_url_refused"),
        ("bad_redirect_uri", "callback_url_refused"),
        ("invalid_grant", "code_refused"),
        ("temporarily_unavailable", "provider_unavailable"),
        ("invalid_scope", "provider_refused"),
    ] {
        for status in [200, 400, 401] {
            let body = json!({ "error": code }).to_string();
            let cause = read_as(status, JSON, body.as_bytes()).unwrap_err().cause();
            assert_eq!((cause.as_str(), cause.provider_code().unwrap().as_str()), (reason, code));
            let of_operator = matches!(reason, "client_refused" | "callback_url_refused");
            assert_eq!(cause.fault() == Fault::Operator, of_operator, "{code}");
        }
    }
}

#[test]
fn f39_a_provider_that_is_not_well_has_not_refused() {
    for status in [500, 502, 503, 504, 429, 408] {
        let refused = read_as(status, JSON, br#"{"error":"invalid_grant"}"#).unwrap_err();
        assert_eq!(refused, TokenRefused::ServerError { status });
    }
    let by_status = |status| TokenRefused::Status { status };
    assert_eq!(read_as(403, "text/html", b"<html>").unwrap_err(), by_status(403));
    assert_eq!(read_as(400, JSON, br#"{"error":"a","error":"b"}"#).unwrap_err(), by_status(400));
    assert!(is_not_understood(&read_as(302, JSON, b"{}")));
}

#[test]
fn f41_and_f45_what_is_no_answer_is_not_understood() {
    let utf16: Vec<u8> = r#"{"access_token":"t"}"#.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let with_mark = [b"\xef\xbb\xbf", &br#"{"access_token":"t"}"#[..]].concat();
    for body in [
        &b"<!doctype html><title>x</title>"[..],
        b"",
        b"   ",
        b"null",
        b"[]",
        b"{}",
        br#"{"access_token":"t""#,
        br#"{"access_token":"a","access_token":"b"}"#,
        br#"{"access_token":"a"}{"access_token":"b"}"#,
        b"{\"access_token\":\"\xff\"}",
        &utf16,
        &[b"\xef\xbb\xbf", &with_mark[..]].concat(),
    ] {
        for kind in [JSON, "text/html", "text/plain", ""] {
            let result = read_as(200, kind, body);
            assert!(is_not_understood(&result), "{kind} {body:?} {result:?}");
        }
    }
    assert!(read_as(200, JSON, &with_mark).is_ok(), "one byte order mark is skipped");
}

#[test]
fn a_token_that_would_break_a_header_is_not_understood() {
    for bad in ["a\r\nX: y", "a\nb", "a\u{0}b", "\u{7f}", "tökén", " a", "a\t"] {
        for field in ["access_token", "refresh_token", "id_token"] {
            let mut body = json!({"access_token":"t","refresh_token":"r","id_token":"i"});
            body[field] = bad.into();
            assert!(is_not_understood(&read(&body)), "{field} {bad:?}");
        }
    }
    for bad in [json!(1), json!(["t"]), json!({"t":1}), json!(true), json!(""), json!(null)] {
        assert!(is_not_understood(&read(&json!({ "access_token": bad }))));
    }
}

#[test]
fn t28_and_f48_an_empty_or_null_refresh_token_is_none() {
    for none in [json!(""), json!(null)] {
        let set = read(&json!({"access_token":"t","refresh_token":none,"id_token":none})).unwrap();
        assert!(set.refresh_token.is_none() && set.id_token.is_none());
    }
}

#[test]
fn t28_expires_in_is_tolerated_in_every_form_and_clamped() {
    for (value, seconds) in [
        (json!(3600), Some(3600)),
        (json!(3599.9), Some(3599)),
        (json!("3600"), Some(3600)),
        (json!(" 3600 "), Some(3600)),
        (json!("3.6e3"), Some(3600)),
        (json!(1), Some(1)),
        (json!(1e12), Some(expiry::LIFE_MAX)),
        (json!(u64::MAX), Some(expiry::LIFE_MAX)),
        (json!("inf"), Some(expiry::LIFE_MAX)),
        (json!(0), None),
        (json!(0.5), None),
        (json!(-1), None),
        (json!("0"), None),
        (json!("-9e99"), None),
        (json!("NaN"), None),
        (json!("soon"), None),
        (json!(""), None),
        (json!(null), None),
        (json!([3600]), None),
        (json!(true), None),
    ] {
        assert_eq!(
            read(&json!({"access_token":"t","expires_in":value})).unwrap().expiry,
            seconds.map(Expiry::In),
            "{value}"
        );
    }
    assert_eq!(read(&json!({"access_token":"t"})).unwrap().expiry, None);
}

#[test]
fn t28_token_type_is_kept_in_its_case_and_never_garbage() {
    for (value, kept) in [
        (json!("Bearer"), "Bearer"),
        (json!("bEARER"), "bEARER"),
        (json!("bot"), "bot"),
        (json!("N_A"), "N_A"),
        (json!(""), "Bearer"),
        (json!(null), "Bearer"),
        (json!(7), "Bearer"),
        (json!("Bearer\r\nX: y"), "Bearer"),
    ] {
        assert_eq!(read(&json!({"access_token":"t","token_type":value})).unwrap().token_type, kept);
    }
}

#[test]
fn t27_granted_scopes_are_what_the_provider_says_in_any_of_its_forms() {
    for (value, scopes) in [
        (json!("a b"), Some(vec!["a", "b"])),
        (json!("a,b, c"), Some(vec!["a", "b", "c"])),
        (json!(["a", "b c", "a", 7]), Some(vec!["a", "b c"])),
        (json!("b a b"), Some(vec!["b", "a"])),
        (json!("a\u{202e}b c"), Some(vec!["c"])),
        (json!(""), None),
        (json!([]), None),
        (json!(null), None),
        (json!({"a":1}), None),
    ] {
        let scopes = scopes.map(|list| list.into_iter().map(String::from).collect::<Vec<_>>());
        assert_eq!(read(&json!({"access_token":"t","scope":value})).unwrap().scopes, scopes, "{value}");
    }
}

#[test]
fn a_code_that_every_answer_has_is_success_when_it_is_zero() {
    let coded = recipe(json!({"error":"/code","error_description":"/message","access_token":"/data/token"}));
    let answered = |code: Value| {
        let body = json!({"code":code,"message":"ok","data":{"token":"t"}}).to_string();
        parse_token_answer(&coded, &RawAnswer::new(200, JSON, body.as_bytes()))
    };
    for good in [json!(0), json!("0"), Value::Null] {
        assert!(answered(good.clone()).is_ok(), "{good}");
    }
    for bad in [json!(20_014), json!("invalid_grant"), json!(-1), json!(0.5)] {
        assert!(matches!(answered(bad.clone()), Err(TokenRefused::Provider(_))), "{bad}");
    }
}

#[test]
fn t27_an_empty_list_means_none_where_the_recipe_says_so() {
    let body = json!({"access_token":"ghu_1","scope":"","expires_in":28800,"refresh_token":"ghr_1"});
    let answer = RawAnswer::new(200, JSON, body.to_string().as_bytes());
    let plain = parse_token_answer(&recipe(json!({})), &answer).unwrap();
    assert_eq!(plain.scopes, None, "what was asked for");
    let apps = recipe(json!({"empty_scope_is_none":true}));
    let set = parse_token_answer(&apps, &answer).unwrap();
    assert_eq!((set.scopes, set.refresh_token.is_some()), (Some(vec![]), true));
}

#[test]
fn t27_an_id_token_shows_that_openid_was_granted_where_it_was_asked_for() {
    let mut spelt = recipe(json!({}));
    let granted_by = |recipe: &Recipe, answer: serde_json::Value, asked: &[&str]| {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        read(&answer).unwrap().granted(recipe, &asked)
    };
    let plain = spelt.clone();
    let granted = |answer, asked: &[&str]| granted_by(&plain, answer, asked);
    let with = json!({"access_token":"t","id_token":"a.b.c","scope":"dummy"});
    assert_eq!(granted(with.clone(), &["openid"]).unwrap(), ["dummy", "openid"]);
    assert_eq!(granted(with, &["read"]).unwrap(), ["dummy"], "nobody asked for it");
    let without = json!({"access_token":"t","scope":"dummy"});
    assert_eq!(granted(without, &["openid"]).unwrap(), ["dummy"]);
    let listed = json!({"access_token":"t","id_token":"a.b.c","scope":"openid a"});
    assert_eq!(granted(listed, &["openid"]).unwrap(), ["openid", "a"]);
    let silent = json!({"access_token":"t","id_token":"a.b.c"});
    assert_eq!(granted(silent, &["openid", "a"]), None, "what was asked for");
    spelt.scope_names.ignore_case = true;
    let other = json!({"access_token":"t","id_token":"a.b.c","scope":"OpenID a"});
    assert_eq!(granted_by(&spelt, other, &["openid"]).unwrap(), ["OpenID", "a"], "in another spelling");
    let shown = json!({"access_token":"t","id_token":"a.b.c","scope":"a"});
    assert_eq!(granted_by(&spelt, shown, &["OPENID"]).unwrap(), ["a", "openid"]);
}

#[test]
fn t27_no_more_than_200_scopes_are_kept() {
    let scopes: Vec<String> = (0..300).map(|n| format!("s{n}")).collect();
    let kept = read(&json!({"access_token":"t","scope":scopes})).unwrap().scopes.unwrap();
    assert_eq!(kept, scopes[..200]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9.eE+-]{1,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::from))
}

proptest! {
    #[test]
    fn t28_whatever_the_fields_are_the_token_is_usable_or_refused(
        kind in any_json(), life in any_json(), scope in any_json(), refresh in any_json()) {
        let body = json!({"access_token":"t","token_type":kind,"expires_in":life,"scope":scope,"refresh_token":refresh});
        match read(&body) {
            Ok(set) => {
                prop_assert!(set.expiry.is_none_or(|e| matches!(e, Expiry::In(s) if (1..=expiry::LIFE_MAX).contains(&s))));
                prop_assert!(http::HeaderValue::from_str(&set.token_type).is_ok() && !set.token_type.is_empty());
                prop_assert!(set.refresh_token.is_none_or(|t| !t.expose_secret().is_empty()));
                prop_assert!(set.scopes.is_none_or(|s| !s.is_empty() && s.iter().all(|w| !w.trim().is_empty())));
            }
            Err(refused) => {
                let is_refresh = !refresh.is_null() && !refresh.as_str().is_some_and(str::is_empty);
                prop_assert!(is_refresh, "{refused:?} {body}");
            }
        }
    }

    #[test]
    fn t28_any_bytes_are_answered(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_as(status, "text/plain", &body);
    }
}
