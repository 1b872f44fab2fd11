//! What a connection that waits for the app never does, and how it ends by itself.

use alter_core::Grant;
use alter_flows::reap::reap;

use super::*;

async fn confirmed(app: &Backend, who: &mut SignedIn) -> Grant {
    let token = app.start(who).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let code = app.code_of_popup(&token).await;
    assert_eq!(app.returned(who, &code).await.status, 200);
    app.server.grants(app.app.id).await.remove(0)
}

#[tokio::test]
async fn a_connection_that_nobody_confirms_ends_after_five_minutes_here_and_at_the_provider() {
    let app = Backend::new(Form::UserToken).await;
    let mut ann = SignedIn::new(ANN);
    app.server.clock.freeze();
    let token = app.start(&mut ann).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let code = app.code_of_popup(&token).await;
    app.server.clock.advance_seconds(299);
    reap(&app.server.flows).await.unwrap();
    assert_eq!(app.poll(&token).await["status"], "pending");
    app.server.clock.advance_seconds(1);
    reap(&app.server.flows).await.unwrap();
    app.server.flows.drain().await;
    let poll = app.poll(&token).await;
    assert_eq!(
        (&poll["status"], &poll["error"]["error_code"]),
        (&json!("error"), &json!("connect_flow_error"))
    );
    let late = app.returned(&ann, &code).await;
    assert!(is(&late, 410, "session_expired"), "{}", late.text());
    assert_eq!(late.json()["details"]["reason"], "not_confirmed");
    assert_eq!((app.grants().await, app.server.mock.seen().revoke.len()), (0, 1));
    assert_eq!(app.audit().await[0], "connection_discarded");
}

#[tokio::test]
async fn a_word_that_comes_too_late_counts_for_nothing_before_the_reaper_either() {
    let app = Backend::new(Form::Verifier).await;
    let mut ann = SignedIn::new(ANN);
    let token = app.start(&mut ann).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let code = app.code_of_popup(&token).await;
    app.server.clock.advance_seconds(300);
    assert!(is(&app.returned(&ann, &code).await, 410, "session_expired"));
    assert_eq!(app.grants().await, 0);
}

#[tokio::test]
async fn t54_the_apps_word_counts_to_the_last_second_of_five_minutes_and_never_from_then_on() {
    for form in FORMS {
        let app = Backend::new(form).await;
        app.server.clock.freeze();
        for by_link in [false, true] {
            for (at, works) in [(299, true), (300, false), (301, false)] {
                let (mut ann, mut browser) = (SignedIn::new(ANN), TestBrowser::new());
                let token = app.start(&mut ann).await;
                let code = if by_link {
                    code_in(&app.through_link(&mut browser, &token, json!({})).await)
                } else {
                    app.popup(&mut browser, &token).await;
                    app.code_of_popup(&token).await
                };
                app.server.clock.advance_seconds(at);
                let told = app.returned(&ann, &code).await;
                let status = if works { 200 } else { 410 };
                assert_eq!(told.status, status, "{form:?}, by link {by_link}, at {at}: {}", told.text());
                let poll = app.poll(&token).await;
                assert_eq!(poll["status"], if works { "completed" } else { "error" }, "{poll}");
            }
        }
    }
}

#[tokio::test]
async fn t14_no_flow_replaces_a_credential_at_l3_without_the_apps_word() {
    let app = Backend::new(Form::UserToken).await;
    let mut ann = SignedIn::new(ANN);
    let before = confirmed(&app, &mut ann).await;

    // Another flow of the same user and account, as yet unconfirmed.
    let token = app.start(&mut ann).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let waiting = app.server.grants(app.app.id).await.remove(0);
    assert_eq!(waiting.credential.access_token, before.credential.access_token);
    let code = app.code_of_popup(&token).await;
    assert!(is(&app.returned(&SignedIn::new(BOB), &code).await, 403, "binding_failed"));
    app.server.flows.drain().await;
    assert_eq!(app.server.mock.seen().revoke.len(), 0, "that would end the live grant of the same account");
    let kept = app.server.grants(app.app.id).await.remove(0);
    assert_eq!((kept.credential.access_token, kept.level), (before.credential.access_token, Level::L3));

    // With the app's word it is swapped in, and the grant keeps its id.
    let token = app.start(&mut ann).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let code = app.code_of_popup(&token).await;
    let done = app.returned(&ann, &code).await.json();
    assert_eq!(done["grants"][0]["operation"], "reauth", "{done}");
    let after = app.server.grants(app.app.id).await.remove(0);
    assert_eq!((after.id, after.credential.generation, after.level), (before.id, 2, Level::L3));
}

/// Two flows at once end in the same account: the owner's own, and one of an attacker who sent its link.
#[tokio::test]
async fn t98_what_is_discarded_ends_no_connection_of_the_same_account_that_waits() {
    let app = Backend::new(Form::UserToken).await;
    let (mut ann, mut attacker) = (SignedIn::new(ANN), SignedIn::new(BOB));
    let own = app.start(&mut ann).await;
    app.popup(&mut TestBrowser::new(), &own).await;
    let link = app.start(&mut attacker).await;
    let address = app.through_link(&mut TestBrowser::new(), &link, json!({})).await;
    assert!(is(&app.returned(&ann, &code_in(&address)).await, 403, "binding_failed"));
    app.server.flows.drain().await;
    assert_eq!(app.server.mock.seen().revoke.len(), 0, "that would end the owner's tokens");
    let code = app.code_of_popup(&own).await;
    assert_eq!(app.returned(&ann, &code).await.status, 200);
}

