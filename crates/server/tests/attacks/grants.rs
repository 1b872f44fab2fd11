//! Users' grants over HTTP: which grant a call means, reconnecting, revoking (T14, T15, T69, T72, T98, S12), and the
//! mint quota (T56).

use std::time::Duration;

use alter_core::AppSettings;
use alter_flows::{ProviderSetting, connect as connecting, operate, reap};
use alter_mock_provider::{Raw, User};
use alter_testkit::{
    Reply, TestBrowser, TestServer, operator,
    server::{CLIENT_SECRET, mock_recipe},
};
use secrecy::SecretString;
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";
const USER: &str = "acme-1001";
const OTHER_USER: &str = "acme-1002";

async fn server() -> TestServer {
    let server = TestServer::start().await;
    server.set_idp(&server.app, Some(AUDIENCE)).await;
    server
}

fn token_of(server: &TestServer, user: &str) -> String {
    server.mock.user_token(user, AUDIENCE)
}

/// Connects for a user; the account at the provider is `account`.
async fn connect(server: &TestServer, user: &str, account: &str, label: Option<&str>) -> Value {
    server.mock.set(|s| s.auto_user = Some(account.to_owned()));
    let body = json!({ "user_token": token_of(server, user), "requested_grant": { "label": label } });
    let made = TestBrowser::new().connect_for(server, &server.app, &body).await;
    server.mock.set(|s| s.auto_user = None);
    made
}

fn id_of(connection: &Value) -> String {
    connection["grant_id"].as_str().expect("a connection has a grant").to_owned()
}

async fn ask(server: &TestServer, mut which: Value) -> Reply {
    which["request"] = json!({ "method": "GET", "url": server.mock.url("/api/me") });
    server.call("/sdk/token", &which).await
}

async fn set(server: &TestServer, change: impl FnOnce(&mut AppSettings)) {
    let mut settings = server.store.get_app(server.app.id).await.unwrap().unwrap().settings;
    change(&mut settings);
    operate::change_app(&server.flows, &operator(), server.app.id, settings).await.unwrap();
}

#[track_caller]
fn is(reply: &Reply, status: u16, code: &str) {
    let got = if reply.status < 400 { String::new() } else { reply.error() };
    assert_eq!((reply.status, got.as_str()), (status, code), "{}", reply.text());
}

#[tokio::test]
async fn s7_a_grant_is_its_users_and_resolved_from_the_token_on_every_call() {
    let server = server().await;
    let mine = id_of(&connect(&server, USER, "acme-1001", None).await);
    let theirs = id_of(&connect(&server, OTHER_USER, "acme-1002", None).await);
    for (user, grant) in [(USER, &mine), (OTHER_USER, &theirs)] {
        let released =
            ask(&server, json!({ "provider_id": "mock", "user_token": token_of(&server, user) })).await;
        is(&released, 200, "");
        assert_eq!(released.json()["grant_id"], json!(grant));
    }
    let stranger = json!({ "provider_id": "mock", "user_token": token_of(&server, "acme-9999") });
    let nothing = ask(&server, stranger).await;
    is(&nothing, 404, "grant_not_found");
    assert_eq!(nothing.json()["provider_id"], "mock", "as the call named it");
    is(&ask(&server, json!({ "provider_id": "mock" })).await, 404, "grant_not_found");
    is(
        &ask(&server, json!({ "provider_id": "other", "user_token": token_of(&server, USER) })).await,
        404,
        "grant_not_found",
    );
    for bad in [
        json!({}),
        json!({ "provider_id": "mock", "grant_id": mine }),
        json!({ "grant_id": mine, "label": "x" }),
    ] {
        is(&ask(&server, bad).await, 400, "invalid_request");
    }
}

