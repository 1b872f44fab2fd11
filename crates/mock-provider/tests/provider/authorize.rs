//! The authorization endpoint: the page, the decisions, and the switches of the response.

use alter_mock_provider::{MockProvider, ResponseParam, User};

use crate::client::*;

/// The hidden request id of the consent page.
fn request_id(page: &Answer) -> String {
    let (_, rest) = page.body.split_once(r#"name="request" value=""#).expect("the page has a request id");
    rest.split('"').next().expect("split yields at least one part").to_owned()
}

async fn decide(provider: &MockProvider, page: &Answer, decision: &str, user: &str) -> Answer {
    let id = request_id(page);
    let fields = [("request", id.as_str()), ("decision", decision), ("user", user)];
    post_form(provider, "/authorize/decide", None, &fields).await
}

#[tokio::test]
async fn the_page_names_client_and_scopes_and_needs_no_script() {
    let provider = provider(|s| s.auto_approve = false).await;
    provider.register_client("<b>app", None, &[REDIRECT]);
    provider.add_user(User { sub: "u9".into(), email: "kim@x.example".into(), name: "Kim".into() });
    let page = authorize(&provider, &[("client_id", "<b>app"), ("scope", "openid <i>")]).await;
    assert_eq!(page.status, 200);
    for expected in [r#"id="approve""#, r#"id="deny""#, "&lt;b&gt;app", "<code>openid</code>", "Kim (kim@x"] {
        assert!(page.body.contains(expected), "{expected}");
    }
    for banned in ["<script", "<b>app", "<i>a", "<code><i>"] {
        assert!(!page.body.contains(banned), "{banned}");
    }
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(get(&provider, "/").await.body.contains("Acme Notes"));
}

#[tokio::test]
async fn approving_on_the_page_signs_in_the_chosen_user_once() {
    let provider = provider(|s| s.auto_approve = false).await;
    let page = authorize(&provider, &[]).await;
    let sent_back = decide(&provider, &page, "approve", "acme-1002").await;
    assert_eq!((sent_back.status, sent_back.param("state").as_deref()), (303, Some("the-state")));
    let tokens = redeem(&provider, &sent_back.param("code").unwrap(), &[]).await;
    let user = get_as(&provider, "/userinfo", &text(&tokens, "access_token")).await;
    assert_eq!(text(&user, "sub"), "acme-1002");
    assert_eq!(decide(&provider, &page, "approve", "acme-1002").await.status, 400);
}

#[tokio::test]
async fn denying_on_the_page_sends_the_error_back() {
    let provider = provider(|s| s.auto_approve = false).await;
    let page = authorize(&provider, &[]).await;
    let sent_back = decide(&provider, &page, "deny", "acme-1001").await;
    assert_eq!(sent_back.status, 303);
    assert_eq!(sent_back.param("error").unwrap(), "access_denied");
    assert_eq!(sent_back.param("iss").unwrap(), provider.issuer());
    assert_eq!(sent_back.param("code"), None);
}

#[tokio::test]
async fn a_stale_page_or_an_unknown_user_is_refused_without_a_redirect() {
    let provider = provider(|s| s.auto_approve = false).await;
    let page = authorize(&provider, &[]).await;
    assert_eq!(decide(&provider, &page, "approve", "nobody").await.status, 400);
    let page = authorize(&provider, &[]).await;
    provider.set(|s| s.clock_offset_s = 700);
    assert_eq!(decide(&provider, &page, "approve", "acme-1001").await.status, 400);
}

#[tokio::test]
async fn a_hostile_denial_arrives_as_it_was_written() {
    let provider = provider(|s| s.auto_deny = true).await;
    assert_eq!(authorize(&provider, &[]).await.param("error").unwrap(), "access_denied");
    let huge = "x".repeat(1 << 20);
    for description in ["<script>alert(1)</script>", "a\r\nSet-Cookie: evil=1", &huge] {
        provider.set(|s| {
            s.deny_error = "evil\"<>".to_owned();
            s.deny_description = Some(description.to_owned());
        });
        let sent_back = authorize(&provider, &[]).await;
        assert_eq!(sent_back.param("error").unwrap(), "evil\"<>");
        assert_eq!(sent_back.param("error_description").unwrap(), description);
        assert_eq!(sent_back.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn the_user_of_an_automatic_approval_can_be_chosen() {
    let provider = provider(|_| {}).await;
    let hinted = authorize(&provider, &[("login_hint", "sam@acme.example")]).await.param("code").unwrap();
    provider.set(|s| s.auto_user = Some("acme-1001".to_owned()));
    let chosen = authorize(&provider, &[("login_hint", "sam@acme.example")]).await.param("code").unwrap();
    for (code, sub) in [(hinted, "acme-1002"), (chosen, "acme-1001")] {
        let tokens = redeem(&provider, &code, &[]).await;
        let user = get_as(&provider, "/userinfo", &text(&tokens, "access_token")).await;
        assert_eq!(text(&user, "sub"), sub);
    }
    provider.set(|s| s.auto_user = Some("nobody".to_owned()));
    assert_eq!(authorize(&provider, &[]).await.status, 400);
}

#[tokio::test]
async fn t19_iss_and_state_can_be_missing_or_wrong_on_codes_and_errors() {
    let provider = provider(|_| {}).await;
    for deny in [false, true] {
        provider.set(|s| s.auto_deny = deny);
        provider.set(|s| (s.iss, s.state) = (ResponseParam::Missing, ResponseParam::Missing));
        let without = authorize(&provider, &[]).await;
        assert_eq!((without.param("iss"), without.param("state")), (None, None));
        let wrong = || ResponseParam::Wrong("https://evil.example".to_owned());
        provider.set(|s| (s.iss, s.state) = (wrong(), wrong()));
        let wrong = authorize(&provider, &[]).await;
        assert_eq!(wrong.param("iss").unwrap(), "https://evil.example");
        assert_eq!(wrong.param("state").unwrap(), "https://evil.example");
        provider.set(|s| (s.iss, s.state) = (ResponseParam::Present, ResponseParam::Present));
        assert_eq!(authorize(&provider, &[]).await.param("iss").unwrap(), provider.issuer());
    }
}

#[tokio::test]
async fn extra_response_parameters_are_added() {
    let extra = vec![("code".to_owned(), "second".to_owned())];
    let provider = provider(|s| s.extra_response_params = extra).await;
    let location = authorize(&provider, &[]).await.header("location").unwrap().to_owned();
    assert_eq!(location.matches("code=").count(), 2, "{location}");
}

#[tokio::test]
async fn a_lax_redirect_check_lets_the_same_origin_through_and_nothing_else() {
    let provider = provider(|s| s.strict_redirect_uri = false).await;
    let other_path = "http://127.0.0.1:9/elsewhere";
    let sent_back = authorize(&provider, &[("redirect_uri", other_path)]).await;
    assert!(sent_back.header("location").unwrap().starts_with(other_path));
    // The code is redeemed with another redirect URI than in the authorization request.
    assert_eq!(redeem(&provider, &sent_back.param("code").unwrap(), &[]).await.status, 200);
    assert_eq!(authorize(&provider, &[("redirect_uri", "https://evil.example/")]).await.status, 400);
}

#[tokio::test]
async fn t09_an_evil_authorize_endpoint_bounces_to_the_honest_one() {
    let honest = provider(|_| {}).await;
    let target = honest.url("/authorize");
    let evil = provider(|s| s.redirect_to_evil = Some(target)).await;
    let bounced = authorize(&evil, &[]).await;
    assert_eq!(bounced.status, 302);
    let path = bounced.header("location").unwrap().replace(&honest.issuer(), "");
    assert_eq!(path, authorize_path(&[]));
    assert!(get(&honest, &path).await.param("code").is_some());
}

#[tokio::test]
async fn the_opener_policy_is_set_on_page_and_redirect() {
    let provider = provider(|_| {}).await;
    assert_eq!(authorize(&provider, &[]).await.header("cross-origin-opener-policy"), None);
    provider.set(|s| s.coop = Some("same-origin".to_owned()));
    for automatic in [true, false] {
        provider.set(|s| s.auto_approve = automatic);
        let answer = authorize(&provider, &[]).await;
        assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"));
    }
}

#[tokio::test]
async fn a_hostile_page_runs_its_script_and_can_still_go_on() {
    let html = "<script>opener.location='https://evil.example'</script>{{form}}";
    let provider = provider(|s| {
        s.auto_approve = false;
        s.authorize_html = Some(html.to_owned());
    })
    .await;
    let page = authorize(&provider, &[]).await;
    assert!(page.body.starts_with("<script>opener.location"));
    assert_eq!(page.header("content-security-policy"), None);
    assert!(decide(&provider, &page, "approve", "acme-1001").await.param("code").is_some());
}

#[tokio::test]
async fn form_post_sends_the_parameters_in_a_form() {
    let provider = provider(|_| {}).await;
    let page = authorize(&provider, &[("response_mode", "form_post")]).await;
    assert_eq!((page.status, page.header("location")), (200, None));
    assert!(page.body.contains(&format!(r#"<form method="post" action="{REDIRECT}">"#)));
    assert!(page.body.contains(r#"name="code" value="mock_code_"#));
    assert!(page.body.contains(r#"name="state" value="the-state""#));
}

#[tokio::test]
async fn a_request_without_a_sound_challenge_is_told_so_unless_pkce_is_ignored() {
    let provider = provider(|_| {}).await;
    let unsound: [&[(&str, &str)]; 3] =
        [&[("code_challenge", "")], &[("code_challenge_method", "plain")], &[("code_challenge_method", "")]];
    for changes in unsound {
        assert_eq!(authorize(&provider, changes).await.param("error").unwrap(), "invalid_request");
    }
    let token = authorize(&provider, &[("response_type", "token")]).await;
    assert_eq!(token.param("error").unwrap(), "unsupported_response_type");

    provider.set(|s| s.ignore_pkce = true);
    let code = authorize(&provider, &[("code_challenge", "")]).await.param("code").unwrap();
    assert_eq!(redeem(&provider, &code, &[("code_verifier", "wrong")]).await.status, 200);
}

#[tokio::test]
async fn an_unknown_client_gets_a_page() {
    let provider = provider(|_| {}).await;
    for changes in [[("client_id", "nobody")], [("client_id", "")], [("redirect_uri", "")]] {
        let page = authorize(&provider, &changes).await;
        assert_eq!((page.status, page.header("location")), (400, None));
    }
}
