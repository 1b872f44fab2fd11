//! Refreshing when the provider refuses by mistake, is busy, hangs, or loses its answer.

use alter_mock_provider::{Gate, MockProvider, Raw, RetryAfter, TokenFault, Tokens};
use serde_json::{Value, json};

use crate::client::*;

/// A provider with a grant whose next refresh requests meet this fault.
async fn faulty(fault: TokenFault, times: Option<u32>) -> (MockProvider, Tokens) {
    let provider = provider(|s| {
        s.clock_stands_at = Some(784_111_777);
        s.refresh.fault = Some(fault);
        s.refresh.fault_times = times;
    })
    .await;
    let tokens = provider.make_grant(CLIENT, "acme-1001", SCOPE);
    (provider, tokens)
}

/// The bytes of a refresh request that needs no header of its own.
fn request(token: &str) -> String {
    let fields = encode(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
    ]);
    http("POST", "/token", &[("content-type", "application/x-www-form-urlencoded")], &fields)
}

#[tokio::test]
async fn a_refusal_by_mistake_passes_and_leaves_the_token_good() {
    for (error, status) in [
        ("invalid_grant", 400),
        ("unauthorized_client", 400),
        ("invalid_client", 401),
        ("bad_refresh_token", 400),
        ("temporarily_unavailable", 400),
    ] {
        let (provider, tokens) = faulty(TokenFault::Refuse(error.to_owned()), Some(2)).await;
        for _ in 0..2 {
            let refused = refresh(&provider, &tokens.refresh_token).await;
            assert_eq!((refused.status, text(&refused, "error").as_str()), (status, error));
        }
        assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 200);
    }
}

#[tokio::test]
async fn a_fault_without_a_number_lasts_until_it_is_switched_off_and_spares_the_code_flow() {
    let (provider, tokens) = faulty(TokenFault::Status(503), None).await;
    for _ in 0..3 {
        assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 503);
    }
    assert_eq!(connect(&provider).await.status, 200);
    provider.set(|s| s.refresh.fault = None);
    assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_provider_can_refuse_in_words_of_its_own() {
    let said = [
        Raw::json(200, &json!({ "ok": false, "error": "invalid_refresh_token" })),
        Raw::json(200, &json!({ "error": "invalid_grant" })),
        Raw::json(400, &json!({ "error": "bad_refresh_token" })),
        Raw::new(403, "text/plain; charset=utf-16", "gone").with_header("x-reason", "token_revoked"),
        Raw::new(401, "", ""),
    ];
    for raw in said {
        let (provider, tokens) = faulty(TokenFault::Answer(raw.clone()), Some(1)).await;
        let answer = refresh(&provider, &tokens.refresh_token).await;
        assert_eq!((answer.status, &answer.body), (raw.status, &raw.body));
        assert_eq!(answer.header("content-type").unwrap_or_default(), raw.content_type);
        for (name, value) in &raw.headers {
            assert_eq!(answer.header(name), Some(value.as_str()));
        }
        assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 200);
    }
}

