//! Tests of a real process's `/metrics`: which counters a flow raises, that no text from a request appears there, and
//! how the listener answers other requests.

use std::collections::BTreeSet;

use alter_testkit::{
    Sent, TestBrowser,
    browser::sid_of,
    canary::hits,
    http::{send_raw, send_to_another},
};
use serde_json::json;

use crate::server::{CLIENT_SECRET, Server};

/// The value of a series; 0 if there is none.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// Every label of every series, with its value.
fn label_values(text: &str) -> BTreeSet<(String, String)> {
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let labels = series.filter_map(|line| line.split_once('{')?.1.rsplit_once('}')).map(|(labels, _)| labels);
    let pairs = labels.flat_map(|labels| labels.split("\",")).filter_map(|pair| pair.split_once("=\""));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_raises_the_counters_and_nothing_of_it_becomes_a_label() {
    let server = Server::start("metrics").await;
    let walk = server.up_to_callback().await;
    assert_eq!(server.send(walk.coming_back()).await.status, 303);
    let grant = server.status(&walk.token).await["connections"][0]["grant_id"].as_str().unwrap().to_owned();
    let url = server.mock.url("/api/me");
    let wanted = json!({ "grant_id": grant, "request": { "method": "GET", "url": url } });
    let released = server.send(server.signed("/sdk/token", &wanted)).await;
    let access_token = released.json()["access_token"].as_str().unwrap().to_owned();
    let elsewhere =
        json!({ "grant_id": grant, "request": { "method": "GET", "url": "https://canary-host.example/" } });
    assert_eq!(server.send(server.signed("/sdk/token", &elsewhere)).await.status, 422);
    for path in [
        "/canary-unknown-path-1",
        "/canary/unknown/path/2",
        "/sdk/v/canary-version-0001/x",
        "/?canary-query=1",
    ] {
        server.send(Sent::new("GET", path).header("traceparent", "canary-traceparent-01")).await;
    }
    server.send(Sent::new("CANARYMETHOD", "/canary-unknown-path-3")).await;
    server.send(Sent::new("GET", "/sdk/oauth/connect").header("host", "canary-host.example")).await;

    let text = server.scrape().await;
    for (series, expected) in [
        (r#"alter_build_info{version="0.1.0"}"#, 1.0),
        (r#"alter_http_requests_total{route="/sdk/oauth/connect/session",method="POST",status="2xx"}"#, 1.0),
        (r#"alter_http_requests_total{route="/oauth/callback/{config_id}",method="GET",status="3xx"}"#, 1.0),
        (r#"alter_http_requests_total{route="/sdk/token",method="POST",status="4xx"}"#, 1.0),
        (r#"alter_http_requests_total{route="/sdk/oauth/connect",method="GET",status="4xx"}"#, 1.0),
        (r#"alter_http_requests_total{route="none",method="GET",status="4xx"}"#, 3.0),
        (r#"alter_http_requests_total{route="none",method="other",status="4xx"}"#, 1.0),
        (r#"alter_http_request_duration_seconds_count{route="/oauth/callback/{config_id}"}"#, 1.0),
        ("alter_http_requests_in_flight", 0.0),
        ("alter_sessions_minted_total", 1.0),
        (r#"alter_sessions_claimed_total{level="L2"}"#, 1.0),
        (r#"alter_sessions_ended_total{end="done"}"#, 1.0),
        (r#"alter_sessions_ended_total{end="expired"}"#, 0.0),
        (r#"alter_exchanges_total{outcome="connected"}"#, 1.0),
        (r#"alter_exchange_duration_seconds_count{outcome="connected"}"#, 1.0),
        ("alter_exchanges_in_flight", 0.0),
        (r#"alter_token_releases_total{outcome="released"}"#, 1.0),
        (r#"alter_token_releases_total{outcome="blocked_destination"}"#, 1.0),
        ("alter_audit_failures_total", 0.0),
        ("alter_sqlite_batches_lost_total", 0.0),
        ("alter_sqlite_queue_commands", 0.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}\n{text}");
    }
    for series in [
        r#"alter_egress_requests_total{outcome="2xx"}"#,
        r#"alter_egress_request_duration_seconds_count{outcome="2xx"}"#,
        r#"alter_reaper_rounds_total{outcome="done"}"#,
        r#"alter_http_connections_total{outcome="admitted"}"#,
        "alter_sqlite_commit_duration_seconds_count",
        "alter_sqlite_batch_commands_count",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    ] {
        assert!(value(&text, series) > 0.0, "{series}\n{text}");
    }

    every_metric_of_the_guide_is_there(&text);
    t95_only_words_of_ours(&text);
    let code = walk.callback.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let state = walk.callback.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let browser_key = walk.cookie.split_once('=').unwrap().1;
    let secrets = [CLIENT_SECRET, &server.api_key, &walk.token, &access_token, code, state, browser_key];
    for secret in secrets.into_iter().chain([grant.as_str(), &server.app_id, &walk.sid]) {
        let planted = format!("{text}x{{y=\"{secret}\"}} 1\n");
        assert!(!hits(&[("planted".into(), planted.into_bytes())], secret).is_empty(), "the scan is blind");
        assert_eq!(hits(&[("metrics".into(), text.clone().into_bytes())], secret), [] as [&str; 0]);
    }
    assert!(!text.to_lowercase().contains("canary"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_session_is_counted_as_minted_and_as_ended() {
    let server = Server::start("auth-metrics").await;
    let issuer = server.mock.issuer();
    let set = ["idp", "set", "My App", "--issuer", &issuer, "--any-audience", "--client-id", "signs-in"];
    let set = server.place.json_with(&[&set[..], &["--client-secret-stdin"]].concat(), CLIENT_SECRET);
    let callback = set["callback_url"].as_str().unwrap_or_else(|| panic!("{set}"));
    server.mock.register_client("signs-in", Some(CLIENT_SECRET), &[callback]);
    server.place.json(&["app", "set", "My App", "--allow-auth-sessions"]);

    let asked = server.send(server.signed("/sdk/auth/session", &json!({}))).await;
    assert_eq!(asked.status, 201, "{}", asked.text());
    let page = |path: &str| {
        let origin = format!("http://{}", server.host);
        Sent::new("POST", path).header("origin", &origin).header("content-type", "application/json")
    };
    let token = asked.json()["session_token"].clone();
    let marks = json!({ "opener": false, "name": "", "referrer": "", "site": "none", "history": 2 });
    let claim = page("/connect/api/claim").body(json!({ "token": token, "marks": marks }).to_string());
    let opened = server.send(claim).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    let cookie = opened.cookies()[0].split(';').next().unwrap().to_owned();
    let sid = sid_of(opened.json()["location"].as_str().unwrap());
    let leave =
        page(&format!("/connect/api/s/{sid}/sign-in")).header("cookie", &cookie).body("{}".to_owned());
    let left = server.send(leave).await;
    assert_eq!(left.status, 200, "{}", left.text());
    let callback = TestBrowser::new().at_provider(left.json()["location"].as_str().unwrap()).await;
    assert_eq!(server.send(Sent::new("GET", &callback).header("cookie", &cookie)).await.status, 303);

    let text = server.scrape().await;
    for series in ["alter_sessions_minted_total", r#"alter_sessions_ended_total{end="done"}"#] {
        assert_eq!(value(&text, series), 1.0, "{series}\n{text}");
    }
}

/// Every metric that the guide names exists: an operator who copies an alert must not wait for a series that never
/// comes.
fn every_metric_of_the_guide_is_there(text: &str) {
    let guide = include_str!("../../../../docs/guides/run-in-production.md");
    let words = guide.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let names: BTreeSet<_> =
        words.filter(|word| word.starts_with("alter_") || word.starts_with("process_")).collect();
    // The guide also names a module for ALTER_LOG.
    let names: Vec<_> = names.into_iter().filter(|name| *name != "alter_flows").collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(text.contains(&format!("# TYPE {name} ")), "the guide names {name}, which is not a metric");
    }
}

/// Labels hold only our own words: routes are templates, and every other label is a short word.
fn t95_only_words_of_ours(text: &str) {
    let values = label_values(text);
    assert!(values.len() > 20, "{values:?}");
    for (name, value) in values {
        let fits = match name.as_str() {
            "route" => value == "none" || (value.starts_with('/') && value.len() < 60),
            "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
            "version" => value == env!("CARGO_PKG_VERSION"),
            "method" => value.len() <= 7,
            "provider" => value == "other" || alter_providers::Catalog::builtin().get(&value).is_some(),
            "status" => value == "gone" || value.ends_with("xx"),
            "outcome" | "end" | "level" => {
                value.len() < 24 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            }
            _ => false,
        };
        assert!(fits, "{name}=\"{value}\"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_listener_answers_nothing_but_metrics_and_the_server_has_none() {
    let server = Server::start("listener").await;
    for path in
        ["/", "/healthz", "/metrics/", "/metrics/x", "/connect/notice/open", "/sdk/token", "/openapi.json"]
    {
        let reply = send_to_another(&server.metrics, Sent::new("GET", path)).await;
        assert_eq!((reply.status, reply.text().as_str()), (404, ""), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(
            send_to_another(&server.metrics, Sent::new(method, "/metrics")).await.status,
            405,
            "{method}"
        );
    }
    let nonsense = send_raw(&server.metrics, b"nonsense\r\n\r\n").await;
    assert!(nonsense.starts_with("HTTP/1.1 400") || nonsense.is_empty(), "{nonsense}");
    assert_eq!(server.send(Sent::new("GET", "/metrics")).await.status, 404);
    assert!(value(&server.scrape().await, "process_open_fds") > 0.0, "the control");
}
