//! Authorization servers that lie, and codes that were stolen: T19, T20, T22, T23, T24.

use alter_core::secret::{base64url, sha256};
use alter_egress::{Egress, EgressConfig};
use alter_mock_provider::{IdTokenFault, MockProvider, ResponseParam};
use alter_oauth::{DiscoveryError, discover};
use alter_testkit::{TestAttempt, TestBrowser, TestServer};
use serde_json::json;

use crate::sql;

/// Asserts that the attempt made no grant: page and backend are told so, and the database has nothing of it.
async fn refused(server: &TestServer, attempt: &TestAttempt, reason: &str, what: &str) {
    assert_eq!(attempt.status["status"], "failed", "{what}: {}", attempt.status);
    assert_eq!(attempt.status["error"], "oauth_provider_error", "{what}: {}", attempt.status);
    assert_eq!(attempt.reason(), reason, "{what}");
    let said = if reason == "code_refused" { "invalid_grant" } else { "" };
    assert_eq!(attempt.provider_error(), said, "{what}: what the provider said, and nothing else");
    assert!(attempt.status["connections"].is_null(), "{what}");
    let polled =
        server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": attempt.token })).await;
    assert_eq!(polled.json()["status"], "error", "{what}: {}", polled.text());
    assert_eq!(polled.json()["error"]["error_code"], "connect_flow_error", "{what}: {}", polled.text());
    assert_eq!(sql::count(server, "attempts WHERE body IS NOT NULL"), 0, "{what}: the answer was kept");
}

#[tokio::test]
async fn t19_a_response_of_another_issuer_is_not_exchanged() {
    let server = TestServer::start().await;
    let slash = format!("{}/", server.mock.issuer());
    let wrong = [
        ResponseParam::Missing,
        ResponseParam::Wrong("https://accounts.google.com".into()),
        ResponseParam::Wrong(slash),
        ResponseParam::Wrong(server.mock.issuer().to_uppercase()),
        ResponseParam::Wrong(String::new()),
    ];
    for iss in wrong {
        let what = format!("{iss:?}");
        server.mock.set(|s| s.iss = iss);
        let attempt = TestBrowser::new().attempt(&server, "mock").await;
        refused(&server, &attempt, "iss_mismatch", &what).await;
    }
    assert_eq!(server.mock.seen().token.len(), 0, "no code left for any token endpoint");
    assert_eq!(sql::count(&server, "grants"), 0);

    server.mock.set(|s| s.iss = ResponseParam::Present);
    TestBrowser::new().attempt(&server, "mock").await.connection();
}

#[tokio::test]
async fn t19_an_error_of_another_issuer_is_no_denial_by_the_user() {
    let server = TestServer::start().await;
    server.mock.set(|s| s.auto_deny = true);
    let honest = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(honest.status["error"], "oauth_denied", "{}", honest.status);

    server.mock.set(|s| s.iss = ResponseParam::Wrong("https://evil.example".into()));
    let forged = TestBrowser::new().attempt(&server, "mock").await;
    refused(&server, &forged, "iss_mismatch", "a denial of another issuer").await;
}

#[tokio::test]
async fn t19_two_issuers_in_one_response_are_none() {
    let server = TestServer::start().await;
    let extra = vec![("iss".to_owned(), "https://evil.example".to_owned())];
    server.mock.set(|s| s.extra_response_params = extra);
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(attempt.reason(), "callback_not_understood", "{}", attempt.status);
    assert_eq!(server.mock.seen().token.len(), 0);
}

#[tokio::test]
async fn t19_a_provider_that_promises_no_issuer_may_send_none_but_not_a_wrong_one() {
    let server = TestServer::start().await;
    server.add_provider(&server.app, "quiet", |recipe| recipe.iss_parameter = false).await;
    server.mock.set(|s| s.iss = ResponseParam::Wrong("https://evil.example".into()));
    let wrong = TestBrowser::new().attempt(&server, "quiet").await;
    refused(&server, &wrong, "iss_mismatch", "a wrong issuer that nobody asked for").await;
    assert_eq!(server.mock.seen().token.len(), 0);

    server.mock.set(|s| s.iss = ResponseParam::Missing);
    TestBrowser::new().attempt(&server, "quiet").await.connection();
}

