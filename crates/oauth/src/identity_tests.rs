//! Identities from each of the three documents: id_token, userinfo, token answer.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{RawAnswer, parse_token_answer};

fn recipe(identity: Value) -> Recipe {
    serde_json::from_value(json!({"id":"a","name":"A","authorize_url":"https://a.example/a",
        "token_url":"https://a.example/t","userinfo_url":"https://a.example/me","identity":identity}))
    .expect("a recipe")
}

fn tokens(more: Value) -> TokenSet {
    let mut body = json!({"access_token":"t"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let answer = RawAnswer::new(200, "application/json", body.to_string().as_bytes());
    parse_token_answer(&recipe(json!({})), &answer).expect("tokens")
}

fn from_claims(claims: &Value) -> Result<Identity, IdentityUnreadable> {
    identity(&recipe(json!({})), Some(claims), None, &tokens(json!({})))
}

#[test]
fn the_id_token_comes_first_and_userinfo_fills_what_it_lacks() {
    let both = |claims: Value, userinfo: Value| {
        identity(&recipe(json!({})), Some(&claims), Some(&userinfo), &tokens(json!({})))
    };
    let found =
        both(json!({"sub":"1","name":"Alex"}), json!({"sub":"1","email":"a@x.example","name":"Other"}));
    let expected = Identity {
        subject: "1".into(),
        account: "a@x.example".into(),
        account_verified: false,
        display_name: Some("Alex".into()),
    };
    assert_eq!(found, Ok(expected));
}

#[test]
fn t24_userinfo_of_another_subject_is_refused() {
    for (claims, userinfo) in [
        (json!({"sub":"1"}), json!({"sub":"2"})),
        (json!({"sub":"1"}), json!({"email":"a@x.example"})),
        (json!({"sub":"1"}), json!({"sub":1})),
        (json!({"sub":"1"}), json!([])),
    ] {
        let refused = identity(&recipe(json!({})), Some(&claims), Some(&userinfo), &tokens(json!({})));
        assert_eq!(refused, Err(IdentityUnreadable::OtherSubject), "{userinfo}");
    }
    let other = recipe(json!({"from":"userinfo","subject":"/id"}));
    let ask =
        |userinfo: Value| identity(&other, Some(&json!({"sub":"1"})), Some(&userinfo), &tokens(json!({})));
    assert_eq!(ask(json!({"id":7})).map(|i| i.subject), Ok("7".into()));
    assert_eq!(ask(json!({"id":7,"sub":"2"})), Err(IdentityUnreadable::OtherSubject));
}

#[test]
fn userinfo_alone_and_the_token_answer_alone_can_name_the_account() {
    let github =
        recipe(json!({"from":"userinfo","subject":"/id","account":["/login"],"display_name":["/name"]}));
    let found = identity(
        &github,
        None,
        Some(&json!({"id":583231,"login":"octocat","name":null})),
        &tokens(json!({})),
    );
    assert_eq!(
        found,
        Ok(Identity {
            subject: "583231".into(),
            account: "octocat".into(),
            account_verified: false,
            display_name: None
        })
    );
    let slack = recipe(json!({"from":"token_response","subject":"/authed_user/id","account":["/team/name"]}));
    let found =
        identity(&slack, None, None, &tokens(json!({"authed_user":{"id":"U1"},"team":{"name":"Acme"}})));
    assert_eq!(found.map(|i| (i.subject, i.account)), Ok(("U1".into(), "Acme".into())));
}

#[test]
fn a_name_is_verified_only_where_the_provider_says_so_of_that_very_name() {
    let address = "boss@corp.example";
    let claims = |flag: Value| json!({"sub":"1","email":address,"email_verified":flag});
    let verified = |claims: &Value| from_claims(claims).map(|i| (i.account == address, i.account_verified));
    for flag in [json!(true), json!("true"), json!(1)] {
        assert_eq!(verified(&claims(flag.clone())), Ok((true, true)), "{flag}");
    }
    for flag in [
        json!(false),
        json!("false"),
        json!("True"),
        json!("1"),
        json!(0),
        json!(1.0),
        json!(null),
        json!([true]),
        json!({}),
    ] {
        assert_eq!(verified(&claims(flag.clone())), Ok((true, false)), "{flag}");
    }
    assert_eq!(verified(&json!({"sub":"1","email":address})), Ok((true, false)));
    // The claim is about the address, not about another name.
    let name = json!({"sub":"1","preferred_username":address,"email_verified":true});
    assert_eq!(verified(&name), Ok((true, false)));
    // A subject needs nobody's word.
    assert_eq!(from_claims(&json!({"sub":"1"})).map(|i| i.account_verified), Ok(true));
}

#[test]
fn what_verifies_a_name_stands_in_a_document_with_that_name_and_none_says_the_contrary() {
    let verified = |claims: Value, userinfo: Value| {
        identity(&recipe(json!({})), Some(&claims), Some(&userinfo), &tokens(json!({})))
            .map(|i| i.account_verified)
    };
    let (boss, own) = ("boss@corp.example", "me@evil.example");
    let named = json!({"sub":"1","email":boss});
    for (userinfo, is) in [
        (json!({"sub":"1","email":boss,"email_verified":true}), true),
        (json!({"sub":"1","email":own,"email_verified":true}), false),
        (json!({"sub":"1","email_verified":true}), false),
    ] {
        assert_eq!(verified(named.clone(), userinfo.clone()), Ok(is), "{userinfo}");
    }
    let no = json!({"sub":"1","email":boss,"email_verified":false});
    let yes = json!({"sub":"1","email":boss,"email_verified":true});
    assert_eq!((verified(no.clone(), yes.clone()), verified(yes, no)), (Ok(false), Ok(false)));
}

#[test]
fn a_recipe_says_what_verifies_a_name_or_that_every_name_is_its_accounts_own() {
    let me = json!({"id":7,"login":"octocat","mail":"a@x.example","checked":1,"email_verified":true});
    let with = |account: &str, verified: Value| {
        let paths = json!({"from":"userinfo","subject":"/id","account":[account],"verified":verified});
        identity(&recipe(paths), None, Some(&me), &tokens(json!({}))).map(|i| i.account_verified)
    };
    for (account, verified, is) in [
        ("/login", json!({}), false),
        ("/login", json!({"/login":"always"}), true),
        ("/login", json!({"/mail":"always"}), false),
        ("/mail", json!({"/mail":"/checked"}), true),
        ("/mail", json!({"/mail":"/elsewhere"}), false),
        ("/mail", json!({"/email":"/email_verified"}), false),
        ("/id", json!({}), true),
    ] {
        assert_eq!(with(account, verified.clone()), Ok(is), "{account} {verified}");
    }
}

#[test]
fn a_subject_that_is_unique_within_a_workspace_is_kept_with_it_and_two_accounts_never_become_one() {
    let within = recipe(json!({"from":"token_response","subject":"/user","subject_within":["/hub"]}));
    let found = |answer| identity(&within, None, None, &tokens(answer)).map(|i| i.subject);
    assert_eq!(found(json!({"user": 7, "hub": 62515})), Ok("62515/7".into()));
    for bad in [
        json!({"user": 7}),
        json!({"hub": 7}),
        json!({"user": "a/b", "hub": "c"}),
        json!({"user": "b", "hub": "a/c"}),
        json!({"user": "x".repeat(200), "hub": "y".repeat(200)}),
    ] {
        assert_eq!(found(bad.clone()), Err(IdentityUnreadable::Subject), "{bad}");
    }
}

#[test]
fn a_document_that_is_not_there_and_a_subject_that_is_unusable_give_no_identity() {
    let nothing = identity(&recipe(json!({})), None, None, &tokens(json!({})));
    assert_eq!(nothing, Err(IdentityUnreadable::Absent("id_token")));
    let nothing =
        identity(&recipe(json!({"from":"userinfo"})), Some(&json!({"sub":"1"})), None, &tokens(json!({})));
    assert_eq!(nothing, Err(IdentityUnreadable::Absent("account information")));
    for sub in [
        json!(null),
        json!(""),
        json!("  "),
        json!(1.5),
        json!(1e30),
        json!(true),
        json!(["1"]),
        json!("a\u{0}"),
        json!("a\u{202e}b"),
        json!("x".repeat(256)),
    ] {
        assert_eq!(
            from_claims(&json!({"sub":sub,"email":"a@x.example"})),
            Err(IdentityUnreadable::Subject),
            "{sub}"
        );
    }
}

#[test]
fn t26_labels_are_cleaned_and_the_subject_stands_in_for_an_account_without_a_name() {
    let found =
        from_claims(&json!({"sub":"1","email":"\u{202e}a@x\r\n.example","name":"\u{0}\u{200b}"})).unwrap();
    assert_eq!((found.account.as_str(), found.display_name), ("a@x .example", None));
    assert_eq!(from_claims(&json!({"sub":"1","email":{"a":1}})).unwrap().account, "1");
}

#[test]
fn a_label_may_be_a_number() {
    let numbered = recipe(json!({"account":["/number"]}));
    let found = identity(&numbered, Some(&json!({"sub":"1","number":62515})), None, &tokens(json!({})));
    assert_eq!(found.map(|i| i.account), Ok("62515".into()));
}

#[test]
fn userinfo_is_asked_when_it_is_the_source_or_the_id_token_says_too_little() {
    let oidc = recipe(json!({}));
    let mut without = oidc.clone();
    without.userinfo_url = None;
    let proven = json!({"sub":"1"});
    let named = json!({"sub":"1","email":"a@x.example"});
    for (recipe, claims, need) in [
        (&oidc, None, Need::Account),
        (&oidc, Some(&json!({"email":"a@x.example"})), Need::Account),
        (&oidc, Some(&proven), Need::Name),
        (&oidc, Some(&json!({"sub":"1","email":""})), Need::Name),
        (&oidc, Some(&named), Need::Nothing),
        (&recipe(json!({"account":["/sub"]})), Some(&proven), Need::Nothing),
        (&recipe(json!({"subject_within":["/tid"]})), Some(&named), Need::Account),
        (&recipe(json!({"from":"userinfo"})), Some(&named), Need::Account),
        (&recipe(json!({"from":"token_response"})), None, Need::Nothing),
        (&without, Some(&proven), Need::Nothing),
    ] {
        assert_eq!(needs_userinfo(recipe, claims), need, "{claims:?}");
    }
}

proptest! {
    #[test]
    fn t26_whatever_the_claims_are_an_identity_can_be_stored_and_shown(
        sub in ".{0,300}", email in ".{0,400}", name in ".{0,400}") {
        if let Ok(found) = from_claims(&json!({"sub":sub,"email":email,"name":name})) {
            prop_assert_eq!(&found.subject, &sub);
            for label in [Some(found.account), found.display_name].into_iter().flatten() {
                prop_assert!((1..=LABEL_MAX).contains(&label.chars().count()));
                let hides = label.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
                prop_assert!(!hides);
            }
        }
    }
}
