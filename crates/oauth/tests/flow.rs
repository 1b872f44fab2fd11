//! Whole flows against a real provider on loopback, both friendly and hostile.

mod support;

use alter_core::{Cause, ProviderCode};
use alter_mock_provider::{ClientAuth, MockProvider, Raw, ResponseParam, TokenFault};
use alter_oauth::{
    BadCallback, Callback, CallbackOutcome, Client, DiscoveryError, Expiry, MixUp, Need, RawAnswer,
    RevokeError, RevokedToken, TokenRefused, TokenSet, UserinfoError, check_iss, discover, identity,
    introspect, needs_userinfo, parse_callback, revoke, userinfo,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use support::{CALLBACK, CLIENT, Flow, SECRET, World, now};

#[tokio::test]
async fn a_whole_flow_ends_with_tokens_claims_and_an_identity() {
    let world = World::new().await;
    let flow = Flow::new(&["openid", "email", "notes.read"]);
    let callback = world.callback(&flow).await;
    assert_eq!(callback.state, flow.state);
    check_iss(&world.recipe, callback.iss.as_deref()).unwrap();
    let CallbackOutcome::Code(code) = callback.outcome else { panic!("no code") };

    let answer = world.send(&code, &flow).await.unwrap();
    let answer = RawAnswer::from_bytes(&answer.to_bytes()).unwrap();
    let tokens = world.read(&answer).unwrap();
    assert!(tokens.refresh_token.is_some());
    assert_eq!(tokens.expiry, Some(Expiry::In(3600)));
    assert_eq!(tokens.scopes.as_ref().unwrap(), &flow.scopes);

    let claims = world.verify(&tokens, &flow.nonce, now()).await.unwrap();
    assert_eq!(needs_userinfo(&world.recipe, Some(&claims)), Need::Nothing);
    let asked = userinfo(&world.egress, &world.recipe, "client", &tokens.access_token, &tokens.token_type)
        .await
        .unwrap();
    let found = identity(&world.recipe, Some(&claims), Some(&asked), &tokens).unwrap();
    assert_eq!((found.subject.as_str(), found.account.as_str()), ("acme-1001", "alex@acme.example"));
    assert_eq!(found.display_name.as_deref(), Some("Alex Winter"));
}

#[tokio::test]
async fn each_way_of_client_authentication_is_accepted_by_a_provider_that_takes_no_other() {
    use alter_core::ClientAuth as Ours;
    let mut world = World::new().await;
    for (theirs, ours, accepted) in [
        (ClientAuth::BasicOnly, Ours::Basic, true),
        (ClientAuth::PostOnly, Ours::Post, true),
        (ClientAuth::PostOnly, Ours::Basic, false),
    ] {
        world.provider.set(|s| s.client_auth = theirs);
        world.recipe.client_auth = ours;
        let result = world.tokens(&Flow::new(&["a"])).await;
        assert_eq!(result.is_ok(), accepted, "{theirs:?} {ours:?} {result:?}");
        assert!(accepted || matches!(result, Err(TokenRefused::Provider(Cause::ClientRefused(_)))));
    }
    world.provider.set(|s| s.client_auth = ClientAuth::Any);
    world.provider.register_client(CLIENT, None, &[CALLBACK]);
    world.recipe.client_auth = Ours::None;
    assert!(world.tokens(&Flow::new(&["a"])).await.is_ok());
}

/// Why a response is not read: all of it, or all but its state.
fn why_not(query: &str) -> BadCallback {
    match parse_callback(query) {
        Err(why) | Ok(Callback { outcome: CallbackOutcome::Unreadable(why), .. }) => why,
        Ok(read) => panic!("{read:?}"),
    }
}

#[tokio::test]
async fn t16_a_response_whose_state_is_lost_or_doubled_is_no_response() {
    let world = World::new().await;
    let flow = Flow::new(&["a"]);
    world.provider.set(|s| s.state = ResponseParam::Missing);
    assert_eq!(parse_callback(&world.browse(&flow).await).unwrap_err(), BadCallback::State);
    world.provider.set(|s| s.state = ResponseParam::Wrong("x".repeat(10_000)));
    assert_eq!(parse_callback(&world.browse(&flow).await).unwrap_err(), BadCallback::TooLong);
    for (name, value) in [("state", "x"), ("code", "x"), ("iss", "x")] {
        world.provider.set(|s| {
            s.state = ResponseParam::Present;
            s.extra_response_params = vec![(name.into(), value.into())];
        });
        assert_eq!(why_not(&world.browse(&flow).await), BadCallback::Duplicate(name));
    }
    world.provider.set(|s| s.extra_response_params = vec![("error".into(), "access_denied".into())]);
    assert_eq!(why_not(&world.browse(&flow).await), BadCallback::CodeAndError);
    world.provider.set(|s| {
        s.extra_response_params = vec![("state[]".into(), "x".into()), ("scope".into(), "x".into())]
    });
    assert_eq!(parse_callback(&world.browse(&flow).await).unwrap().state, flow.state);
}

#[tokio::test]
async fn t19_an_issuer_that_is_missing_or_another_aborts_before_the_exchange() {
    let world = World::new().await;
    let other = MockProvider::start().await;
    let flow = Flow::new(&["a"]);
    for (iss, expected) in [
        (ResponseParam::Present, Ok(())),
        (ResponseParam::Missing, Err(MixUp::Missing)),
        (ResponseParam::Wrong(String::new()), Err(MixUp::Missing)),
        (ResponseParam::Wrong(other.issuer()), Err(MixUp::Different)),
        (ResponseParam::Wrong(format!("{}/", world.provider.issuer())), Err(MixUp::Different)),
    ] {
        for deny in [false, true] {
            world.provider.set(|s| {
                s.iss = iss.clone();
                s.auto_deny = deny;
            });
            let callback = world.callback(&flow).await;
            assert_eq!(check_iss(&world.recipe, callback.iss.as_deref()), expected, "{iss:?} {deny}");
        }
    }
    assert!(world.provider.seen().token.is_empty());
}

#[tokio::test]
async fn t20_discovery_believes_no_document_of_another_issuer() {
    let world = World::new().await;
    let issuer = world.provider.issuer();
    let found = discover(&world.egress, &issuer).await.unwrap();
    assert!(found.pkce_s256 && found.iss_parameter && found.foreign_hosts().is_empty());
    for poison in [format!("{issuer}/"), "https://evil.example".to_owned()] {
        world.provider.set(|s| s.discovery_fields = json!({ "issuer": poison }));
        let refused = discover(&world.egress, &issuer).await.unwrap_err();
        assert!(matches!(refused, DiscoveryError::IssuerMismatch { .. }), "{refused}");
    }
    let slash = discover(&world.egress, &format!("{issuer}/")).await.map(|found| found.issuer);
    assert!(slash.is_err());
    for (fields, raw, part) in [
        (json!({"token_endpoint": "http://127.0.0.2:1/token"}), None, "token_endpoint"),
        (json!({"authorization_endpoint": null}), None, "authorization_endpoint"),
        (Value::Null, Some(Raw::new(200, "text/html", "<html>")), "not JSON"),
        (Value::Null, Some(Raw::new(500, "text/plain", "")), "status 500"),
        (Value::Null, Some(Raw::oversized(200, &json!({}), 300_000)), "longer than"),
    ] {
        world.provider.set(|s| {
            s.discovery_fields = fields;
            s.discovery = raw;
        });
        let refused = discover(&world.egress, &issuer).await.unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    }
}

#[tokio::test]
async fn t20_a_token_endpoint_that_points_elsewhere_does_not_get_the_code_sent_on() {
    let world = World::new().await;
    let evil = MockProvider::start().await;
    let flow = Flow::new(&["a"]);
    for status in [301, 302, 303, 307, 308] {
        world.provider.set(|s| {
            s.token_response = Some(Raw::new(status, "", ""));
            s.headers = vec![("/token".into(), "location".into(), evil.url("/token"))];
        });
        let refused = world.tokens(&flow).await.unwrap_err();
        assert!(matches!(refused, TokenRefused::NotUnderstood { .. }), "{status} {refused}");
    }
    assert_eq!(world.provider.seen().token.len(), 5);
    assert!(evil.seen().token.is_empty() && evil.seen().other.is_empty());
}

#[tokio::test]
async fn t22_the_challenge_and_its_verifier_are_sent_even_to_a_provider_that_ignores_them() {
    let world = World::new().await;
    world.provider.set(|s| s.ignore_pkce = true);
    let flow = Flow::new(&["a"]);
    world.tokens(&flow).await.unwrap();
    let seen = world.provider.seen();
    assert_eq!(seen.authorize[0].query_param("code_challenge"), Some(flow.pkce.challenge.as_str()));
    assert_eq!(seen.authorize[0].query_param("code_challenge_method"), Some("S256"));
    assert_eq!(seen.token[0].field("code_verifier"), Some(flow.pkce.verifier.expose_secret()));

    let mut without = Flow::new(&["a"]);
    let code = world.code(&without).await;
    without.pkce.verifier = SecretString::from("");
    let refused = world.send(&code, &without).await.unwrap_err();
    assert!(!refused.maybe_sent());
    assert_eq!(refused.cause(), Cause::ServerFault);
    assert_eq!(world.provider.seen().token.len(), 1);
}

#[tokio::test]
async fn t23_a_code_of_another_flow_fails_by_its_verifier_and_where_that_is_ignored_by_its_nonce() {
    let world = World::new().await;
    let (attacker, victim) = (Flow::new(&["openid"]), Flow::new(&["openid"]));
    let stolen = world.code(&attacker).await;
    let refused = world.read(&world.send(&stolen, &victim).await.unwrap()).unwrap_err();
    assert!(
        matches!(&refused, TokenRefused::Provider(Cause::CodeRefused(code)) if code.as_str() == "invalid_grant"),
        "{refused}"
    );

    world.provider.set(|s| s.ignore_pkce = true);
    let stolen = world.code(&attacker).await;
    let tokens = world.read(&world.send(&stolen, &victim).await.unwrap()).unwrap();
    assert!(world.verify(&tokens, &victim.nonce, now()).await.is_err());
    assert!(world.verify(&tokens, &attacker.nonce, now()).await.is_ok());
}

#[tokio::test]
async fn t26_a_denial_of_any_content_becomes_a_code_of_a_small_alphabet() {
    let world = World::new().await;
    let flow = Flow::new(&["a"]);
    for (error, code) in [
        ("access_denied", None),
        ("<script>alert(1)</script>", Some("scriptalert1script")),
        ("a\r\nSet-Cookie: b", Some("aset-cookie_b")),
        ("\u{202e}\u{1b}[31m", Some("31m")),
    ] {
        world.provider.set(|s| {
            s.auto_deny = true;
            s.deny_error = error.into();
            s.deny_description = Some("<script>\u{202e}".into());
        });
        match world.callback(&flow).await.outcome {
            CallbackOutcome::Error(cause) => {
                assert_eq!(cause.provider_code().map(ProviderCode::as_str), code, "{error}");
                assert_eq!(cause == Cause::Denied, code.is_none(), "{error}");
            }
            other => panic!("{error}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn t27_the_scopes_are_those_granted_not_those_asked_for() {
    let world = World::new().await;
    for (granted, expected) in [("notes.read", vec!["notes.read"]), ("a,b admin", vec!["a", "b", "admin"])] {
        world.provider.set(|s| s.granted_scopes = Some(granted.into()));
        let tokens = world.tokens(&Flow::new(&["notes.read", "notes.write"])).await.unwrap();
        assert_eq!(tokens.scopes.unwrap(), expected);
    }
    world.provider.set(|s| s.omit_token_fields = vec!["scope".into()]);
    assert_eq!(world.tokens(&Flow::new(&["a"])).await.unwrap().scopes, None);
}

#[tokio::test]
async fn t28_odd_answers_of_a_working_provider_are_read() {
    let world = World::new().await;
    for (life, seconds) in
        [(json!("3600"), Some(3600)), (json!(0), None), (json!(-5), None), (json!(1e12), Some(315_360_000))]
    {
        world.provider.set(|s| {
            s.expires_in = Some(life);
            s.token_type = Some("bEaReR".into());
            s.omit_refresh_token = true;
        });
        let tokens = world.tokens(&Flow::new(&["a"])).await.unwrap();
        assert_eq!((tokens.expiry, tokens.token_type.as_str()), (seconds.map(Expiry::In), "bEaReR"));
        assert!(tokens.refresh_token.is_none());
        assert!(
            userinfo(&world.egress, &world.recipe, "client", &tokens.access_token, &tokens.token_type)
                .await
                .is_ok()
        );
    }
    world.provider.set(|s| s.omit_token_fields = vec!["expires_in".into(), "token_type".into()]);
    let tokens = world.tokens(&Flow::new(&["a"])).await.unwrap();
    assert_eq!((tokens.expiry, tokens.token_type.as_str()), (None, "Bearer"));
    let form = "access_token={{access_token}}&scope=a%2Cb&token_type=bearer";
    world.provider.set(|s| s.token_response = Some(Raw::new(200, "application/x-www-form-urlencoded", form)));
    assert_eq!(world.tokens(&Flow::new(&["a"])).await.unwrap().scopes.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn t30_the_redirect_uri_of_the_exchange_is_that_of_the_request_to_the_byte() {
    let world = World::new().await;
    for (uri, accepted) in [
        (CALLBACK.to_owned(), true),
        (format!("{CALLBACK}/"), false),
        (CALLBACK.replace("alter.example", "alter.example:443"), false),
    ] {
        let flow = Flow::new(&["a"]);
        let code = world.code(&flow).await;
        let result = world.read(&world.send_from(&code, &flow, &uri).await.unwrap());
        assert_eq!(result.is_ok(), accepted, "{uri}");
    }
}

#[tokio::test]
async fn f39_to_f46_a_failing_token_endpoint_is_named_for_what_it_does() {
    let world = World::new().await;
    for (fault, expected) in [
        (TokenFault::Status(503), "ServerError { status: 503 }"),
        (TokenFault::Status(429), "ServerError { status: 429 }"),
        (TokenFault::Html200, "NotUnderstood"),
        (TokenFault::Error200, "bad_verification_code"),
        (TokenFault::InvalidClient, "ClientRefused"),
    ] {
        world.provider.set(|s| s.token_fault = Some(fault.clone()));
        let refused = format!("{:?}", world.tokens(&Flow::new(&["a"])).await.unwrap_err());
        assert!(refused.contains(expected), "{fault:?} {refused}");
    }
    for fault in [TokenFault::CloseBeforeAnswer, TokenFault::CloseMidBody, TokenFault::Huge(10_000_000)] {
        world.provider.set(|s| s.token_fault = Some(fault.clone()));
        let flow = Flow::new(&["a"]);
        let code = world.code(&flow).await;
        let error = world.send(&code, &flow).await.unwrap_err();
        assert!(error.maybe_sent() && !error.is_blocked(), "{fault:?} {error}");
        assert!(!format!("{error} {error:?}").contains(code.expose_secret()));
    }
}

#[tokio::test]
async fn an_exchange_that_never_left_says_so() {
    let mut world = World::new().await;
    let flow = Flow::new(&["a"]);
    let code = world.code(&flow).await;
    world.recipe.token_url = "https://169.254.169.254/token".into();
    let blocked = world.send(&code, &flow).await.unwrap_err();
    assert!(blocked.is_blocked() && !blocked.maybe_sent());
    assert_eq!(blocked.cause(), Cause::ProviderMisconfigured);
    world.recipe.token_url = "not a url".into();
    let unusable = world.send(&code, &flow).await.unwrap_err();
    assert!(!unusable.maybe_sent());
    assert_eq!(unusable.cause(), Cause::ProviderMisconfigured);
    world.recipe.token_url = "http://127.0.0.1:1/token".into();
    assert_eq!(world.send(&code, &flow).await.unwrap_err().cause(), Cause::TokenEndpointUnreachable);
}

#[tokio::test]
async fn userinfo_that_is_refused_odd_or_too_large_is_an_error() {
    let world = World::new().await;
    let tokens = world.tokens(&Flow::new(&["openid"])).await.unwrap();
    let ask = async |token_type: &str| {
        userinfo(&world.egress, &world.recipe, "client", &tokens.access_token, token_type).await
    };
    assert!(ask("bot").await.is_ok());
    assert!(matches!(ask("DPoP").await, Err(UserinfoError::TokenType)));
    for raw in [
        Raw::new(200, "application/json", r#"{"sub":"a","sub":"b"}"#),
        Raw::new(200, "application/jwt", "a.b.c"),
    ] {
        world.provider.set(|s| s.userinfo = Some(raw));
        assert!(matches!(ask("Bearer").await, Err(UserinfoError::NotUnderstood)));
    }
    world.provider.set(|s| s.userinfo = Some(Raw::new(302, "", "")));
    assert!(matches!(ask("Bearer").await, Err(UserinfoError::Status { status: 302, .. })));
    world.provider.set(|s| s.userinfo = Some(Raw::oversized(200, &json!({}), 300_000)));
    assert!(matches!(ask("Bearer").await, Err(UserinfoError::Egress(_))));
}

#[tokio::test]
async fn introspection_tells_our_client_whose_token_it_is_and_no_other() {
    let mut world = World::new().await;
    let tokens = world.tokens(&Flow::new(&["openid"])).await.unwrap();
    world.recipe.userinfo_url = Some(world.provider.url("/introspect"));
    world.recipe.revoke_url = Some(world.provider.url("/revoke"));
    for client_auth in [alter_core::ClientAuth::Basic, alter_core::ClientAuth::Post] {
        world.recipe.client_auth = client_auth;
        let answer = introspected(&world, SECRET, &tokens).await.unwrap();
        assert_eq!(answer["sub"], "acme-1001");
        assert!(matches!(
            introspected(&world, "guessed", &tokens).await,
            Err(UserinfoError::Status { status: 401, .. })
        ));
    }
    assert!(world.provider.seen().other.iter().all(|request| request.query.is_empty()), "T86");
    world.recipe.userinfo.token_fields = vec!["access_token".into()];
    assert!(matches!(introspected(&world, SECRET, &tokens).await, Err(UserinfoError::NotActive)), "not read");
    world.recipe.userinfo.token_fields.push("token".into());
    assert!(introspected(&world, SECRET, &tokens).await.is_ok());
    end(&world, &tokens).await.unwrap();
    assert!(matches!(introspected(&world, SECRET, &tokens).await, Err(UserinfoError::NotActive)));
}

async fn introspected(world: &World, secret: &str, tokens: &TokenSet) -> Result<Value, UserinfoError> {
    let secret = SecretString::from(secret);
    let client = Client { id: CLIENT, secret: Some(&secret) };
    introspect(&world.egress, &world.recipe, &client, &tokens.access_token).await
}

#[tokio::test]
async fn answers_of_256_kib_are_read_and_longer_ones_are_not() {
    let world = World::new().await;
    let flow = Flow::new(&["openid"]);
    let tokens = world.tokens(&flow).await.unwrap();
    let metadata = json!({
        "issuer": world.provider.issuer(), "token_endpoint": world.provider.url("/token"),
        "authorization_endpoint": world.provider.url("/authorize"),
    });
    for (bytes, is_read) in [(256 * 1024, true), (256 * 1024 + 1, false)] {
        let answer = |body: Value| Some(Raw::oversized(200, &body, bytes));
        world.provider.set(|s| s.discovery = answer(metadata.clone()));
        world.provider.set(|s| s.token_response = answer(json!({ "access_token": "t" })));
        world.provider.set(|s| s.userinfo = answer(json!({ "sub": "a" })));
        assert_eq!(discover(&world.egress, &world.provider.issuer()).await.is_ok(), is_read, "{bytes}");
        let code = world.code(&flow).await;
        assert_eq!(world.send(&code, &flow).await.is_ok(), is_read, "{bytes}");
        let asked = userinfo(&world.egress, &world.recipe, "client", &tokens.access_token, "Bearer").await;
        assert_eq!(asked.is_ok(), is_read, "{bytes}");
    }
}

/// Asks the provider to end the access token.
async fn end(world: &World, tokens: &TokenSet) -> Result<(), RevokeError> {
    let secret = SecretString::from(SECRET);
    let client = Client { id: CLIENT, secret: Some(&secret) };
    let what = RevokedToken { token: &tokens.access_token, is_refresh_token: false, subject: "acme-1001" };
    revoke(&world.egress, &world.recipe, &client, &what).await
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_and_can_be_revoked_again() {
    let mut world = World::new().await;
    let tokens = world.tokens(&Flow::new(&["openid"])).await.unwrap();
    assert!(matches!(end(&world, &tokens).await, Err(RevokeError::NotOffered)));
    world.recipe.revoke_url = Some(world.provider.url("/revoke"));
    for _ in 0..2 {
        end(&world, &tokens).await.unwrap();
        let asked = userinfo(&world.egress, &world.recipe, "client", &tokens.access_token, "Bearer").await;
        assert!(matches!(asked, Err(UserinfoError::Status { status: 401, .. })), "{asked:?}");
    }
}

#[tokio::test]
async fn a_revocation_is_confirmed_by_success_or_by_words_that_it_is_over_already() {
    let mut world = World::new().await;
    let tokens = world.tokens(&Flow::new(&["openid"])).await.unwrap();
    world.recipe.token.ok = Some("/ok".into());
    for (method, status, body, is_confirmed) in [
        ("post", 200, "", true),
        ("post", 204, "", true),
        ("post", 200, r#"{"ok":true}"#, true),
        ("post", 200, r#"{"ok":false,"error":"fatal_error"}"#, false),
        ("post", 200, r#"{"ok":false,"error":"token_revoked"}"#, true),
        ("post", 400, r#"{"error":"invalid_token"}"#, true),
        ("post", 400, r#"{"error":"invalid_client"}"#, false),
        ("post", 401, r#"{"error":"invalid_token"}"#, false),
        ("post", 302, "", false),
        ("post", 404, "", false),
        ("post", 503, "", false),
        ("delete", 404, "", true),
        ("delete", 403, "", false),
    ] {
        let how = json!({ "url": world.provider.url("/api/grant"), "auth": "token", "method": method });
        world.recipe.revoke = Some(serde_json::from_value(how).unwrap());
        world.provider.set(|s| s.api = Some(Raw::new(status, "application/json", body)));
        match end(&world, &tokens).await {
            Ok(()) => assert!(is_confirmed, "{method} {status} {body}"),
            Err(RevokeError::Status(told)) => assert_eq!((told, is_confirmed), (status, false), "{body}"),
            Err(other) => panic!("{method} {status} {body} {other}"),
        }
    }
    assert_eq!(world.provider.seen().api.last().map(|last| last.method.clone()), Some("DELETE".into()));
}
