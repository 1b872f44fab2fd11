#![expect(clippy::disallowed_methods, reason = "the constructor itself is tested here")]

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn t26_an_error_code_is_in_its_alphabet_whatever_was_sent() {
    for (sent, code) in [
        ("access_denied", "access_denied"),
        (" Access Denied ", "access_denied"),
        ("<script>alert(1)</script>", "scriptalert1script"),
        ("a\r\nSet-Cookie: x=1", "aset-cookie_x1"),
        ("\u{1b}[31mred", "31mred"),
        ("\u{202e}kcatta", "kcatta"),
        ("", "unknown_error"),
        ("\u{0}\u{7f}<>", "unknown_error"),
        ("\u{ff21}", "unknown_error"),
    ] {
        assert_eq!(ProviderCode::cleaned(sent).as_str(), code, "{sent:?}");
    }
    assert_eq!(ProviderCode::cleaned(&"x".repeat(1_000_000)).as_str().len(), 64);
}

#[test]
fn each_cause_has_a_word_of_its_own_and_is_stored_under_it() {
    let mut seen = HashSet::new();
    for cause in Cause::one_of_each() {
        assert!(seen.insert(cause.as_str()), "{} twice", cause.as_str());
        let stored = serde_json::to_value(&cause).unwrap();
        let tag = stored.as_str().or_else(|| stored.as_object()?.keys().next().map(String::as_str));
        assert_eq!(tag, Some(cause.as_str()), "{stored}");
    }
}

#[test]
fn what_a_person_must_change_is_final_and_what_may_pass_is_not() {
    for cause in Cause::one_of_each() {
        match cause.fault() {
            Fault::User | Fault::App | Fault::Operator => assert!(cause.is_final(), "{cause}"),
            Fault::Us => assert!(!cause.is_final(), "{cause}"),
            Fault::Provider => {}
        }
    }
    for passing in [
        Cause::ProviderUnavailable(ProviderCode::cleaned("temporarily_unavailable")),
        Cause::TokenEndpointFailed(503),
        Cause::TokenEndpointUnreachable,
    ] {
        assert!(!passing.is_final(), "{passing}");
    }
}

#[test]
fn whose_turn_it_is_has_a_word_in_documents() {
    let words = |fault: Fault| fault.as_str();
    let all = [Fault::User, Fault::App, Fault::Operator, Fault::Provider, Fault::Us];
    assert_eq!(all.map(words), ["user", "app", "operator", "provider", "server"]);
}

#[test]
fn t26_our_word_stands_apart_from_what_the_provider_said() {
    let code = ProviderCode::cleaned("invalid_client");
    for (cause, facts, shown) in [
        (
            Cause::ClientRefused(code),
            json!({"reason": "client_refused", "provider_error": "invalid_client"}),
            "client_refused: invalid_client",
        ),
        (
            Cause::TokenEndpointFailed(503),
            json!({"reason": "token_endpoint_failed", "provider_status": 503}),
            "token_endpoint_failed: 503",
        ),
        (Cause::Denied, json!({"reason": "denied"}), "denied"),
    ] {
        assert_eq!(Value::from(cause.facts()), facts);
        assert_eq!(cause.to_string(), shown);
    }
}

/// The same cause with other contents.
fn filled(cause: Cause, code: ProviderCode, status: u16) -> Cause {
    match cause {
        Cause::ProviderRefused(_) => Cause::ProviderRefused(code),
        Cause::ProviderUnavailable(_) => Cause::ProviderUnavailable(code),
        Cause::CodeRefused(_) => Cause::CodeRefused(code),
        Cause::ClientRefused(_) => Cause::ClientRefused(code),
        Cause::CallbackUrlRefused(_) => Cause::CallbackUrlRefused(code),
        Cause::TokenRequestRefused(_) => Cause::TokenRequestRefused(status),
        Cause::TokenEndpointFailed(_) => Cause::TokenEndpointFailed(status),
        plain => plain,
    }
}

fn any_cause() -> impl Strategy<Value = Cause> {
    (proptest::sample::select(Cause::one_of_each()), any::<String>(), any::<u16>())
        .prop_map(|(cause, sent, status)| filled(cause, ProviderCode::cleaned(&sent), status))
}

proptest! {
    #[test]
    fn a_cause_is_read_as_it_was_stored(cause in any_cause()) {
        let stored = serde_json::to_string(&cause).unwrap();
        prop_assert_eq!(serde_json::from_str::<Cause>(&stored).unwrap(), cause);
    }

    #[test]
    fn t26_cleaning_a_clean_code_changes_nothing(sent in any::<String>()) {
        let code = ProviderCode::cleaned(&sent);
        prop_assert!((1..=64).contains(&code.as_str().len()));
        prop_assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b)));
        prop_assert_eq!(ProviderCode::cleaned(code.as_str()), code);
    }
}
