//! The metadata documents and the key set, honest and forged.

use alter_mock_provider::{Alg, Gate, Raw};
use serde_json::json;

use crate::client::*;

const OIDC: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn both_documents_say_the_truth() {
    let provider = provider(|s| s.id_token_alg = Alg::Rs256).await;
    let document = get(&provider, OIDC).await.json();
    assert_eq!(document, get(&provider, OAUTH).await.json());
    assert_eq!(document["issuer"], json!(provider.issuer()));
    assert_eq!(document["token_endpoint"], json!(provider.url("/token")));
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["RS256"]));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    assert_eq!(provider.seen().discovery.len(), 2);
}

#[tokio::test]
async fn the_documents_can_lie() {
    let provider = provider(|s| {
        s.advertise_iss = false;
        s.discovery_fields =
            json!({ "issuer": "https://evil.example", "token_endpoint": "http://x/t", "jwks_uri": null });
    })
    .await;
    let document = get(&provider, OIDC).await.json();
    assert_eq!(document["issuer"], "https://evil.example");
    assert_eq!(document["token_endpoint"], "http://x/t");
    assert_eq!(document["authorization_response_iss_parameter_supported"], false);
    assert!(document.get("jwks_uri").is_none());
    provider.set(|s| s.discovery = Some(Raw::new(503, "text/html", "<h1>down</h1>")));
    let down = get(&provider, OIDC).await;
    assert_eq!((down.status, down.body.as_str()), (503, "<h1>down</h1>"));
    assert_eq!(down.header("content-type"), Some("text/html"));
}

#[tokio::test]
async fn t67_the_key_set_can_be_replaced_and_oversized() {
    let provider = provider(|_| {}).await;
    assert_eq!(get(&provider, "/jwks").await.json()["keys"].as_array().unwrap().len(), 1);
    provider.set(|s| s.jwks = Some(Raw::oversized(200, &json!({ "keys": [] }), 300_000)));
    let oversized = get(&provider, "/jwks").await;
    assert_eq!(oversized.body.len(), 300_000);
    assert_eq!(oversized.json(), json!({ "keys": [] }));
    provider.set(|s| s.jwks = Some(Raw::json(404, &json!({}))));
    assert_eq!(get(&provider, "/jwks").await.status, 404);
    assert_eq!(provider.seen().jwks.len(), 3);
}

#[tokio::test]
async fn headers_delays_and_gates_apply_to_their_path_only() {
    let gate = Gate::closed();
    let provider = provider(|s| {
        s.gates = vec![("/userinfo".into(), gate.clone())];
        s.headers = vec![("/jwks".into(), "location".into(), "http://169.254.169.254/".into())];
        s.delays = vec![("/jwks".into(), std::time::Duration::from_secs(3600))];
        s.jwks = Some(Raw::new(302, "", ""));
    })
    .await;
    let mut slow = Box::pin(get(&provider, "/jwks"));
    tokio::select! {
        _ = &mut slow => panic!("it is delayed"),
        _ = provider.wait_for(|seen| seen.jwks.len() == 1) => {}
    }
    assert_eq!(get(&provider, OIDC).await.header("location"), None);
    provider.set(|s| s.delays.clear());
    let moved = get(&provider, "/jwks").await;
    assert_eq!((moved.status, moved.header("location")), (302, Some("http://169.254.169.254/")));
    assert_eq!(moved.header("content-type"), None);
    let mut held = Box::pin(get(&provider, "/userinfo"));
    tokio::select! {
        _ = &mut held => panic!("it is held"),
        _ = provider.wait_for(|seen| seen.userinfo.len() == 1) => {}
    }
    gate.open();
    assert_eq!(held.await.status, 401);
}
