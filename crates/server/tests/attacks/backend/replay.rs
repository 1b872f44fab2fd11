//! One nonce, one call: at once, later, after a restart, at another server (T61).

use alter_flows::reap;
use std::sync::Arc;

use alter_testkit::{Reply, Sent, TestServer, http::send};
use serde_json::json;

use super::{MINT, POLL, grant, second_app, wanted};

fn is_replay(reply: &Reply) -> bool {
    (reply.status, reply.error().as_str()) == (401, "invalid_signature")
}

/// A call of each route that a replay could profit from.
async fn calls(server: &TestServer) -> Vec<(&'static str, Sent)> {
    let token = server.mint(&json!({})).await;
    let grant = grant(server).await;
    let key = &server.app.key;
    server.set_idp(&server.app, None).await;
    let user = server.mock.user_token("acme-1001", "any");
    vec![
        ("mint", server.signed(key, MINT, &json!({}))),
        ("poll", server.signed(key, POLL, &json!({ "session_token": token }))),
        ("token", server.signed(key, "/sdk/token", &wanted(server, &grant))),
        ("verify-token", server.signed(key, "/sdk/auth/verify-token", &json!({ "token": user }))),
        ("list", server.signed(key, "/sdk/grants/list", &json!({}))),
        ("catalog", server.signed_raw(key, "GET", "/sdk/oauth/provider-catalog", b"")),
        ("agents", server.signed_raw(key, "GET", "/sdk/agents", b"")),
        ("agent", server.signed(key, "/sdk/agents", &json!({ "name": "once" }))),
        ("revoke", server.signed(key, &format!("/sdk/oauth/grants/{grant}/revoke"), &json!({}))),
        ("revoke again", server.signed(key, &format!("/sdk/oauth/grants/{grant}/revoke"), &json!({}))),
    ]
}

#[tokio::test]
async fn t61_a_replayed_call_is_refused_and_releases_nothing() {
    let server = TestServer::start().await;
    for (name, sent) in calls(&server).await {
        let first = server.send(sent.clone()).await;
        assert!(first.status < 300, "{name}: {}", first.text());
        let released = server.store.list_audit(server.app.id, 500).await.unwrap().len();
        for _ in 0..3 {
            let again = server.send(sent.clone()).await;
            assert!(is_replay(&again), "{name}: {} {}", again.status, again.text());
        }
        assert_eq!(
            server.store.list_audit(server.app.id, 500).await.unwrap().len(),
            released,
            "{name}: nothing happened"
        );
    }
}

#[tokio::test]
async fn t61_a_replay_is_refused_after_a_restart() {
    let mut server = TestServer::start().await;
    let calls = calls(&server).await;
    for (name, sent) in &calls {
        assert!(server.send(sent.clone()).await.status < 300, "{name}");
    }
    server.restart().await;
    for (name, sent) in calls {
        assert!(is_replay(&server.send(sent).await), "{name}");
    }
    server.mint(&json!({})).await;
}

#[tokio::test]
async fn t61_a_replay_at_another_server_on_the_same_data_is_refused() {
    let server = TestServer::start().await;
    let (_, second) = server.replica(None).await;
    for (name, sent) in calls(&server).await {
        let there = sent.clone().header("host", &server.host);
        assert!(send(&second, there.clone()).await.status < 300, "{name}: control: it serves");
        assert!(is_replay(&server.send(sent).await), "{name}");
        assert!(is_replay(&send(&second, there).await), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t61_of_fifty_copies_at_two_servers_at_once_one_is_served() {
    let server = Arc::new(TestServer::start().await);
    let (_, second) = server.replica(None).await;
    for (name, sent) in calls(&server).await {
        let mut tasks = tokio::task::JoinSet::new();
        for copy in 0..50 {
            let (server, second, sent) =
                (server.clone(), second.clone(), sent.clone().header("host", &server.host));
            tasks.spawn(async move {
                if copy % 2 == 0 { server.send(sent).await } else { send(&second, sent).await }
            });
        }
        let mut served = 0;
        while let Some(reply) = tasks.join_next().await {
            let reply = reply.unwrap();
            served += usize::from(reply.status < 300);
            assert!(
                reply.status < 300 || is_replay(&reply) || reply.status == 503,
                "{name}: {}",
                reply.text()
            );
        }
        assert_eq!(served, 1, "{name}");
    }
}

#[tokio::test]
async fn t61_a_nonce_outlives_the_timestamp_that_came_with_it() {
    let server = TestServer::start().await;
    server.clock.freeze();
    // Signed by a clock that is 300 s ahead: the timestamp is acceptable for ten minutes.
    server.clock.advance_seconds(300);
    let sent = server.signed(&server.app.key, MINT, &json!({}));
    server.clock.advance_seconds(-300);
    assert_eq!(server.send(sent.clone()).await.status, 201);
    for later in [1, 299, 299, 1] {
        server.clock.advance_seconds(later);
        reap::reap(&server.flows).await.unwrap();
        assert!(is_replay(&server.send(sent.clone()).await), "{later} s later");
    }
    server.clock.advance_seconds(1);
    assert_eq!(server.send(sent).await.error(), "signature_expired");
}

#[tokio::test]
async fn t61_a_nonce_is_used_up_for_its_own_key_alone() {
    let server = TestServer::start().await;
    server.clock.freeze();
    let other = second_app(&server).await;
    let nonce = "0123456789abcdef0123456789abcdef";
    let signed = |key: &secrecy::SecretString| {
        let timestamp = alter_core::Clock::now(&server.clock).as_seconds().to_string();
        let parts = alter_signing::SignedParts {
            method: "POST",
            target: MINT,
            timestamp: &timestamp,
            nonce,
            body: b"{}",
            ..Default::default()
        };
        let signature = alter_signing::sign(secrecy::ExposeSecret::expose_secret(key), &parts);
        server
            .signed(key, MINT, &json!({}))
            .set("x-alter-timestamp", &timestamp)
            .set("x-alter-nonce", nonce)
            .set("x-alter-signature", &signature)
    };
    assert_eq!(server.send(signed(&server.app.key)).await.status, 201);
    assert_eq!(server.send(signed(&other.key)).await.status, 201, "another key may have the same");
    assert!(is_replay(&server.send(signed(&server.app.key)).await));
    for odd in [
        "",
        "0123456789ABCDEF0123456789ABCDEF",
        "0123",
        "0123456789abcdef0123456789abcdeg",
        "0123456789abcdef0123456789abcdef00",
    ] {
        let sent = server.signed(&server.app.key, MINT, &json!({})).set("x-alter-nonce", odd);
        assert!(is_replay(&server.send(sent).await), "{odd:?}");
    }
}

/// The same bytes must not succeed once the reason for the refusal is gone.
#[tokio::test]
async fn t61_a_refused_call_is_spent_too() {
    let server = TestServer::start().await;
    let later = json!({ "allowed_providers": ["later"] });
    let sent = server.signed(&server.app.key, MINT, &later);
    assert_eq!(server.send(sent.clone()).await.error(), "no_providers");
    server.add_provider(&server.app, "later", |_| {}).await;
    assert!(is_replay(&server.send(sent).await));
    assert_eq!(server.call(MINT, &later).await.status, 201, "control: a fresh call");

    let nowhere = wanted(&server, "11111111-2222-4333-8444-555555555555");
    let sent = server.signed(&server.app.key, "/sdk/token", &nowhere);
    assert_eq!(server.send(sent.clone()).await.error(), "grant_not_found");
    assert!(is_replay(&server.send(sent).await));
}
