//! What a mint refuses, and what it stores.

use alter_core::StoreError;
use alter_flows::{FlowFault, MintError, MintRequest, Minted};
use secrecy::SecretString;

use super::support::{ORIGIN, World};

fn providers(list: &[&str]) -> MintRequest {
    let list = list.iter().map(|id| (*id).to_owned()).collect();
    MintRequest { allowed_providers: Some(list), ..MintRequest::default() }
}

fn returning(url: &str) -> MintRequest {
    MintRequest { return_url: Some(url.to_owned()), ..MintRequest::default() }
}

/// Whether storage refused, for the right reason.
fn storage_refused(minted: &Result<Minted, MintError>, is_right: fn(&StoreError) -> bool) -> bool {
    matches!(minted, Err(MintError::Fault(FlowFault::Store(error))) if is_right(error))
}

type Refused = (MintRequest, fn(&MintError) -> bool);

fn refused() -> Vec<Refused> {
    let origin = |origin: &str| MintRequest { allowed_origin: Some(origin.into()), ..MintRequest::default() };
    let agent = MintRequest { agent: Some("helper".into()), ..MintRequest::default() };
    let user = MintRequest { user_token: Some(SecretString::from("a.b.c")), ..MintRequest::default() };
    vec![
        (origin("https://app.example/path"), |e| matches!(e, MintError::InvalidOrigin(_))),
        (origin("null"), |e| matches!(e, MintError::InvalidOrigin(_))),
        (returning("https://evil.example/"), |e| matches!(e, MintError::InvalidReturnUrl(_))),
        (providers(&[]), |e| matches!(e, MintError::InvalidProviders)),
        (providers(&["unknown"]), |e| matches!(e, MintError::NoProviders { .. })),
        (agent, |e| matches!(e, MintError::AgentRequiresUserToken)),
        (user, |e| matches!(e, MintError::User(_))),
    ]
}

#[tokio::test]
async fn a_mint_refuses_what_it_must_and_stores_no_session() {
    let world = World::new().await;
    for (request, is_right) in refused() {
        let asked = format!("{request:?}");
        let error = world.mint(&world.caller().await, request).await.unwrap_err();
        assert!(is_right(&error), "{asked}: {error}");
        assert_eq!(world.open_sessions().await, 0, "{asked}");
    }

    // Positive control: the same fields, all valid, in one request.
    let good = MintRequest {
        allowed_origin: Some(ORIGIN.into()),
        return_url: Some(format!("{ORIGIN}/done")),
        ..providers(&["mock", "unknown"])
    };
    let minted = world.mint(&world.caller().await, good).await.unwrap();
    assert_eq!((world.open_sessions().await, minted.single_provider), (1, true));
}

#[tokio::test]
async fn t61_a_mint_that_was_refused_is_spent_too() {
    let world = World::new().await;
    let caller = world.caller().await;
    world.mint(&caller, providers(&[])).await.unwrap_err();
    let again = world.mint(&caller, MintRequest::default()).await;
    assert!(storage_refused(&again, |e| matches!(e, StoreError::NonceReplayed)), "{again:?}");
    assert_eq!(world.open_sessions().await, 0);
    world.mint(&world.caller().await, MintRequest::default()).await.unwrap();
}

#[tokio::test]
async fn t61_a_mint_stores_session_and_nonce_together_or_neither() {
    let world = World::new().await;
    let caller = world.caller().await;
    // Storage accepts no NUL: it refuses the session, and the nonce in the same transaction.
    let unstorable = MintRequest { label: Some("a\0b".into()), ..MintRequest::default() };
    let refused = world.mint(&caller, unstorable).await;
    assert!(storage_refused(&refused, |e| matches!(e, StoreError::Unstorable)), "{refused:?}");
    assert_eq!(world.open_sessions().await, 0);

    world.mint(&caller, MintRequest::default()).await.unwrap();
    let again = world.mint(&caller, MintRequest::default()).await;
    assert!(storage_refused(&again, |e| matches!(e, StoreError::NonceReplayed)), "{again:?}");
    assert_eq!(world.open_sessions().await, 1);
}
