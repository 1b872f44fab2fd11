//! T24: the relying-party modules of the OpenID conformance suite that concern the id_token, under their own names,
//! against a provider that misbehaves in each of these ways. The control is the same flow without the fault.

mod support;

use alter_mock_provider::{Alg, IdTokenFault, Raw, Switches};
use alter_oauth::{BadClaim, IdTokenRefused, IdentityUnreadable, identity, userinfo};
use serde_json::json;
use support::{Flow, World, now};

/// How a module must end.
#[derive(Debug, PartialEq)]
enum Verdict {
    Accepted,
    Algorithm,
    Key,
    Signature,
    Malformed,
    Claim(BadClaim),
}

fn verdict<T: std::fmt::Debug>(result: Result<T, IdTokenRefused>) -> Verdict {
    match result {
        Ok(_) => Verdict::Accepted,
        Err(IdTokenRefused::Algorithm) => Verdict::Algorithm,
        Err(IdTokenRefused::Key) => Verdict::Key,
        Err(IdTokenRefused::Signature) => Verdict::Signature,
        Err(IdTokenRefused::Malformed(_)) => Verdict::Malformed,
        Err(IdTokenRefused::Claim(claim)) => Verdict::Claim(claim),
        Err(other) => panic!("{other:?}"),
    }
}

