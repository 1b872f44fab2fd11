//! The code flow with a correct client, and every way in which a wrong client is refused.

use alter_mock_provider::{ClientAuth, MockProvider};

use crate::client::*;

async fn refused(answer: Answer, error: &str) {
    assert_eq!((answer.status / 100, text(&answer, "error")), (4, error.to_owned()));
    assert!(!answer.body.contains("access_token"));
}

#[tokio::test]
async fn a_correct_client_gets_tokens_that_work() {
    let provider = provider(|_| {}).await;
    let sent_back = authorize(&provider, &[]).await;
    assert_eq!(sent_back.status, 303);
    assert!(sent_back.header("location").unwrap().starts_with(&format!("{REDIRECT}?")));
    assert_eq!(sent_back.param("state").unwrap(), "the-state");
    assert_eq!(sent_back.param("iss").unwrap(), provider.issuer());

    let tokens = redeem(&provider, &sent_back.param("code").unwrap(), &[]).await;
    assert_eq!(tokens.status, 200);
    assert_eq!(tokens.header("cache-control"), Some("no-store"));
    assert_eq!(tokens.json()["token_type"], "Bearer");
    assert_eq!(tokens.json()["expires_in"], 3600);
    assert_eq!(tokens.json()["scope"], SCOPE);
    let user = get_as(&provider, "/userinfo", &text(&tokens, "access_token")).await;
    assert_eq!((user.status, text(&user, "sub")), (200, "acme-1001".to_owned()));
}

#[tokio::test]
async fn what_arrived_can_be_read_afterwards() {
    let provider = provider(|_| {}).await;
    let tokens = connect(&provider).await;
    get_as(&provider, "/userinfo", &text(&tokens, "access_token")).await;
    get_as(&provider, "/api/me", &text(&tokens, "access_token")).await;
    get(&provider, "/nowhere").await;

    let seen = provider.wait_for(|seen| seen.other.len() == 1).await;
    assert_eq!((seen.authorize.len(), seen.token.len(), seen.userinfo.len(), seen.api.len()), (1, 1, 1, 1));
    assert_eq!(seen.authorize[0].query_param("state"), Some("the-state"));
    assert_eq!(seen.token[0].field("code_verifier"), Some(VERIFIER));
    assert!(seen.token[0].authorization().unwrap().starts_with("Basic "));
    assert_eq!(seen.token_by_grant_type("refresh_token").len(), 0);
    let shown = format!("{:?}", seen.token[0]);
    assert!(shown.contains("code_verifier") && !shown.contains(VERIFIER), "{shown}");
    provider.forget_seen();
    assert!(provider.seen().token.is_empty());
}

#[tokio::test]
async fn a_code_works_once_and_its_reuse_ends_the_grant() {
    let provider = provider(|_| {}).await;
    let code = code(&provider).await;
    let first = redeem(&provider, &code, &[]).await;
    let access = text(&first, "access_token");
    assert_eq!(get_as(&provider, "/userinfo", &access).await.status, 200);
    refused(redeem(&provider, &code, &[]).await, "invalid_grant").await;
    assert_eq!(get_as(&provider, "/userinfo", &access).await.status, 401);
    refused(refresh(&provider, &text(&first, "refresh_token")).await, "invalid_grant").await;
}

#[tokio::test]
async fn a_code_lives_sixty_seconds() {
    let provider = provider(|_| {}).await;
    let (in_time, late) = (code(&provider).await, code(&provider).await);
    provider.set(|s| s.clock_offset_s = 55);
    assert_eq!(redeem(&provider, &in_time, &[]).await.status, 200);
    provider.set(|s| s.clock_offset_s = 65);
    refused(redeem(&provider, &late, &[]).await, "invalid_grant").await;
}

#[tokio::test]
async fn a_wrong_or_missing_verifier_is_refused() {
    let provider = provider(|_| {}).await;
    let code = code(&provider).await;
    let wrong = format!("{VERIFIER}x");
    refused(redeem(&provider, &code, &[("code_verifier", &wrong)]).await, "invalid_grant").await;
    refused(redeem(&provider, &code, &[("code_verifier", "")]).await, "invalid_grant").await;
    assert_eq!(redeem(&provider, &code, &[]).await.status, 200);
}