#[tokio::test]
async fn s7_several_grants_are_ambiguous_and_chosen_by_account_or_label() {
    let server = server().await;
    let work = id_of(&connect(&server, USER, "acme-1001", Some("work")).await);
    let home = id_of(&connect(&server, USER, "acme-1002", Some("home")).await);
    assert_ne!(work, home, "T14: another account is another grant");
    let token = token_of(&server, USER);
    let with = |more: Value| {
        let mut body = json!({ "provider_id": "mock", "user_token": token });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let several = ask(&server, with(json!({}))).await;
    is(&several, 409, "ambiguous_grant");
    let several = several.json();
    let ids: Vec<_> =
        several["candidates"].as_array().unwrap().iter().map(|c| c["grant_id"].clone()).collect();
    assert_eq!(ids, [json!(home), json!(work)], "newest first");
    assert_eq!(
        (&several["candidates_truncated"], &several["account_was_provided"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(several["candidates"][0]["label"], "home");
    let account = several["candidates"][1]["account_identifier"].clone();
    for (more, grant) in [(json!({ "label": "home" }), &home), (json!({ "account": account }), &work)] {
        let released = ask(&server, with(more)).await;
        is(&released, 200, "");
        assert_eq!(released.json()["grant_id"], json!(grant));
    }
    is(&ask(&server, with(json!({ "label": "Home" }))).await, 404, "grant_not_found");
    is(&ask(&server, with(json!({ "label": "home", "account": account }))).await, 404, "grant_not_found");
}

#[tokio::test]
async fn s7_ten_candidates_are_named_and_an_eleventh_is_told_of() {
    let server = server().await;
    set(&server, |s| s.sessions_per_minute_and_user = 0).await;
    let named = async || {
        let body = json!({ "provider_id": "mock", "user_token": token_of(&server, USER) });
        let several = ask(&server, body).await.json();
        (several["candidates"].as_array().map(Vec::len), several["candidates_truncated"].clone())
    };
    for n in 1..=11 {
        let (sub, email) = (format!("many-{n}"), format!("many-{n}@acme.example"));
        server.mock.add_user(User { sub: sub.clone(), email, name: sub.clone() });
        connect(&server, USER, &sub, None).await;
        if n == 2 || n == 10 {
            assert_eq!(named().await, (Some(n), json!(false)));
        }
    }
    assert_eq!(named().await, (Some(10), json!(true)));
}

#[tokio::test]
async fn t14_reconnecting_keeps_the_grant_of_the_same_account_and_touches_no_other() {
    let server = server().await;
    let first = connect(&server, USER, "acme-1001", Some("work")).await;
    let again = connect(&server, USER, "acme-1001", None).await;
    assert_eq!((&again["grant_id"], &again["operation"]), (&first["grant_id"], &json!("reauth")));
    let before = ask(&server, json!({ "grant_id": first["grant_id"] })).await.json()["access_token"].clone();
    // The user picks another account at the provider: the working grant stays as it is.
    let other = connect(&server, USER, "acme-1002", None).await;
    assert_eq!(other["operation"], "creation");
    assert_ne!(other["grant_id"], first["grant_id"]);
    let kept = ask(&server, json!({ "grant_id": first["grant_id"] })).await.json();
    assert_eq!(kept["access_token"], before);
    let grants = server.grants(server.app.id).await;
    let kept = grants.iter().find(|g| json!(g.id.to_string()) == first["grant_id"]).unwrap();
    assert_eq!(kept.label.as_deref(), Some("work"), "a label is kept when none is given");
}

#[tokio::test]
async fn t15_two_users_and_the_app_itself_with_one_provider_account_have_three_grants() {
    let server = server().await;
    let mine = id_of(&connect(&server, USER, "acme-1001", None).await);
    let theirs = id_of(&connect(&server, OTHER_USER, "acme-1001", None).await);
    let apps = id_of(&TestBrowser::new().connect(&server).await);
    assert!(mine != theirs && theirs != apps && mine != apps);
    let released = ask(&server, json!({ "provider_id": "mock" })).await.json();
    assert_eq!(released["grant_id"], json!(apps), "without a user, the app's own");
    let of = async |id: &str, user: &str| {
        ask(&server, json!({ "grant_id": id, "user_token": token_of(&server, user) })).await
    };
    is(&of(&mine, USER).await, 200, "");
    is(&of(&theirs, USER).await, 404, "grant_not_found");
    is(&of(&mine, OTHER_USER).await, 404, "grant_not_found");
    is(&of(&apps, USER).await, 403, "system_grant_user_token_mismatch");
    is(&of(&apps, "nobody-yet").await, 403, "system_grant_user_token_mismatch");
    // A grant of another user gets the same answer as an id that does not exist.
    let unknown = alter_core::GrantId::new(&alter_core::SystemRandom).to_string();
    assert_eq!(of(&theirs, USER).await.fingerprint(), of(&unknown, USER).await.fingerprint(), "T72");
}

#[tokio::test]
async fn t72_a_strangers_valid_token_neither_opens_nor_revokes_a_users_grant_by_its_id() {
    let server = server().await;
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    let unknown = alter_core::GrantId::new(&alter_core::SystemRandom).to_string();
    connect(&server, OTHER_USER, "acme-1002", None).await;
    // Nobody ever minted a session for the second stranger: the token is valid, and its user is unknown here.
    for stranger in [OTHER_USER, "acme-9999"] {
        let token = || json!({ "user_token": token_of(&server, stranger) });
        is(&server.call("/sdk/grants/list", &token()).await, 200, "");
        let open = async |id: &str| {
            ask(&server, json!({ "grant_id": id, "user_token": token_of(&server, stranger) })).await
        };
        is(&open(&grant).await, 404, "grant_not_found");
        assert_eq!(open(&grant).await.json()["provider_id"], Value::Null, "the call named none");
        assert_eq!(open(&grant).await.fingerprint(), open(&unknown).await.fingerprint(), "{stranger}");
        let refused = revoke(&server, &grant, token()).await;
        is(&refused, 404, "grant_not_found");
        assert_eq!(refused.fingerprint(), revoke(&server, &unknown, token()).await.fingerprint());
    }
    assert!(server.mock.seen().revoke.is_empty());
    let own = json!({ "grant_id": grant, "user_token": token_of(&server, USER) });
    is(&ask(&server, own).await, 200, "");
    is(&revoke(&server, &grant, json!({ "user_token": token_of(&server, USER) })).await, 200, "");
}

#[tokio::test]
async fn t69_a_token_that_was_good_at_mint_is_judged_again_at_every_retrieval() {
    let server = server().await;
    let token = token_of(&server, USER);
    let made = TestBrowser::new().connect_for(&server, &server.app, &json!({ "user_token": token })).await;
    let by_token = json!({ "provider_id": "mock", "user_token": token });
    is(&ask(&server, by_token.clone()).await, 200, "");
    // The token's key is rotated away: the identity provider no longer vouches for the token.
    server.clock.freeze();
    server.mock.set(|s| s.key_generation += 1);
    server.clock.advance_seconds(25 * 3600);
    is(&ask(&server, by_token).await, 401, "jwt_validation_error");
    let fresh = server.mock.user_token(USER, AUDIENCE);
    // Control: the grant is there, although its access token has run out meanwhile.
    let body = json!({ "grant_id": made["grant_id"], "user_token": fresh });
    let reply = ask(&server, body).await;
    assert_ne!(reply.status, 404, "{}", reply.text());
}

#[tokio::test]
async fn s12_a_users_grant_by_id_works_without_a_token_unless_the_operator_says_no() {
    let server = server().await;
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    is(&ask(&server, json!({ "grant_id": grant })).await, 200, "");
    set(&server, |s| s.require_user_token = true).await;
    is(&ask(&server, json!({ "grant_id": grant })).await, 403, "user_token_required");
    is(&ask(&server, json!({ "grant_id": grant, "user_token": token_of(&server, USER) })).await, 200, "");
    let apps = id_of(&TestBrowser::new().connect(&server).await);
    is(&ask(&server, json!({ "grant_id": apps })).await, 200, "");
}

#[tokio::test]
async fn the_list_has_what_the_published_client_demands_and_filters_by_user() {
    let server = server().await;
    let mine = id_of(&connect(&server, USER, "acme-1001", Some("work")).await);
    let theirs = id_of(&connect(&server, OTHER_USER, "acme-1002", None).await);
    is(&ask(&server, json!({ "grant_id": mine })).await, 200, "");
    let list = async |body: Value| {
        let reply = server.call("/sdk/grants/list", &body).await;
        is(&reply, 200, "");
        reply.json()
    };
    let all = list(json!({ "limit": 1 })).await;
    assert_eq!(
        (&all["total"], &all["has_more"], &all["limit"], &all["offset"]),
        (&json!(2), &json!(true), &json!(1), &json!(0))
    );
    assert_eq!(all["grants"][0]["grant_id"], json!(theirs), "newest first");
    let users = list(json!({ "user_token": token_of(&server, USER) })).await;
    assert_eq!((users["total"].clone(), users["grants"].as_array().unwrap().len()), (json!(1), 1));
    let item = &users["grants"][0];
    for (field, value) in [
        ("grant_kind", json!("oauth")),
        ("grant_id", json!(mine)),
        ("provider_id", json!("mock")),
        ("status", json!("active")),
        ("principal_type", json!("user")),
        ("access_via", json!("ownership")),
        ("label", json!("work")),
        ("scope_mismatch", json!(false)),
        ("needs_reconnect", json!(false)),
        ("delegated_agent_ids", json!([])),
        ("binding", json!("L2")),
    ] {
        assert_eq!(item[field], value, "{field}");
    }
    for time in ["created_at", "expires_at", "last_used_at"] {
        assert!(item[time].as_str().is_some_and(|at| at.ends_with('Z')), "{time}: {item}");
    }
    assert!(users.get("access_token").is_none() && !users.to_string().contains("canary"));
    for (body, total) in [
        (json!({ "user_token": token_of(&server, "acme-9999") }), 0),
        (json!({ "provider_id": "nope" }), 0),
        (json!({ "status": "active" }), 2),
        (json!({ "status": "revoked" }), 0),
        (json!({ "status": "expired" }), 0),
        (json!({ "label": "work" }), 1),
        (json!({ "account": item["account_identifier"] }), 1),
        (json!({ "offset": 5 }), 2),
    ] {
        assert_eq!(list(body.clone()).await["total"], json!(total), "{body}");
    }
    for bad in
        [json!({ "limit": 0 }), json!({ "limit": 1001 }), json!({ "limti": 5 }), json!({ "account": "a\0" })]
    {
        is(&server.call("/sdk/grants/list", &bad).await, 400, "invalid_request");
    }
}

async fn revoke(server: &TestServer, grant: &str, body: Value) -> Reply {
    server.call(&format!("/sdk/oauth/grants/{grant}/revoke"), &body).await
}

#[tokio::test]
async fn t98_a_revoked_grant_is_over_here_and_at_the_provider() {
    let server = server().await;
    server.mock.set(|s| s.omit_refresh_token = false);
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    let token =
        ask(&server, json!({ "grant_id": grant })).await.json()["access_token"].as_str().unwrap().to_owned();
    // This user is known here and gets the same answer as an unknown user.
    connect(&server, OTHER_USER, "acme-1002", None).await;
    let wrong_user = revoke(&server, &grant, json!({ "user_token": token_of(&server, OTHER_USER) })).await;
    is(&wrong_user, 404, "grant_not_found");
    let revoked = revoke(&server, &grant, json!({ "reason": "bye" })).await;
    is(&revoked, 200, "");
    let revoked = revoked.json();
    assert_eq!((&revoked["success"], &revoked["grant_id"]), (&json!(true), &json!(grant)));
    assert_eq!(revoked["revocation"], "confirmed", "{revoked}");
    is(&ask(&server, json!({ "grant_id": grant })).await, 403, "grant_revoked");
    is(
        &ask(&server, json!({ "provider_id": "mock", "user_token": token_of(&server, USER) })).await,
        404,
        "grant_not_found",
    );
    let asked = server.mock.seen().revoke;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].field("token_type_hint"), Some("refresh_token"));
    // The provider really ended the token.
    let host = server.mock.issuer().trim_start_matches("http://").to_owned();
    let me = alter_testkit::Sent::new("GET", "/api/me").header("authorization", &format!("Bearer {token}"));
    assert_eq!(alter_testkit::http::send(&host, me).await.status, 401);
    // Revoking again returns the same answer and does not ask the provider again.
    let again = revoke(&server, &grant, json!({})).await.json();
    assert_eq!((&again["revoked_at"], &again["revocation"]), (&revoked["revoked_at"], &json!("confirmed")));
    assert_eq!(server.mock.seen().revoke.len(), 1);
    let listed = server.call("/sdk/grants/list", &json!({ "status": "revoked" })).await.json();
    assert_eq!((&listed["total"], &listed["grants"][0]["status"]), (&json!(1), &json!("revoked")));
    let kinds: Vec<_> =
        server.store.list_audit(server.app.id, 2).await.unwrap().into_iter().map(|(k, _)| k).collect();
    assert_eq!(kinds, ["revocation_ended", "grant_revoked"]);
    let about =
        |what: &str| super::sql::count(&server, &format!("audit WHERE grant_id = '{grant}' AND {what}"));
    assert_eq!(about("kind = 'revocation_ended'"), 1);
    assert_eq!(about("kind = 'grant_revoked' AND user_id IS NOT NULL"), 1);
    // Connecting again makes a new grant.
    let new = connect(&server, USER, "acme-1001", None).await;
    assert_eq!(new["operation"], "creation");
    assert_ne!(new["grant_id"], json!(grant));
}

#[tokio::test]
async fn t98_a_provider_that_fails_is_asked_again_and_the_grant_is_over_meanwhile() {
    let server = server().await;
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    server.clock.freeze();
    server.mock.set(|s| s.revoke = Some(Raw::new(503, "text/plain", "busy")));
    let revoked = revoke(&server, &grant, json!({})).await;
    is(&revoked, 200, "");
    assert_eq!(revoked.json()["revocation"], "pending");
    is(&ask(&server, json!({ "grant_id": grant })).await, 403, "grant_revoked");
    reap::retry_revocations(&server.flows).await.unwrap();
    assert_eq!(server.mock.seen().revoke.len(), 1, "its time has not come");
    server.clock.advance_seconds(61);
    server.mock.set(|s| s.revoke = None);
    reap::retry_revocations(&server.flows).await.unwrap();
    assert_eq!(server.mock.seen().revoke.len(), 2);
    let listed = server.call("/sdk/grants/list", &json!({})).await.json();
    assert_eq!(listed["grants"][0]["revocation"], "confirmed");
    server.clock.advance_seconds(9999);
    reap::retry_revocations(&server.flows).await.unwrap();
    assert_eq!(server.mock.seen().revoke.len(), 2, "it is over");
}

#[tokio::test]
async fn t98_after_a_day_without_an_answer_the_token_is_wiped_and_the_outcome_said() {
    let server = server().await;
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    server.clock.freeze();
    server.mock.set(|s| s.revoke = Some(Raw::new(500, "text/plain", "no")));
    is(&revoke(&server, &grant, json!({})).await, 200, "");
    for _ in 0..40 {
        server.clock.advance_seconds(3600);
        reap::retry_revocations(&server.flows).await.unwrap();
    }
    let asked = server.mock.seen().revoke.len();
    assert!((24..32).contains(&asked), "{asked} requests in a day");
    let listed = server.call("/sdk/grants/list", &json!({})).await.json();
    assert_eq!(listed["grants"][0]["revocation"], "given_up");
    assert_eq!(super::sql::count(&server, "revocations"), 0);
}

#[tokio::test]
async fn t98_no_release_is_answered_after_the_revocation_was() {
    let server = std::sync::Arc::new(server().await);
    server.mock.set(|s| s.delays.push(("/revoke".into(), Duration::from_millis(50))));
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    let (mut asking, released) =
        (tokio::task::JoinSet::new(), std::sync::Arc::new(tokio::sync::Notify::new()));
    let started = std::time::Instant::now();
    for _ in 0..8 {
        let (server, grant, released) = (server.clone(), grant.clone(), released.clone());
        asking.spawn(async move {
            let mut last_good = None;
            for _ in 0..60 {
                let asked_at = started.elapsed();
                if ask(&server, json!({ "grant_id": grant })).await.status == 200 {
                    last_good = Some(asked_at);
                    released.notify_one();
                }
            }
            // If none was, the test goes on all the same, and says so.
            released.notify_one();
            last_good
        });
    }
    released.notified().await;
    is(&revoke(&server, &grant, json!({})).await, 200, "");
    let over = started.elapsed();
    let last_good = asking.join_all().await.into_iter().flatten().max().expect("control: some were released");
    assert!(last_good < over, "a call that began at {last_good:?} was answered; the revocation at {over:?}");
}

#[tokio::test]
async fn t91_a_revoked_grants_tokens_are_in_no_file() {
    let server = TestServer::start_sqlite().await;
    server.set_idp(&server.app, Some(AUDIENCE)).await;
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    let sealed =
        |table: &str, column: &str| super::sql::text(&server, &format!("SELECT hex({column}) FROM {table}"));
    let before = sealed("grants", "refresh_token");
    assert!(before.len() > 200, "control: there is one");
    is(&revoke(&server, &grant, json!({})).await, 200, "");
    for column in ["access_token", "coalesce(refresh_token, x'')", "coalesce(id_token, x'')"] {
        assert_eq!(sealed("grants", column), "", "{column}");
    }
    assert_eq!(super::sql::count(&server, "revocations"), 0);
}

#[tokio::test]
async fn t56_sessions_beyond_the_share_of_a_minute_are_refused_with_the_time_to_wait() {
    let server = server().await;
    server.clock.freeze();
    set(&server, |s| (s.sessions_per_minute, s.sessions_per_minute_and_user) = (6, 2)).await;
    let mint = async |body: Value| server.call("/sdk/oauth/connect/session", &body).await;
    let user = || json!({ "user_token": token_of(&server, USER) });
    for _ in 0..2 {
        is(&mint(user()).await, 201, "");
    }
    let refused = mint(user()).await;
    is(&refused, 429, "rate_limit_exceeded");
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!((&refused.json()["retry_after"], &refused.json()["window_seconds"]), (&json!(30), &json!(60)));
    is(&mint(json!({ "user_token": token_of(&server, OTHER_USER) })).await, 201, "");
    for _ in 0..2 {
        is(&mint(json!({})).await, 201, "");
    }
    is(&mint(json!({})).await, 429, "rate_limit_exceeded");
    let other = super::users::second_app(&server).await;
    let theirs = server.signed(&other.key, "/sdk/oauth/connect/session", &json!({}));
    is(&server.send(theirs).await, 201, "");
    server.clock.advance_seconds(10);
    is(&mint(json!({})).await, 201, "");
    is(&mint(json!({})).await, 429, "rate_limit_exceeded");
    server.clock.advance_seconds(60);
    is(&mint(user()).await, 201, "");
}

#[tokio::test]
async fn t56_a_replayed_mint_takes_nothing_of_the_share() {
    let server = server().await;
    server.clock.freeze();
    set(&server, |s| s.sessions_per_minute = 3).await;
    let call = server.signed(&server.app.key, "/sdk/oauth/connect/session", &json!({}));
    is(&server.send(call.clone()).await, 201, "");
    for _ in 0..5 {
        is(&server.send(call.clone()).await, 401, "invalid_signature");
    }
    is(&server.call("/sdk/oauth/connect/session", &json!({})).await, 201, "");
}

#[tokio::test]
async fn t56_a_replayed_mint_takes_nothing_of_its_users_share() {
    let server = server().await;
    server.clock.freeze();
    set(&server, |s| s.sessions_per_minute_and_user = 2).await;
    let body = json!({ "user_token": token_of(&server, USER) });
    let call = server.signed(&server.app.key, "/sdk/oauth/connect/session", &body);
    is(&server.send(call.clone()).await, 201, "");
    for _ in 0..5 {
        is(&server.send(call.clone()).await, 401, "invalid_signature");
    }
    is(&server.call("/sdk/oauth/connect/session", &body).await, 201, "");
    is(&server.call("/sdk/oauth/connect/session", &body).await, 429, "rate_limit_exceeded");
}

#[tokio::test]
async fn t56_replays_under_way_hold_no_share_and_give_none_that_they_did_not_take() {
    let server = std::sync::Arc::new(server().await);
    server.clock.freeze();
    set(&server, |s| (s.sessions_per_minute, s.sessions_per_minute_and_user) = (3, 3)).await;
    let mint = "/sdk/oauth/connect/session";
    let body = json!({ "user_token": token_of(&server, USER) });
    let call = server.signed(&server.app.key, mint, &body);
    is(&server.send(call.clone()).await, 201, "");
    let (_, agent) = server.add_agent(&server.app, "helper").await;
    let agents = server.signed(&agent, mint, &json!({}));
    is(&server.send(agents.clone()).await, 403, "app_key_required");
    // Many at once, an agent's among them, and with the share both free and used up.
    for left in [2, 0] {
        let mut replays = tokio::task::JoinSet::new();
        for sent in [&call, &agents].into_iter().cycle().take(20).cloned() {
            let server = server.clone();
            replays.spawn(async move { server.send(sent).await });
        }
        for _ in 0..left {
            is(&server.call(mint, &body).await, 201, "");
        }
        replays.join_all().await.iter().for_each(|reply| is(reply, 401, "invalid_signature"));
    }
    is(&server.call(mint, &json!({})).await, 429, "rate_limit_exceeded");
}

#[tokio::test]
async fn t98_a_grant_whose_token_cannot_be_opened_is_revoked_all_the_same() {
    let server = server().await;
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    super::sql::run(&server, "UPDATE grants SET refresh_token = access_token", []);
    is(&ask(&server, json!({ "grant_id": grant })).await, 200, "");
    is(&revoke(&server, &grant, json!({})).await, 200, "");
    is(&ask(&server, json!({ "grant_id": grant })).await, 403, "grant_revoked");
}

#[tokio::test]
async fn t98_a_request_that_cannot_be_opened_ends_after_a_day() {
    let server = server().await;
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    server.clock.freeze();
    server.mock.set(|s| s.revoke = Some(Raw::new(503, "text/plain", "")));
    is(&revoke(&server, &grant, json!({})).await, 200, "");
    super::sql::run(&server, "UPDATE revocations SET token = X''", []);
    for hour in 1..=30 {
        server.clock.advance_seconds(3600);
        reap::retry_revocations(&server.flows).await.unwrap();
        assert!(hour > 23 || super::sql::count(&server, "revocations") == 1, "given up after {hour} hours");
    }
    assert_eq!(super::sql::count(&server, "revocations"), 0);
}

#[tokio::test]
async fn t98_a_token_that_is_over_at_the_provider_already_is_confirmed() {
    let server = server().await;
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    let over = r#"{"error":"invalid_token"}"#;
    server.mock.set(|s| s.revoke = Some(Raw::new(400, "application/json", over)));
    assert_eq!(revoke(&server, &grant, json!({})).await.json()["revocation"], "confirmed");
    // Control: a 400 with another error is no confirmation.
    let other = id_of(&connect(&server, USER, "acme-1001", None).await);
    server.mock.set(|s| s.revoke = Some(Raw::new(400, "application/json", r#"{"error":"invalid_client"}"#)));
    assert_eq!(revoke(&server, &other, json!({})).await.json()["revocation"], "pending");
}

#[tokio::test]
async fn t98_an_answer_of_200_that_says_no_is_no_confirmation() {
    let server = server().await;
    server.add_provider(&server.app, "strict", |recipe| recipe.token.ok = Some("/ok".into())).await;
    let body = json!({ "user_token": token_of(&server, USER), "allowed_providers": ["strict"] });
    let token = server.mint(&body).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &server.app, &token).await;
    let authorize = browser.approve(&server, &sid, "strict").await;
    let callback = browser.at_provider(&authorize).await;
    browser.get(&server, &callback).await;
    let told = server.status(&token, &server.app.origin, json!({})).await.json();
    let grant = id_of(&told["connections"][0]);

    server.clock.freeze();
    let says = |body: &'static str| Some(Raw::new(200, "application/json", body));
    server.mock.set(|s| s.revoke = says(r#"{"ok":false,"error":"fatal_error"}"#));
    assert_eq!(revoke(&server, &grant, json!({})).await.json()["revocation"], "pending");
    server.clock.advance_seconds(61);
    server.mock.set(|s| s.revoke = says(r#"{"ok":true}"#));
    reap::retry_revocations(&server.flows).await.unwrap();
    assert_eq!(server.mock.seen().revoke.len(), 2, "the provider is asked again");
    let listed = server.call("/sdk/grants/list", &json!({})).await.json();
    assert_eq!(listed["grants"][0]["revocation"], "confirmed");
}

#[tokio::test]
async fn t77_a_provider_that_is_slow_to_revoke_does_not_hold_up_the_tidying() {
    let server = server().await;
    let grant = id_of(&connect(&server, USER, "acme-1001", None).await);
    server.clock.freeze();
    server.mock.set(|s| s.revoke = Some(Raw::new(503, "text/plain", "busy")));
    is(&revoke(&server, &grant, json!({})).await, 200, "");
    server.clock.advance_seconds(61);
    server.mock.set(|s| s.delays.push(("/revoke".into(), Duration::from_secs(3600))));
    reap::reap(&server.flows).await.unwrap();
    assert_eq!(server.mock.seen().revoke.len(), 1, "tidying asks no provider");
    // Control: the request is due, and its own loop makes it.
    let flows = server.flows.clone();
    let asking = tokio::spawn(async move { reap::retry_revocations(&flows).await });
    server.mock.wait_for(|seen| seen.revoke.len() == 2).await;
    reap::reap(&server.flows).await.unwrap();
    assert!(!asking.is_finished(), "the provider has not answered yet");
}

#[tokio::test]
async fn t98_revoking_does_not_end_another_grant_of_the_same_account_at_the_provider() {
    let server = server().await;
    let mine = id_of(&connect(&server, USER, "acme-1001", None).await);
    let theirs = id_of(&connect(&server, OTHER_USER, "acme-1001", None).await);
    assert_eq!(revoke(&server, &mine, json!({})).await.json()["revocation"], "shared");
    assert!(server.mock.seen().revoke.is_empty(), "the provider would end both");
    is(&ask(&server, json!({ "grant_id": mine })).await, 403, "grant_revoked");
    is(&ask(&server, json!({ "grant_id": theirs })).await, 200, "");
    assert_eq!(revoke(&server, &theirs, json!({})).await.json()["revocation"], "confirmed", "the last one");
    assert_eq!(server.mock.seen().revoke.len(), 1);
}

/// An operator may configure one client twice, under two ids.
#[tokio::test]
async fn t98_revoking_does_not_end_a_grant_of_the_same_account_and_client_under_another_id_of_the_provider() {
    let server = server().await;
    let client_id = format!("client-{}-mock", server.app.id);
    let mut recipe = mock_recipe(&server.mock.issuer());
    recipe.id = "mock-two".into();
    let client_secret = Some(SecretString::from(CLIENT_SECRET));
    let setting = ProviderSetting { recipe, client_id: client_id.clone(), client_secret, scopes: None };
    let set = operate::set_provider(&server.flows, &operator(), server.app.id, setting).await.unwrap();
    let callback = connecting::callback_url(&server.flows, &set);
    server.mock.register_client(&client_id, Some(CLIENT_SECRET), &[&server.app.callback, &callback]);
    let connected =
        async |provider: &str| TestBrowser::new().attempt(&server, provider).await.grant_id().to_owned();
    let (here, there) = (connected("mock").await, connected("mock-two").await);
    assert_eq!(revoke(&server, &here, json!({})).await.json()["revocation"], "shared");
    assert!(server.mock.seen().revoke.is_empty(), "the provider would end both");
    assert_eq!(revoke(&server, &there, json!({})).await.json()["revocation"], "confirmed", "the last one");
}

#[tokio::test]
async fn t98_where_a_revocation_ends_one_token_alone_the_provider_is_asked_whoever_else_has_the_account() {
    let server = server().await;
    let ends_one = json!({ "url": server.mock.url("/revoke"), "ends": "token" });
    let ends_one = serde_json::from_value(ends_one).unwrap();
    server.add_provider(&server.app, "mock", |recipe| recipe.revoke = Some(ends_one)).await;
    let mine = id_of(&connect(&server, USER, "acme-1001", None).await);
    let theirs = id_of(&connect(&server, OTHER_USER, "acme-1001", None).await);
    assert_eq!(revoke(&server, &mine, json!({})).await.json()["revocation"], "confirmed");
    assert_eq!(server.mock.seen().revoke.len(), 1);
    is(&ask(&server, json!({ "grant_id": theirs })).await, 200, "");
}

#[tokio::test]
async fn t98_a_late_retry_does_not_end_what_was_connected_since() {
    let server = server().await;
    let first = id_of(&connect(&server, USER, "acme-1001", None).await);
    server.clock.freeze();
    server.mock.set(|s| s.revoke = Some(Raw::new(503, "text/plain", "busy")));
    assert_eq!(revoke(&server, &first, json!({})).await.json()["revocation"], "pending");
    let second = id_of(&connect(&server, USER, "acme-1001", None).await);
    server.mock.set(|s| s.revoke = None);
    server.clock.advance_seconds(61);
    reap::retry_revocations(&server.flows).await.unwrap();
    assert_eq!(server.mock.seen().revoke.len(), 1, "not asked again");
    is(&ask(&server, json!({ "grant_id": second })).await, 200, "");
    let revoked = server.call("/sdk/grants/list", &json!({ "status": "revoked" })).await.json();
    assert_eq!(revoked["grants"][0]["revocation"], "shared");
}
