//! Tests of `alter grant`: what the operator sees of a grant, and does about refreshing it.

use alter_mock_provider::TokenFault;
use serde_json::{Value, json};

use crate::{place::said, server::Server};

const APP: &str = "My App";

/// What a refused command says.
#[track_caller]
fn refused(server: &Server, args: &[&str]) -> String {
    let output = server.place.command(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

fn text(server: &Server, args: &[&str]) -> String {
    let output = server.place.command(args).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_refreshed_by_its_operator_and_shown_with_its_attempts() {
    let server = Server::start("grant-refresh").await;
    let grant = server.connect().await;
    let show = || server.place.json(&["grant", "show", APP, &grant]);
    let before = show();
    assert_eq!((&before["status"], &before["needs_reconnect"]), (&json!("active"), &json!(false)));
    assert_eq!((&before["attempts"], &before["refresh"]["generation"]), (&json!([]), &json!(1)));
    assert!(text(&server, &["grant", "show", APP, &grant]).contains("No attempt to refresh it yet."));

    let refreshed = server.place.json(&["grant", "refresh", APP, &grant]);
    assert_eq!(refreshed["refreshed"], true);
    let after = show();
    assert_eq!(refreshed["expires_at"], after["expires_at"]);
    assert!(after["refresh"]["next_look_at"].is_string(), "{after}");
    let attempt = &after["attempts"][0];
    assert_eq!((&attempt["outcome"], &attempt["code"]), (&json!("refreshed"), &Value::Null));
    assert!(attempt["took_ms"].as_i64().unwrap() >= 0, "{attempt}");
    assert!(text(&server, &["grant", "show", APP, &grant]).contains("works until"));

    let entries =
        server.place.json(&["audit", "list", APP, "--kind", "credential_refreshed", "--grant", &grant]);
    let details = entries["entries"][0]["details"].to_string();
    assert!(details.contains("operator"), "{entries}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_whose_user_must_reconnect_says_so_wherever_the_operator_looks() {
    let server = Server::start("grant-reconnect").await;
    let grant = server.connect().await;
    let list = || server.place.json(&["grant", "list", APP])["grants"][0].clone();
    assert_eq!((&list()["needs_reconnect"], &list()["reason"]), (&json!(false), &Value::Null));

    server.mock.set(|s| s.refresh.fault = Some(TokenFault::Refuse("invalid_grant".into())));
    let said = refused(&server, &["grant", "refresh", APP, &grant]);
    let remedy = "only the user can help, by connecting the account again";
    assert!(said.contains("the provider refused the refresh token") && said.contains(remedy), "{said}");
    assert_eq!((&list()["needs_reconnect"], &list()["reason"]), (&json!(true), &json!("refresh_refused")));
    assert!(text(&server, &["grant", "list", APP]).contains("  reconnect "));
    let shown = text(&server, &["grant", "show", APP, &grant]);
    assert!(shown.contains(remedy) && shown.contains("invalid_grant"), "{shown}");
    assert!(shown.contains("asks the provider once more"), "{shown}");

    assert_eq!(server.connect().await, grant);
    assert_eq!((&list()["needs_reconnect"], &list()["status"]), (&json!(false), &json!("active")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_a_refresh_is_named_with_what_mends_it() {
    let server = Server::start("grant-trouble").await;
    let grant = server.connect().await;
    let refresh = ["grant", "refresh", APP, &grant];
    server.mock.set(|s| s.refresh.fault = Some(TokenFault::InvalidClient));
    let remedy = format!("alter provider set {} mock", server.app_id);
    let said = refused(&server, &refresh);
    assert!(said.contains(&remedy), "{said}");
    let shown = text(&server, &["grant", "show", APP, &grant]);
    assert!(shown.contains(&remedy) && shown.contains("client_refused"), "{shown}");
    assert!(shown.contains("nothing is sent before"), "{shown}");

    server.mock.set(|s| s.refresh.fault = Some(TokenFault::Status(500)));
    assert!(refused(&server, &refresh).contains("the provider did not answer, or not with tokens"));
    let unknown = refused(&server, &["grant", "refresh", APP, "00000000-0000-4000-8000-000000000000"]);
    assert!(unknown.contains("alter grant list"), "{unknown}");
    let unknown = refused(&server, &["grant", "show", APP, "00000000-0000-4000-8000-000000000000"]);
    assert!(unknown.contains("alter grant list"), "{unknown}");

    server.place.json(&["grant", "revoke", APP, &grant]);
    let revoked = refused(&server, &refresh);
    assert!(revoked.contains("the grant is revoked") && revoked.contains("alter grant list"), "{revoked}");
    assert!(text(&server, &["grant", "show", APP, &grant]).contains("revoked since"));
}
