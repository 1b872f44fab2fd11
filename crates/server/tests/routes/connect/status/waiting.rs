//! Status calls that wait for news: over real connections, within the limits of the accept loop. What ends a wait is tested in
//! `crates/flows/tests/stories/waiting.rs`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alter_flows::connect;
use alter_mock_provider::Gate;
use alter_server::{Limits, Shared};
use alter_testkit::{Reply, Sent, TestBrowser, TestServer, http::send};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// How long a test waits for what must come, on a machine that is busy with other work.
const PATIENCE: Duration = Duration::from_secs(120);

fn question(server: &TestServer, token: &str, more: &Value) -> Sent {
    let mut body =
        json!({ "session_token": token, "cb": TestBrowser::cb_of(token), "cursor": 0, "wait": 25 });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Sent::new("POST", "/connect/status")
        .header("host", &server.host)
        .header("origin", &server.app.origin)
        .header("content-type", "text/plain")
        .body(body.to_string())
}

async fn until_waiting(server: &TestServer, count: usize) {
    let from = Instant::now();
    while connect::waiting(&server.flows) != count {
        assert!(from.elapsed() < PATIENCE, "{} wait, not {count}", connect::waiting(&server.flows));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Asks in a task of its own, and returns once the question waits.
async fn waiting(server: &TestServer, token: &str, more: Value) -> tokio::task::JoinHandle<Reply> {
    let before = connect::waiting(&server.flows);
    let (host, sent) = (server.host.clone(), question(server, token, &more));
    let task = tokio::spawn(async move { send(&host, sent).await });
    until_waiting(server, before + 1).await;
    task
}

async fn answered(task: tokio::task::JoinHandle<Reply>) -> Value {
    let reply = timeout(PATIENCE, task).await.expect("an answer").unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[tokio::test]
async fn a_page_that_waits_is_asked_about_its_popup_at_the_return_and_then_hears_of_the_connection() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(&server, &server.app.clone(), &token).await;
    server.status(&token, &server.app.origin, json!({ "closed": false })).await;
    let gate = Gate::closed();
    server.mock.set(|switches| switches.token_gate = Some(gate.clone()));
    let task = waiting(&server, &token, json!({ "cursor": 2, "closed": false })).await;
    let coming_back = browser.get(&server, &callback);
    let watching = async {
        let told = answered(task).await;
        assert_eq!((&told["status"], &told["events"]), (&json!("open"), &json!([])), "{told}");
        let task = waiting(&server, &token, json!({ "cursor": 2, "closed": false })).await;
        gate.open();
        answered(task).await
    };
    let (back, told) = tokio::join!(coming_back, watching);
    assert_eq!(back.status, 303);
    assert_eq!((&told["status"], &told["cursor"]), (&json!("completed"), &json!(3)), "{told}");
    assert_eq!(told["events"][0]["name"], "OAUTH_COMPLETE");
    assert_eq!(told["connections"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_wait_or_with_zero_or_with_news_the_answer_comes_at_once() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    TestBrowser::new().claim(&server, &server.app, &token).await;
    for more in [json!({ "wait": null }), json!({ "wait": 0 }), json!({ "cursor": 0 })] {
        let asked = send(&server.host, question(&server, &token, &more));
        let told = timeout(PATIENCE, asked).await.expect("an answer").json();
        assert_eq!((&told["status"], &told["cursor"]), (&json!("open"), &json!(1)), "{more}");
    }
    for wait in [json!(-1), json!(1.5), json!("25"), json!(true)] {
        assert_eq!(send(&server.host, question(&server, &token, &json!({ "wait": wait }))).await.status, 400);
    }
}

#[tokio::test]
async fn a_wait_ends_when_its_time_is_over_and_nothing_has_happened() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let from = Instant::now();
    let told = send(&server.host, question(&server, &token, &json!({ "wait": 1 }))).await.json();
    assert!(from.elapsed() >= Duration::from_secs(1));
    assert_eq!((&told["status"], &told["events"]), (&json!("open"), &json!([])));
    assert_eq!(connect::waiting(&server.flows), 0);
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_place_back_at_once() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let sent = question(&server, &token, &json!({}));
    let mut stream = TcpStream::connect(server.host.replace("localhost", "127.0.0.1")).await.unwrap();
    let mut bytes = format!("POST /connect/status HTTP/1.1\r\nContent-Length: {}\r\n", sent.body.len());
    for (name, value) in &sent.headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{bytes}\r\n").as_bytes()).await.unwrap();
    stream.write_all(&sent.body).await.unwrap();
    until_waiting(&server, 1).await;
    drop(stream);
    until_waiting(&server, 0).await;
}

/// Another listener of the same server, with its own limits.
async fn listen(server: &TestServer, limits: Limits) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = alter_server::router(Shared::new(server.flows.clone()).unwrap());
    tokio::spawn(alter_server::serve(listener, router, limits, std::future::pending()));
    address
}

#[tokio::test]
async fn t75_pages_that_wait_take_a_quarter_of_the_connections_and_the_next_is_answered_at_once() {
    let server = Arc::new(TestServer::start().await);
    let address = listen(&server, Limits { connections: 16, ..Limits::default() }).await;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let token = server.mint(&json!({})).await;
        let (address, sent) = (address.clone(), question(&server, &token, &json!({})));
        tasks.spawn(async move { send(&address, sent).await });
    }
    until_waiting(&server, 4).await;
    // More pages than there are connections: all are answered, none with an error, and other requests are served.
    for _ in 0..20 {
        let token = server.mint(&json!({})).await;
        let reply = timeout(PATIENCE, send(&address, question(&server, &token, &json!({})))).await;
        let reply = reply.expect("an answer at once");
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("open")));
        let page = Sent::new("GET", "/connect/notice/expired").header("host", &server.host);
        assert_eq!(timeout(PATIENCE, send(&address, page)).await.expect("a page").status, 410);
    }
    assert_eq!(connect::waiting(&server.flows), 4);
    tasks.abort_all();
    until_waiting(&server, 0).await;
    let token = server.mint(&json!({})).await;
    let (again, sent) = (address.clone(), question(&server, &token, &json!({})));
    tasks.spawn(async move { send(&again, sent).await });
    until_waiting(&server, 1).await;
}