#[tokio::test]
async fn a_busy_provider_says_when_to_come_back_in_every_form() {
    for (when, header) in [
        (RetryAfter::Seconds(7), "7"),
        (RetryAfter::Seconds(-1), "-1"),
        (RetryAfter::Seconds(1_000_000_000_000), "1000000000000"),
        (RetryAfter::Date(0), "Sun, 06 Nov 1994 08:49:37 GMT"),
        (RetryAfter::Date(3), "Sun, 06 Nov 1994 08:49:40 GMT"),
        (RetryAfter::Date(-37), "Sun, 06 Nov 1994 08:49:00 GMT"),
        (RetryAfter::Date(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT"),
        (RetryAfter::Text("in a while".to_owned()), "in a while"),
    ] {
        let (provider, tokens) = faulty(TokenFault::TooMany(when), Some(1)).await;
        let busy = refresh(&provider, &tokens.refresh_token).await;
        assert_eq!((busy.status, busy.header("retry-after")), (429, Some(header)));
        assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 200);
    }
}

#[tokio::test]
async fn a_limit_refuses_what_is_over_it_in_one_second_and_counts() {
    let provider = provider(|s| {
        s.clock_stands_at = Some(1_900_000_000);
        s.refresh.limit_a_second = Some(2);
    })
    .await;
    let tokens: Vec<Tokens> = (0..3).map(|_| provider.make_grant(CLIENT, "acme-1001", SCOPE)).collect();
    let mut statuses = Vec::new();
    for one in &tokens {
        statuses.push(refresh(&provider, &one.refresh_token).await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    provider.set(|s| s.clock_offset_s = 1);
    assert_eq!(refresh(&provider, &tokens[2].refresh_token).await.status, 200);
    let counts = provider.refresh_counts();
    assert_eq!((counts.arrived, counts.honoured, counts.over_limit, counts.turned_away), (4, 3, 1, 1));
    assert_eq!(counts.most_in_a_second, 3);
    let third = provider.refresh_token(&tokens[2].refresh_token).unwrap();
    assert_eq!((third.sent, third.turned_away, third.honoured), (2, 1, 1));
}

#[tokio::test]
async fn a_held_answer_has_taken_effect_before_its_client_gives_up() {
    let gate = Gate::closed();
    let (provider, tokens) = faulty(TokenFault::HoldAnswer(gate.clone()), Some(1)).await;
    let gives_up = open(&provider, &request(&tokens.refresh_token)).await;
    provider.wait_for_refreshes(|counts| counts.honoured == 1).await;
    drop(gives_up);
    let grant = provider.grant_of(&tokens.refresh_token).unwrap();
    assert_eq!((grant.refreshes, grant.live_refresh.len()), (1, 1));
    assert_ne!(grant.live_refresh[0], tokens.refresh_token);
    assert_eq!(text(&refresh(&provider, &tokens.refresh_token).await, "error"), "invalid_grant");
}

#[tokio::test]
async fn a_held_answer_arrives_once_the_gate_is_open() {
    let gate = Gate::closed();
    let (provider, tokens) = faulty(TokenFault::HoldAnswer(gate.clone()), Some(1)).await;
    let mut held = Box::pin(refresh(&provider, &tokens.refresh_token));
    tokio::select! {
        _ = &mut held => panic!("it is held"),
        _ = provider.wait_for_refreshes(|counts| counts.honoured == 1) => {}
    }
    gate.open();
    let answer = held.await;
    assert_eq!(provider.grants()[0].live_refresh, [text(&answer, "refresh_token")]);
}

#[tokio::test]
async fn a_hanging_provider_does_nothing_until_it_is_released() {
    let gate = Gate::closed();
    let (provider, tokens) = faulty(TokenFault::HoldBeforeEffect(gate.clone()), Some(1)).await;
    let mut hangs = Box::pin(refresh(&provider, &tokens.refresh_token));
    tokio::select! {
        _ = &mut hangs => panic!("it hangs"),
        _ = provider.wait_for_refreshes(|counts| counts.arrived == 1) => {}
    }
    assert_eq!(provider.grants()[0].live_refresh, std::slice::from_ref(&tokens.refresh_token));
    gate.open();
    assert_eq!(hangs.await.status, 200);
}

#[tokio::test]
async fn a_late_effect_comes_although_its_client_is_gone() {
    let gate = Gate::closed();
    let (provider, tokens) = faulty(TokenFault::HoldBeforeEffect(gate.clone()), Some(1)).await;
    let gives_up = open(&provider, &request(&tokens.refresh_token)).await;
    provider.wait_for_refreshes(|counts| counts.arrived == 1).await;
    drop(gives_up);
    let retried = refresh(&provider, &tokens.refresh_token).await;
    assert_eq!(retried.status, 200);
    gate.open();
    let counts = provider.wait_for_refreshes(|counts| counts.refused == 1).await;
    assert_eq!((counts.arrived, counts.honoured, counts.most_sent), (2, 1, 2));
}

#[tokio::test]
async fn a_lost_answer_leaves_a_pair_that_nobody_holds() {
    for fault in [
        TokenFault::CloseBeforeAnswer,
        TokenFault::CloseMidBody,
        TokenFault::AnswerAfterEffect(Raw::new(504, "text/html", "<h1>timeout</h1>")),
    ] {
        let (provider, tokens) = faulty(fault.clone(), Some(1)).await;
        let lost = refresh(&provider, &tokens.refresh_token).await;
        assert!(serde_json::from_str::<Value>(&lost.body).is_err(), "{fault:?}");
        if fault == TokenFault::CloseMidBody {
            let announced: usize = lost.header("content-length").unwrap().parse().unwrap();
            assert_eq!((lost.status, lost.body.len()), (200, announced / 2));
        }
        let grant = &provider.grants()[0];
        assert_eq!((grant.refreshes, grant.live_refresh.len()), (1, 1), "{fault:?}");
        assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 400, "{fault:?}");
    }
}

#[tokio::test]
async fn a_connection_can_close_before_anything_happened() {
    let (provider, tokens) = faulty(TokenFault::CloseBeforeEffect, Some(1)).await;
    assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 0);
    assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_fault_of_the_token_endpoint_meets_refreshes_too() {
    let provider = provider(|s| s.token_fault = Some(TokenFault::Status(500))).await;
    let tokens = provider.make_grant(CLIENT, "acme-1001", SCOPE);
    assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 500);
    assert_eq!(provider.refresh_counts().turned_away, 1);
}