type Module = (&'static str, fn(&mut Switches), Verdict);

fn fault(name: &'static str, fault: fn(&mut Switches), verdict: Verdict) -> Module {
    (name, fault, verdict)
}

/// Removes the fault. The keys stay as they are: going back to an old key would be one more rotation.
fn mend(switches: &mut Switches) {
    *switches = Switches {
        auto_approve: true,
        id_token_alg: switches.id_token_alg,
        key_generation: switches.key_generation,
        jwks_keep_old: switches.jwks_keep_old,
        ..Switches::default()
    };
}

/// Runs each module between two controls, in its own world.
async fn run(modules: Vec<Module>) {
    for (name, set, expected) in modules {
        let world = World::new().await;
        assert_eq!(verdict(world.sign_in().await), Verdict::Accepted, "control before {name}");
        world.provider.set(set);
        assert_eq!(verdict(world.sign_in().await), expected, "{name}");
        world.provider.set(mend);
        assert_eq!(verdict(world.sign_in().await), Verdict::Accepted, "control after {name}");
    }
}

#[tokio::test]
async fn t24_a_wrong_signature_algorithm_or_key_is_refused() {
    run(vec![
        fault("OIDCCClientTestIdTokenSigAlgNone", |s| s.id_token = IdTokenFault::AlgNone, Verdict::Algorithm),
        fault(
            "FAPI2SPFinalClientTestInvalidNullAlg",
            |s| s.id_token = IdTokenFault::AlgNone,
            Verdict::Algorithm,
        ),
        fault(
            "OIDCCClientTestInvalidIdTokenSignatureWithHS256",
            |s| s.id_token = IdTokenFault::Hs256WithPublicKey,
            Verdict::Algorithm,
        ),
        fault(
            "OIDCCClientTestInvalidIdTokenSignatureWithES256",
            |s| s.id_token = IdTokenFault::BadSignature,
            Verdict::Signature,
        ),
        fault(
            "OIDCCClientTestInvalidIdTokenSignatureWithRS256",
            |s| {
                s.id_token_alg = Alg::Rs256;
                s.key_generation = 1;
                s.id_token = IdTokenFault::BadSignature;
            },
            Verdict::Signature,
        ),
        fault(
            "a key that is not the provider's",
            |s| s.id_token = IdTokenFault::ForeignKey,
            Verdict::Signature,
        ),
        fault("a kid that is not the provider's", |s| s.id_token = IdTokenFault::KidUnknown, Verdict::Key),
        fault(
            "OIDCCClientTestKidAbsentMultipleMatchingKeysInJwks",
            |s| {
                s.key_generation = 1;
                s.jwks_keep_old = true;
                s.id_token = IdTokenFault::KidAbsent;
            },
            Verdict::Key,
        ),
    ])
    .await;
}

#[tokio::test]
async fn t24_a_wrong_or_missing_claim_is_refused_by_name() {
    use BadClaim::{Aud, Azp, Exp, Iat, Iss, Nbf, Nonce, Sub};
    let claim = Verdict::Claim;
    run(vec![
        fault("FAPI2SPFinalClientTestInvalidIss", |s| s.id_token = IdTokenFault::WrongIss, claim(Iss)),
        fault("FAPI2SPFinalClientTestMissingIss", |s| s.id_token = IdTokenFault::MissingIss, claim(Iss)),
        fault("FAPI2SPFinalClientTestInvalidAud", |s| s.id_token = IdTokenFault::WrongAud, claim(Aud)),
        fault("FAPI2SPFinalClientTestMissingAud", |s| s.id_token = IdTokenFault::MissingAud, claim(Aud)),
        fault("OIDCCClientTestMissingAud", |s| s.id_token = IdTokenFault::MissingAud, claim(Aud)),
        fault(
            "FAPI2SPFinalClientTestInvalidSecondaryAud",
            |s| s.id_token = IdTokenFault::AudArrayWithSecondary,
            claim(Aud),
        ),
        fault("an azp that is another client", |s| s.id_token_claims = json!({"azp": "another"}), claim(Azp)),
        fault("FAPI2SPFinalClientTestInvalidExpiredExp", |s| s.id_token = IdTokenFault::Expired, claim(Exp)),
        fault("FAPI2SPFinalClientTestMissingExp", |s| s.id_token = IdTokenFault::MissingExp, claim(Exp)),
        fault("OIDCCClientTestMissingIat", |s| s.id_token = IdTokenFault::MissingIat, claim(Iat)),
        fault("an iat two hours ahead", |s| s.id_token = IdTokenFault::FromTheFuture, claim(Iat)),
        fault("an nbf far ahead", |s| s.id_token_claims = json!({"nbf": 9_999_999_999_i64}), claim(Nbf)),
        fault("OIDCCClientTestMissingSub", |s| s.id_token = IdTokenFault::MissingSub, claim(Sub)),
        fault("OIDCCClientTestNonceInvalid", |s| s.id_token = IdTokenFault::NonceWrong, claim(Nonce)),
        fault(
            "FAPI2SPFinalClientTestMissingNonce",
            |s| s.id_token = IdTokenFault::NonceMissing,
            claim(Nonce),
        ),
        fault(
            "an at_hash of another token",
            |s| s.id_token_claims = json!({"at_hash": "AAAA"}),
            claim(BadClaim::AtHash),
        ),
    ])
    .await;
}

#[tokio::test]
async fn t24_what_is_unusual_and_right_is_accepted() {
    run(vec![
        fault(
            "FAPI2SPFinalClientTestValidAudAsArray",
            |s| s.id_token = IdTokenFault::AudArray,
            Verdict::Accepted,
        ),
        fault(
            "OIDCCClientTestKidAbsentSingleJwks",
            |s| s.id_token = IdTokenFault::KidAbsent,
            Verdict::Accepted,
        ),
        fault("OIDCCClientTestSigningKeyRotation", |s| s.key_generation = 1, Verdict::Accepted),
        fault(
            "an RSA key",
            |s| {
                s.id_token_alg = Alg::Rs256;
                s.key_generation = 1;
            },
            Verdict::Accepted,
        ),
        fault("a clock 30 s ahead", |s| s.clock_offset_s = 30, Verdict::Accepted),
        fault(
            "FAPI2SPFinalClientTestTokenTypeCaseInsenstivity",
            |s| s.token_type = Some("bEARER".into()),
            Verdict::Accepted,
        ),
    ])
    .await;
}

#[tokio::test]
async fn t24_fapi2_alternate_alg_a_good_signature_by_an_algorithm_that_the_recipe_lacks_is_refused() {
    let mut world = World::new().await;
    world.provider.set(|s| s.id_token_alg = Alg::Rs256);
    world.recipe.id_token_algs = vec!["ES256".into()];
    assert_eq!(verdict(world.sign_in().await), Verdict::Algorithm);
    world.recipe.id_token_algs = vec!["RS256".into()];
    assert_eq!(verdict(world.sign_in().await), Verdict::Accepted);
    // A mistake in the operator's configuration does not open the door either.
    world.recipe.id_token_algs = vec!["HS256".into(), "none".into(), "RS256".into()];
    for fault in [IdTokenFault::Hs256WithPublicKey, IdTokenFault::AlgNone] {
        world.provider.set(|s| s.id_token = fault);
        assert_eq!(verdict(world.sign_in().await), Verdict::Algorithm);
    }
}

#[tokio::test]
async fn t24_a_key_in_the_tokens_own_header_is_not_looked_at_and_crit_is_refused() {
    let world = World::new().await;
    let evil = alter_mock_provider::MockProvider::start().await;
    let flow = Flow::new(&["openid"]);
    let mut tokens = world.tokens(&flow).await.unwrap();
    let seconds = now().as_seconds();
    let claims = json!({"iss": world.provider.issuer(), "sub": "acme-1001", "aud": support::CLIENT, "iat": seconds,
        "exp": seconds + 300, "nonce": flow.nonce});
    tokens.id_token = Some(world.provider.sign(json!({}), claims.clone()).into());
    assert_eq!(verdict(world.verify(&tokens, &flow.nonce, now()).await), Verdict::Accepted);

    // The foreign provider's own keys, offered in every way that a header allows.
    let jku = json!({"jku": evil.url("/jwks"), "x5u": evil.url("/cert"), "x5c": ["AAAA"]});
    tokens.id_token = Some(evil.sign(jku, claims.clone()).into());
    assert_eq!(verdict(world.verify(&tokens, &flow.nonce, now()).await), Verdict::Signature);
    assert!(evil.seen().jwks.is_empty() && evil.seen().other.is_empty());

    tokens.id_token = Some(world.provider.sign(json!({"crit": ["exp"]}), claims).into());
    assert_eq!(verdict(world.verify(&tokens, &flow.nonce, now()).await), Verdict::Malformed);
}

#[tokio::test]
async fn t24_an_id_token_of_64_kib_is_read_and_a_longer_one_is_not() {
    let world = World::new().await;
    let flow = Flow::new(&["openid"]);
    let mut tokens = world.tokens(&flow).await.unwrap();
    let seconds = now().as_seconds();
    let padded = |bytes: usize| {
        let claims = json!({"iss": world.provider.issuer(), "sub": "acme-1001", "aud": support::CLIENT,
            "iat": seconds, "exp": seconds + 300, "nonce": flow.nonce, "pad": "x".repeat(bytes)});
        world.provider.sign(json!({}), claims)
    };
    let most = (64 * 1024 - padded(0).len()) / 4 * 3;
    for (bytes, expected) in [(most, Verdict::Accepted), (most + 12, Verdict::Malformed)] {
        tokens.id_token = Some(padded(bytes).into());
        assert_eq!(verdict(world.verify(&tokens, &flow.nonce, now()).await), expected, "{bytes}");
    }
}

#[tokio::test]
async fn oidcc_signing_key_rotation_reads_the_keys_again_and_a_flood_of_unknown_kids_does_so_once_a_minute() {
    let world = World::new().await;
    let reads = || world.provider.seen().jwks.len();
    world.sign_in().await.unwrap();
    world.sign_in().await.unwrap();
    assert_eq!(reads(), 1);
    world.provider.set(|s| s.key_generation = 1);
    world.sign_in().await.unwrap();
    assert_eq!(reads(), 2);

    world.provider.set(|s| s.id_token = IdTokenFault::KidUnknown);
    for _ in 0..20 {
        assert_eq!(verdict(world.sign_in().await), Verdict::Key);
    }
    assert_eq!(reads(), 2);
    // A known key that does not verify the signature may have been replaced under its name: one look a minute, too.
    world.provider.set(|s| s.id_token = IdTokenFault::ForeignKey);
    let flow = Flow::new(&["openid"]);
    let tokens = world.tokens(&flow).await.unwrap();
    for seconds in [120, 121, 179] {
        let refused = world.verify(&tokens, &flow.nonce, now().plus_seconds(seconds)).await;
        assert_eq!(verdict(refused), Verdict::Signature);
    }
    assert_eq!(reads(), 3);

    world.provider.set(|s| s.id_token = IdTokenFault::KidUnknown);
    let flow = Flow::new(&["openid"]);
    let tokens = world.tokens(&flow).await.unwrap();
    for seconds in [179, 185, 186] {
        let refused = world.verify(&tokens, &flow.nonce, now().plus_seconds(seconds)).await;
        assert_eq!(verdict(refused), Verdict::Key);
    }
    assert_eq!(reads(), 4);
}

#[tokio::test]
async fn keys_that_cannot_be_read_again_stay_good_for_a_day() {
    let world = World::new().await;
    let (flow, start) = (Flow::new(&["openid"]), now());
    let exp = start.as_seconds() + 10 * 86_400;
    world.provider.set(|s| s.id_token_claims = json!({ "exp": exp }));
    let tokens = world.tokens(&flow).await.unwrap();
    world.verify(&tokens, &flow.nonce, start).await.unwrap();
    world.provider.set(|s| s.jwks = Some(Raw::new(500, "text/plain", "")));
    for hours in [2, 23] {
        assert!(
            world.verify(&tokens, &flow.nonce, start.plus_seconds(hours * 3600)).await.is_ok(),
            "{hours}"
        );
    }
    let late = start.plus_seconds(25 * 3600);
    assert!(matches!(world.verify(&tokens, &flow.nonce, late).await, Err(IdTokenRefused::Keys(_))));
    world.provider.set(|s| s.jwks = None);
    let again = world.verify(&tokens, &flow.nonce, late.plus_seconds(1)).await;
    assert!(again.is_ok(), "a user waits: the failure of a moment ago is no answer");
}

#[tokio::test]
async fn many_flows_at_once_read_the_keys_once() {
    let world = World::new().await;
    let flow = Flow::new(&["openid"]);
    let tokens = world.tokens(&flow).await.unwrap();
    let at = now();
    let (a, b, c, d) = tokio::join!(
        world.verify(&tokens, &flow.nonce, at),
        world.verify(&tokens, &flow.nonce, at),
        world.verify(&tokens, &flow.nonce, at),
        world.verify(&tokens, &flow.nonce, at),
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
    assert_eq!(world.provider.seen().jwks.len(), 1);
}

#[tokio::test]
async fn key_sets_that_are_too_large_or_no_key_sets_verify_nothing() {
    for raw in [
        Raw::oversized(200, &json!({"keys": []}), 300_000),
        Raw::json(200, &json!({"keys": vec![json!({"kty": "EC"}); 101]})),
        Raw::new(200, "text/html", "<html>"),
        Raw::new(302, "", ""),
    ] {
        let world = World::new().await;
        world.provider.set(|s| s.jwks = Some(raw));
        assert!(matches!(world.sign_in().await, Err(IdTokenRefused::Keys(_))));
        world.provider.set(|s| s.jwks = None);
        // During the pause after a failure nothing is asked; after the pause the flow works.
        let flow = Flow::new(&["openid"]);
        let tokens = world.tokens(&flow).await.unwrap();
        assert!(world.verify(&tokens, &flow.nonce, now().plus_seconds(61)).await.is_ok());
    }
}

#[tokio::test]
async fn t24_oidcc_invalid_sub_in_userinfo_response_gives_no_identity() {
    let world = World::new().await;
    let flow = Flow::new(&["openid"]);
    let tokens = world.tokens(&flow).await.unwrap();
    let claims = world.verify(&tokens, &flow.nonce, now()).await.unwrap();
    for (over, accepted) in
        [(json!({}), true), (json!({"sub": "acme-1002"}), false), (json!({"sub": null}), false)]
    {
        world.provider.set(|s| s.userinfo_claims = over);
        let asked =
            userinfo(&world.egress, &world.recipe, "client", &tokens.access_token, "Bearer").await.unwrap();
        let found = identity(&world.recipe, Some(&claims), Some(&asked), &tokens);
        assert_eq!(found.is_ok(), accepted);
        assert!(accepted || found == Err(IdentityUnreadable::OtherSubject));
    }
}