#[tokio::test]
async fn t75_one_session_has_one_place_however_often_it_is_asked_about() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let mut asked = JoinSet::new();
    for _ in 0..50 {
        let (host, sent) = (server.host.clone(), question(&server, &token, &json!({})));
        asked.spawn(async move { send(&host, sent).await.status });
    }
    for _ in 0..49 {
        let released = timeout(PATIENCE, asked.join_next()).await.expect("all but the last are released");
        assert_eq!(released.unwrap().unwrap(), 200);
    }
    until_waiting(&server, 1).await;
    let cancelled = server.status(&token, &server.app.origin, json!({ "cancel": true })).await;
    assert_eq!(cancelled.json()["status"], "exited");
    assert_eq!(asked.join_all().await, [200]);
}

#[tokio::test]
async fn t05_a_page_that_may_not_read_the_answer_does_not_wait_for_it() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    for origin in ["https://evil.example", "null"] {
        let asked = server.status(&token, origin, json!({ "wait": 25 }));
        let refused = timeout(PATIENCE, asked).await.expect("at once");
        assert_eq!((refused.status, refused.error().as_str()), (403, "binding_failed"), "{origin}");
    }
    TestBrowser::new().claim(&server, &server.app, &token).await;
    let asked = server.status(&token, &server.app.origin, json!({ "cb": "another", "wait": 25 }));
    let taken = timeout(PATIENCE, asked).await.expect("at once").json();
    assert_eq!(taken["details"]["reason"], "other_browser", "{taken}");
    let unknown = server.status("alter_cs_x", &server.app.origin, json!({ "wait": 25 }));
    assert_eq!(timeout(PATIENCE, unknown).await.expect("at once").status, 404);
}

/// The whole of F54: everybody who waits is answered, asks the next server, waits there, and gets a result.
#[tokio::test(flavor = "multi_thread")]
async fn f54_a_thousand_pages_that_wait_outlive_a_restart_and_all_get_their_results() {
    const PAGES: usize = 1000;
    let mut server = TestServer::start().await;
    let app = server.app.clone();
    let (mut browser, mut token) = (TestBrowser::new(), String::new());
    let mut callback = String::new();
    let mut tokens = Vec::new();
    for n in 0..PAGES {
        let minted = server.mint(&json!({})).await;
        if n == 0 {
            token = minted.clone();
            (_, callback) = browser.up_to_callback(&server, &app, &token).await;
        }
        tokens.push(minted);
    }
    let ask_all = |server: &TestServer| {
        let mut asked = JoinSet::new();
        for token in &tokens {
            let (host, sent) = (server.host.clone(), question(server, token, &json!({ "cursor": 2 })));
            asked.spawn(async move { send(&host, sent).await });
        }
        asked
    };
    let asked = ask_all(&server);
    until_waiting(&server, PAGES).await;
    timeout(PATIENCE, server.restart()).await.expect("nobody holds the stop up");
    for reply in timeout(PATIENCE, asked.join_all()).await.expect("everybody is answered") {
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("open")), "{}", reply.text());
    }

    let asked = ask_all(&server);
    until_waiting(&server, PAGES).await;
    assert_eq!(browser.get(&server, &callback).await.status, 303);
    // This one's page is asked about its popup first.
    until_waiting(&server, PAGES - 1).await;
    let connected = send(&server.host, question(&server, &token, &json!({}))).await.json();
    assert_eq!(connected["status"], "completed", "{connected}");
    server.clock.advance_seconds(601);
    connect::beat(&server.flows).await.unwrap();
    let replies = timeout(PATIENCE, asked.join_all()).await.expect("everybody has a result");
    let of = |status: &str| replies.iter().filter(|reply| reply.json()["status"] == status).count();
    assert_eq!((of("open"), of("failed")), (1, PAGES - 1));
}
