//! The format, compared with a second implementation: `scripts/vault_vectors.py`, which shares no code with this crate,
//! writes `vectors/vectors.json`.

use std::cell::RefCell;

use alter_vault::{Place, RootKey, Vault, VaultError, is_bound};
use secrecy::ExposeSecret;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/vectors.json")).expect("the committed file is JSON")
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} missing in {case}"))
}

fn cases<'a>(from: &'a Value, field: &str) -> &'a Vec<Value> {
    let list = from[field].as_array().unwrap_or_else(|| panic!("no list {field}"));
    assert!(!list.is_empty(), "an empty list proves nothing");
    list
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    let digits = text(case, field);
    assert!(digits.len().is_multiple_of(2), "odd hex");
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex")).collect()
}

/// A place that is bound to nothing else.
fn cell(case: &Value) -> Place<'_> {
    Place {
        app: text(case, "app"),
        table: text(case, "table"),
        column: text(case, "column"),
        row: text(case, "row"),
        generation: text(case, "generation").parse().expect("a number"),
        bound_to: None,
    }
}

fn bound_to(case: &Value) -> Option<Vec<u8>> {
    case.get("bound_to").map(|_| bytes(case, "bound_to"))
}

fn vault(all: &Value) -> Vault {
    Vault::new(RootKey::from_base64(text(all, "root_key")).expect("32 bytes"))
}

/// Runs `make` with the case's recorded randomness and checks that all of it was used.
fn with_recorded<T>(case: &Value, make: impl FnOnce(&dyn Fn(&mut [u8])) -> T) -> T {
    let left = RefCell::new(bytes(case, "random"));
    let made = make(&|buffer| {
        let mut left = left.borrow_mut();
        let rest = left.split_off(buffer.len());
        buffer.copy_from_slice(&left);
        *left = rest;
    });
    assert!(left.borrow().is_empty(), "some recorded randomness was not asked for");
    made
}

fn wrapped_key_of(all: &Value, app: &str) -> Vec<u8> {
    let case =
        cases(all, "data_keys").iter().find(|c| text(c, "app") == app).expect("a key for every app used");
    bytes(case, "wrapped")
}

#[test]
fn the_other_implementations_key_check_is_accepted_and_ours_is_the_same() {
    let all = vectors();
    let (vault, case) = (vault(&all), &all["key_check"]);
    assert_eq!(vault.verify_key_check(&bytes(case, "stored")), Ok(()));
    assert_eq!(with_recorded(case, |fill| vault.key_check(fill)), bytes(case, "stored"));
}

#[test]
fn the_other_implementations_data_keys_open_and_ours_are_the_same() {
    let all = vectors();
    let vault = vault(&all);
    for case in cases(&all, "data_keys") {
        let (app, wrapped) = (text(case, "app"), bytes(case, "wrapped"));
        assert!(vault.data_key(app, &wrapped).is_ok());
        assert_eq!(with_recorded(case, |fill| vault.new_data_key(app, fill)), Ok(wrapped));
    }
}

#[test]
fn the_other_implementations_values_open_and_ours_are_the_same() {
    let all = vectors();
    let vault = vault(&all);
    for case in cases(&all, "values") {
        let (plain, sealed, bound_to) = (bytes(case, "plaintext"), bytes(case, "sealed"), bound_to(case));
        let place = Place { bound_to: bound_to.as_deref(), ..cell(case) };
        assert_eq!(is_bound(&sealed), Ok(bound_to.is_some()));
        let key = vault.data_key(place.app, &wrapped_key_of(&all, place.app)).expect("its wrapped key");
        assert_eq!(key.open(&place, &sealed).expect("opens").expose_secret(), plain);
        assert_eq!(with_recorded(case, |fill| key.seal(&place, &plain, fill)), Ok(sealed));
    }
}

/// Each value is wrong only in what its `why` says; everything else, tags included, is right. In the case of the wrong
/// commitment, for example, wrapped key and ciphertext both authenticate.
#[test]
fn values_that_the_other_implementation_made_wrong_are_refused() {
    let all = vectors();
    let vault = vault(&all);
    for case in cases(&all, "refused") {
        let bound_to = bound_to(case);
        let place = Place { bound_to: bound_to.as_deref(), ..cell(case) };
        let key = vault.data_key(place.app, &wrapped_key_of(&all, place.app)).expect("its wrapped key");
        let error = key.open(&place, &bytes(case, "sealed")).expect_err(text(case, "why"));
        let name = match error {
            VaultError::Corrupt(_) => "Corrupt",
            VaultError::Refused => "Refused",
            VaultError::BoundElsewhere => "BoundElsewhere",
            VaultError::WrongKeyId => "WrongKeyId",
            _ => "another",
        };
        assert_eq!(name, text(case, "error"), "{}", text(case, "why"));
    }
}