/// The operator has lowered the app's level since: a grant at L3 is not replaced by a flow at L2 either.
#[tokio::test]
async fn t08_a_flow_at_a_lower_level_waits_where_the_grant_is_at_l3() {
    let app = Backend::new(Form::UserToken).await;
    let mut ann = SignedIn::new(ANN);
    let before = confirmed(&app, &mut ann).await;
    let stored = app.server.store.get_app(app.app.id).await.unwrap().unwrap();
    let settings = AppSettings { min_binding: Some(Level::L2), ..stored.settings };
    let operator = alter_testkit::operator();
    alter_flows::operate::change_app(&app.server.flows, &operator, app.app.id, settings).await.unwrap();

    let token = app.start(&mut ann).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let status = app.server.status(&token, &app.app.origin, json!({})).await.json();
    assert_eq!(status["status"], "pending", "{status}");
    let kept = app.server.grants(app.app.id).await.remove(0);
    assert_eq!((kept.credential.generation, kept.level), (before.credential.generation, Level::L3));
    let code = app.code_of_popup(&token).await;
    assert_eq!(app.returned(&ann, &code).await.status, 200);
    assert_eq!(app.server.grants(app.app.id).await[0].credential.generation, 2);
}

/// The app's own grants: a session without user and challenge has nothing that the app could confirm with.
#[tokio::test]
async fn t08_a_flow_that_nobody_could_confirm_does_not_wait_for_it() {
    let app = Backend::new(Form::Verifier).await;
    let before = confirmed(&app, &mut SignedIn::new(ANN)).await;
    let stored = app.server.store.get_app(app.app.id).await.unwrap().unwrap();
    let settings = AppSettings { min_binding: Some(Level::L2), ..stored.settings };
    let operator = alter_testkit::operator();
    alter_flows::operate::change_app(&app.server.flows, &operator, app.app.id, settings).await.unwrap();

    let token = app.server.mint_for(&app.app, &json!({})).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let poll = app.poll(&token).await;
    assert_eq!(poll["error"]["error_code"], "connect_flow_error", "{poll}");
    app.server.flows.drain().await;
    let kept = app.server.grants(app.app.id).await.remove(0);
    assert_eq!((kept.credential.generation, kept.level), (before.credential.generation, Level::L3));
    assert_eq!(app.server.mock.seen().revoke.len(), 0, "that would end the grant that lives");
}

#[tokio::test]
async fn t13_an_agent_gets_its_delegation_with_the_apps_word_and_not_before() {
    let app = Backend::new(Form::UserToken).await;
    let (agent, key) = app.server.add_agent(&app.app, "helper").await;
    let body = json!({ "user_token": app.server.mock.user_token(ANN, AUDIENCE), "agent": "helper" });
    let token = app.server.mint_for(&app.app, &body).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let listed = async || {
        app.server
            .call_as(&key, "POST", "/sdk/grants/list", &json!({ "limit": 10, "offset": 0 }))
            .await
            .json()
    };
    assert_eq!(listed().await["total"], 0);
    let code = app.code_of_popup(&token).await;
    let done = app.returned(&SignedIn::new(ANN), &code).await.json();
    assert_eq!(done["grants"][0]["delegation"]["agent_id"], agent.to_string(), "{done}");
    assert_eq!(listed().await["total"], 1);
}

#[tokio::test]
async fn t13_an_agent_that_was_stopped_meanwhile_ends_the_flow_and_the_tokens() {
    let app = Backend::new(Form::UserToken).await;
    let (agent, _) = app.server.add_agent(&app.app, "helper").await;
    let body = json!({ "user_token": app.server.mock.user_token(ANN, AUDIENCE), "agent": "helper" });
    let token = app.server.mint_for(&app.app, &body).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let code = app.code_of_popup(&token).await;
    let stored = app.server.store.get_app(app.app.id).await.unwrap().unwrap();
    let operator = alter_testkit::operator();
    alter_flows::callers::delete_agent_as_operator(&app.server.flows, &operator, stored, agent)
        .await
        .unwrap();
    let refused = app.returned(&SignedIn::new(ANN), &code).await;
    assert!(is(&refused, 409, "nothing_to_confirm"), "{}", refused.text());
    assert_eq!(refused.json()["details"]["reason"], "agent_revoked");
    app.server.flows.drain().await;
    assert_eq!((app.grants().await, app.server.mock.seen().revoke.len()), (0, 1));
}

#[tokio::test]
async fn t61_of_many_words_at_once_one_makes_the_grant_and_all_hear_of_it() {
    let app = Backend::new(Form::Verifier).await;
    let mut ann = SignedIn::new(ANN);
    let token = app.start(&mut ann).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let code = app.code_of_popup(&token).await;
    let calls = (0..8).map(|_| app.returned(&ann, &code));
    let replies = futures_join(calls).await;
    let ids: std::collections::BTreeSet<_> =
        replies.iter().map(|reply| reply.json()["grants"][0]["grant_id"].to_string()).collect();
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!((ids.len(), app.grants().await), (1, 1));
    assert_eq!(app.server.grants(app.app.id).await[0].credential.generation, 1);
}

async fn futures_join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = futures.map(Box::pin).collect();
    let mut done = Vec::new();
    // Each is polled once before any is waited for, so that they run at the same time.
    for future in &mut all {
        let ready = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await;
        assert!(ready.is_pending(), "a call over a socket is not answered at once");
    }
    for future in all {
        done.push(future.await);
    }
    done
}
