//! The token endpoint when it fails, stalls or answers oddly.

use std::time::Duration;

use alter_mock_provider::{Gate, MockProvider, Raw, TokenFault};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::client::*;

/// Whether the code of a failed attempt is still good once the fault is gone.
async fn code_survives(provider: &MockProvider, fault: TokenFault) -> (Answer, bool) {
    let code = code(provider).await;
    provider.set(|s| s.token_fault = Some(fault));
    let failed = redeem(provider, &code, &[]).await;
    provider.set(|s| s.token_fault = None);
    let again = redeem(provider, &code, &[]).await;
    (failed, again.status == 200)
}

#[tokio::test]
async fn faults_given_instead_of_an_answer_leave_the_code_alone() {
    let provider = provider(|_| {}).await;
    let (down, survives) = code_survives(&provider, TokenFault::Status(503)).await;
    assert_eq!((down.status, survives), (503, true));
    let (html, survives) = code_survives(&provider, TokenFault::Html200).await;
    assert!(html.status == 200 && html.header("content-type").unwrap().starts_with("text/html") && survives);
    let (error, survives) = code_survives(&provider, TokenFault::Error200).await;
    assert!(error.status == 200 && text(&error, "error") == "bad_verification_code" && survives);
    let (client, survives) = code_survives(&provider, TokenFault::InvalidClient).await;
    assert!(client.status == 401 && text(&client, "error") == "invalid_client" && survives);
    let (huge, survives) = code_survives(&provider, TokenFault::Huge(3_000_000)).await;
    assert!(huge.status == 200 && huge.body.len() > 3_000_000 && survives);
}

#[tokio::test]
async fn a_lost_answer_has_taken_effect() {
    let provider = provider(|_| {}).await;
    let (nothing, survives) = code_survives(&provider, TokenFault::CloseBeforeAnswer).await;
    assert_eq!((nothing.status, nothing.head.as_str(), survives), (0, "", false));
    let (half, survives) = code_survives(&provider, TokenFault::CloseMidBody).await;
    let announced: usize = half.header("content-length").unwrap().parse().unwrap();
    assert_eq!((half.status, half.body.len(), survives), (200, announced / 2, false));
}

#[tokio::test]
async fn a_trickle_begins_and_goes_on() {
    let provider = provider(|s| s.token_fault = Some(TokenFault::Trickle)).await;
    let code = code(&provider).await;
    let fields = encode(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
    ]);
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let mut stream = open(&provider, &http("POST", "/token", &kind, &fields)).await;
    let (mut received, mut reads) = (String::new(), 0);
    while !received.ends_with("\r\n\r\n{\"acc") {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the connection stays open");
        received.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        reads += 1;
    }
    assert!(reads > 2, "byte by byte: {reads}");
}

#[tokio::test]
async fn a_fault_can_happen_a_few_times_only() {
    let provider = provider(|s| {
        s.token_fault = Some(TokenFault::Status(500));
        s.token_fault_times = Some(2);
    })
    .await;
    let code = code(&provider).await;
    for expected in [500, 500, 200] {
        assert_eq!(redeem(&provider, &code, &[]).await.status, expected);
    }
}

#[tokio::test]
async fn a_gate_holds_the_answer_and_not_the_effect() {
    let gate = Gate::closed();
    let provider = provider(|s| s.token_gate = Some(gate.clone())).await;
    let code = code(&provider).await;
    let mut held = Box::pin(redeem(&provider, &code, &[]));
    tokio::select! {
        _ = &mut held => panic!("it is held"),
        _ = provider.wait_for(|seen| seen.token.len() == 1) => {}
    }
    gate.open();
    assert_eq!(held.await.status, 200);
    assert_eq!(connect(&provider).await.status, 200);
}

#[tokio::test]
async fn a_delay_comes_before_the_answer() {
    let provider = provider(|s| s.token_delay = Duration::from_secs(3600)).await;
    let code = code(&provider).await;
    let mut delayed = Box::pin(redeem(&provider, &code, &[]));
    tokio::select! {
        _ = &mut delayed => panic!("it is delayed"),
        _ = provider.wait_for(|seen| seen.token.len() == 1) => {}
    }
}

#[tokio::test]
async fn fields_of_the_token_answer_can_be_bent_or_left_out() {
    let provider = provider(|s| {
        s.expires_in = Some(json!("3599"));
        s.token_type = Some("bEaReR".to_owned());
        s.granted_scopes = Some("openid".to_owned());
        s.omit_refresh_token = true;
    })
    .await;
    let bent = connect(&provider).await.json();
    assert_eq!((&bent["expires_in"], &bent["token_type"]), (&json!("3599"), &json!("bEaReR")));
    assert_eq!(bent["scope"], "openid");
    assert!(bent.get("refresh_token").is_none());

    provider.set(|s| s.omit_token_fields = vec!["expires_in".into(), "scope".into(), "token_type".into()]);
    let bare = connect(&provider).await.json();
    let names: Vec<&String> = bare.as_object().unwrap().keys().collect();
    assert_eq!(names, ["access_token", "id_token"]);
    provider.set(|s| (s.omit_token_fields, s.expires_in) = (Vec::new(), Some(Value::Null)));
    assert!(connect(&provider).await.json()["expires_in"].is_null());
}

#[tokio::test]
async fn granted_scopes_are_what_the_api_sees() {
    let provider = provider(|_| {}).await;
    let full = text(&connect(&provider).await, "access_token");
    provider.set(|s| s.granted_scopes = Some("openid".to_owned()));
    let less = text(&connect(&provider).await, "access_token");
    assert_eq!(get_as(&provider, "/api/notes", &full).await.status, 200);
    assert_eq!(get_as(&provider, "/api/notes", &less).await.status, 403);
}

#[tokio::test]
async fn a_documented_answer_is_replayed_byte_for_byte() {
    let body = r#"access_token={{access_token}}&r={{refresh_token}}&i={{id_token}}&scope=repo%2Cgist"#;
    let provider = provider(|s| {
        s.token_response = Some(Raw::new(200, "application/x-www-form-urlencoded", body));
        s.id_token_claims = json!({ "team": "T1" });
    })
    .await;
    let answer = connect(&provider).await;
    assert_eq!(answer.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(answer.body.ends_with("&scope=repo%2Cgist"));
    let fields: Vec<(String, String)> = form_urlencoded::parse(answer.body.as_bytes()).into_owned().collect();
    assert_eq!(get_as(&provider, "/userinfo", &fields[0].1).await.status, 200);
    assert_eq!(crate::id_tokens::part(&fields[2].1, 1)["team"], "T1");
    // An invalid request gets the usual refusal.
    assert_eq!(redeem(&provider, "no-such-code", &[]).await.status, 400);
}