#[tokio::test]
async fn t20_a_metadata_document_that_changes_later_changes_no_endpoint() {
    let (server, evil) = (TestServer::start().await, MockProvider::start().await);
    let poison = json!({
        "issuer": evil.issuer(), "authorization_endpoint": evil.url("/authorize"),
        "token_endpoint": evil.url("/token"), "userinfo_endpoint": evil.url("/userinfo"),
        "jwks_uri": evil.url("/jwks"), "authorization_response_iss_parameter_supported": false
    });
    server.mock.set(|s| s.discovery_fields = poison);
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    attempt.connection();
    assert!(attempt.authorize.starts_with(&server.mock.url("/authorize?")), "{}", attempt.authorize);
    let (honest, evil) = (server.mock.seen(), evil.seen());
    assert_eq!((honest.token.len(), honest.discovery.len()), (1, 0), "endpoints come from the configuration");
    let at_evil = [&evil.authorize, &evil.token, &evil.userinfo, &evil.jwks, &evil.discovery, &evil.other];
    assert!(at_evil.iter().all(|list| list.is_empty()), "{evil:?}");
}

#[tokio::test]
async fn t20_metadata_of_another_issuer_configures_nothing() {
    let mock = MockProvider::start().await;
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    let egress = Egress::new(EgressConfig { allow, ..EgressConfig::default() }).unwrap();
    let issuer = mock.issuer();
    for wrong in
        ["https://evil.example".to_owned(), format!("{issuer}/"), issuer.to_uppercase(), String::new()]
    {
        mock.set(|s| s.discovery_fields = json!({ "issuer": wrong }));
        let refused = discover(&egress, &issuer).await;
        assert!(matches!(refused, Err(DiscoveryError::IssuerMismatch { .. })), "{wrong}: {refused:?}");
    }
    mock.set(|s| s.discovery_fields = json!({ "issuer": null }));
    assert!(discover(&egress, &issuer).await.is_err());
    // Another port of the same machine is another host, and metadata may not name such a host without TLS.
    mock.set(|s| s.discovery_fields = json!({ "token_endpoint": "http://127.0.0.1:1/token" }));
    assert!(matches!(discover(&egress, &issuer).await, Err(DiscoveryError::Endpoint("token_endpoint"))));

    mock.set(|s| s.discovery_fields = json!({ "token_endpoint": "https://elsewhere.example/token" }));
    let moved = discover(&egress, &issuer).await.unwrap();
    assert_eq!(moved.foreign_hosts(), ["elsewhere.example"], "the operator is shown it before it is pinned");

    mock.set(|s| s.discovery_fields = json!(null));
    let honest = discover(&egress, &issuer).await.unwrap();
    assert_eq!((honest.issuer, honest.token_endpoint), (issuer, mock.url("/token")));
}

#[tokio::test]
async fn t22_every_request_carries_an_s256_challenge_and_its_own_verifier() {
    let server = TestServer::start().await;
    server
        .add_provider(&server.app, "hostile", |recipe| {
            for (name, value) in [("code_challenge_method", "plain"), ("code_challenge", "known")] {
                recipe.authorize_params.insert(name.into(), value.into());
            }
        })
        .await;
    let mut challenges = Vec::new();
    // The third provider ignores PKCE, but gets the same parameters.
    for (provider, ignores) in [("mock", false), ("hostile", false), ("mock", true)] {
        server.mock.set(|s| s.ignore_pkce = ignores);
        let attempt = TestBrowser::new().attempt(&server, provider).await;
        attempt.connection();
        assert_eq!(attempt.param("code_challenge_method"), "S256", "{provider}");
        let named = attempt.authorize.matches("code_challenge").count();
        assert_eq!(named, 2, "one challenge and one method: {}", attempt.authorize);
        let seen = server.mock.seen();
        let verifier = seen.token.last().unwrap().field("code_verifier").unwrap().to_owned();
        assert_eq!(verifier.len(), 43);
        assert_eq!(base64url(&sha256(verifier.as_bytes())), attempt.param("code_challenge"));
        assert!(!attempt.authorize.contains(&verifier), "the verifier goes to the token endpoint alone");
        challenges.push(attempt.param("code_challenge"));
    }
    challenges.sort();
    challenges.dedup();
    assert_eq!(challenges.len(), 3, "no challenge is used twice");
}

#[tokio::test]
async fn t22_a_transaction_without_its_verifier_does_not_reach_the_exchange() {
    let server = TestServer::start().await;
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(&server, &server.app, "mock").await;
    assert_eq!(sql::run(&server, "UPDATE attempts SET verifier = X''", []), 1);
    browser.come_back(&server, &server.app, &mut attempt).await;
    assert_eq!(attempt.status["error"], "server_error", "{}", attempt.status);
    assert_eq!(server.mock.seen().token.len(), 0);
    assert_eq!(sql::count(&server, "grants"), 0);

    TestBrowser::new().attempt(&server, "mock").await.connection();
}