#[tokio::test]
async fn t30_a_redirect_uri_that_drifts_is_refused_at_both_ends() {
    let provider = provider(|_| {}).await;
    let slash = format!("{REDIRECT}/");
    let other_port = REDIRECT.replace(":9/", ":10/");
    for drifted in [slash.as_str(), &other_port, "https://evil.example/", "http://127.0.0.1:9/other"] {
        let page = authorize(&provider, &[("redirect_uri", drifted)]).await;
        assert_eq!((page.status, page.header("location")), (400, None), "{drifted}");
        assert!(page.body.contains(r#"id="error""#));
    }
    let code = code(&provider).await;
    for drifted in [slash.as_str(), &other_port, ""] {
        refused(redeem(&provider, &code, &[("redirect_uri", drifted)]).await, "invalid_grant").await;
    }
    assert_eq!(redeem(&provider, &code, &[]).await.status, 200);
}

#[tokio::test]
async fn a_wrong_client_is_refused() {
    let provider = provider(|_| {}).await;
    provider.register_client("other", Some(SECRET), &[REDIRECT]);
    let code = code(&provider).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    for (credentials, error) in [
        (Some((CLIENT, "wrong")), "invalid_client"),
        (Some((CLIENT, "")), "invalid_client"),
        (Some(("nobody", SECRET)), "invalid_client"),
        (None, "invalid_client"),
        (Some(("other", SECRET)), "invalid_grant"),
    ] {
        refused(post_form(&provider, "/token", credentials, &fields).await, error).await;
    }
    let unauthorized = post_form(&provider, "/token", Some((CLIENT, "wrong")), &fields).await;
    assert_eq!(unauthorized.status, 401);
    assert!(unauthorized.header("www-authenticate").unwrap().starts_with("Basic"));
    assert_eq!(post_form(&provider, "/token", Some((CLIENT, SECRET)), &fields).await.status, 200);
}

#[tokio::test]
async fn a_secret_in_the_body_counts_and_in_two_places_does_not() {
    let provider = provider(|_| {}).await;
    let in_body = [("client_id", CLIENT), ("client_secret", SECRET)];
    let fields = |code: &str| {
        let mut fields = vec![("grant_type", "authorization_code".to_owned()), ("code", code.to_owned())];
        fields.extend([("redirect_uri", REDIRECT.to_owned()), ("code_verifier", VERIFIER.to_owned())]);
        fields
    };
    let code = code(&provider).await;
    let owned = fields(&code);
    let mut fields: Vec<(&str, &str)> = owned.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.extend(in_body);
    refused(post_form(&provider, "/token", Some((CLIENT, SECRET)), &fields).await, "invalid_request").await;
    assert_eq!(post_form(&provider, "/token", None, &fields).await.status, 200);
}

#[tokio::test]
async fn client_authentication_can_be_narrowed() {
    let provider = provider(|s| s.client_auth = ClientAuth::PostOnly).await;
    let code = code(&provider).await;
    refused(redeem(&provider, &code, &[]).await, "invalid_client").await;
    provider.set(|s| s.client_auth = ClientAuth::BasicOnly);
    assert_eq!(redeem(&provider, &code, &[]).await.status, 200);
}

#[tokio::test]
async fn a_public_client_needs_no_secret_and_must_not_send_one() {
    let provider = MockProvider::start().await;
    provider.register_client(CLIENT, None, &[REDIRECT]);
    provider.set(|s| s.auto_approve = true);
    let code = code(&provider).await;
    refused(redeem(&provider, &code, &[]).await, "invalid_client").await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(post_form(&provider, "/token", None, &fields).await.status, 200);
}

#[tokio::test]
async fn several_providers_do_not_know_one_another() {
    let (one, two) = (provider(|_| {}).await, provider(|_| {}).await);
    assert_ne!(one.issuer(), two.issuer());
    refused(redeem(&two, &code(&one).await, &[]).await, "invalid_grant").await;
    let token = text(&connect(&one).await, "access_token");
    assert_eq!(get_as(&two, "/userinfo", &token).await.status, 401);
    assert_eq!(get_as(&one, "/userinfo", &token).await.status, 200);
}

#[tokio::test]
async fn a_dropped_provider_stops_listening_and_hangs_up() {
    let provider = provider(|_| {}).await;
    let address = provider.issuer().replace("http://", "");
    let mut idle = open(&provider, "").await;
    drop(provider);
    let mut rest = Vec::new();
    // A clean end or a reset: only that the connection ends counts.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut idle, &mut rest).await;
    assert!(rest.is_empty());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let provider = MockProvider::start().await;
    let address = provider.issuer().replace("http://", "").parse().unwrap();
    assert!(MockProvider::start_on(address).await.is_err());
    assert_eq!(provider.url("/jwks"), format!("{}/jwks", provider.issuer()));
}