/// The attacker has the victim's code and puts this code into the callback of his own flow.
async fn inject(server: &TestServer) -> (TestAttempt, TestBrowser, TestAttempt) {
    let mut victim = TestBrowser::new();
    let mut theirs = victim.leave_for(server, &server.app, "mock").await;
    theirs.callback = victim.at_provider(&theirs.authorize).await;
    let mut attacker = TestBrowser::new();
    let mut own = attacker.leave_for(server, &server.app, "mock").await;
    own.callback = attacker.at_provider(&own.authorize).await;
    let code_of = |callback: &str| {
        let url = url::Url::parse(&format!("http://localhost{callback}")).unwrap();
        url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    };
    own.callback = own.callback.replace(&code_of(&own.callback), &code_of(&theirs.callback));
    attacker.come_back(server, &server.app, &mut own).await;
    let sent = server.mock.seen();
    assert_eq!(sent.token.last().unwrap().field("code"), Some(code_of(&theirs.callback).as_str()));
    (own, victim, theirs)
}

#[tokio::test]
async fn t23_a_stolen_code_in_ones_own_flow_makes_no_grant() {
    let server = TestServer::start().await;
    let (stolen, mut victim, mut theirs) = inject(&server).await;
    refused(&server, &stolen, "code_refused", "the verifier is the attacker's").await;
    assert_eq!(sql::count(&server, "grants"), 0);

    victim.come_back(&server, &server.app, &mut theirs).await;
    assert_eq!(theirs.connection()["account_identifier"], "alex@acme.example");
}

#[tokio::test]
async fn t23_where_the_provider_ignores_pkce_the_nonce_stops_a_stolen_code() {
    let server = TestServer::start().await;
    server.mock.set(|s| s.ignore_pkce = true);
    let (stolen, ..) = inject(&server).await;
    refused(&server, &stolen, "id_token_invalid", "the nonce is the victim's").await;
    assert_eq!(sql::count(&server, "grants"), 0);

    TestBrowser::new().attempt(&server, "mock").await.connection();
}

const BAD_ID_TOKENS: [IdTokenFault; 17] = [
    IdTokenFault::NonceWrong,
    IdTokenFault::NonceMissing,
    IdTokenFault::AlgNone,
    IdTokenFault::Hs256WithPublicKey,
    IdTokenFault::ForeignKey,
    IdTokenFault::BadSignature,
    IdTokenFault::Expired,
    IdTokenFault::FromTheFuture,
    IdTokenFault::WrongIss,
    IdTokenFault::WrongAud,
    IdTokenFault::AudArrayWithSecondary,
    IdTokenFault::MissingExp,
    IdTokenFault::MissingSub,
    IdTokenFault::MissingIat,
    IdTokenFault::MissingIss,
    IdTokenFault::MissingAud,
    IdTokenFault::KidUnknown,
];

#[tokio::test]
async fn t24_an_id_token_with_anything_wrong_makes_no_grant_and_leaves_nothing() {
    let server = TestServer::start().await;
    for fault in BAD_ID_TOKENS {
        server.mock.set(|s| s.id_token = fault.clone());
        let attempt = TestBrowser::new().attempt(&server, "mock").await;
        refused(&server, &attempt, "id_token_invalid", &format!("{fault:?}")).await;
        assert_eq!(sql::count(&server, "grants"), 0, "{fault:?}");
    }
    server.mock.set(|s| s.id_token = IdTokenFault::Absent);
    let absent = TestBrowser::new().attempt(&server, "mock").await;
    refused(&server, &absent, "id_token_missing", "absent").await;
    let other_claims = [
        json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }),
        json!({ "azp": "another-client" }),
        json!({ "aud": [] }),
        json!({ "exp": "tomorrow" }),
        json!({ "sub": "" }),
        json!({ "nonce": ["a"] }),
    ];
    for claims in other_claims {
        server.mock.set(|s| (s.id_token, s.id_token_claims) = (IdTokenFault::None, claims.clone()));
        let attempt = TestBrowser::new().attempt(&server, "mock").await;
        refused(&server, &attempt, "id_token_invalid", &claims.to_string()).await;
    }
    assert_eq!(sql::count(&server, "grants"), 0);
    assert_eq!(sql::count(&server, "audit WHERE kind = 'grant_connected'"), 0);

    server.mock.set(|s| s.id_token_claims = json!(null));
    for fine in [IdTokenFault::None, IdTokenFault::AudArray, IdTokenFault::KidAbsent] {
        server.mock.set(|s| s.id_token = fine.clone());
        TestBrowser::new().attempt(&server, "mock").await.connection();
    }
    assert_eq!(sql::count(&server, "grants"), 1);

    // A bad token for the same account does not change the existing grant.
    let generation = sql::number(&server, "SELECT generation FROM grants");
    server.mock.set(|s| s.id_token = IdTokenFault::BadSignature);
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    refused(&server, &attempt, "id_token_invalid", "over a grant").await;
    assert_eq!(sql::number(&server, "SELECT generation FROM grants"), generation);
}
