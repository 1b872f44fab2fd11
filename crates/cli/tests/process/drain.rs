//! F27: the server is told to stop while exchanges are under way.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use alter_mock_provider::{Gate, User};
use alter_testkit::{Sent, http::send};
use tokio::task::JoinSet;

use crate::server::{PATIENCE, Server, Walk};

/// Users whose exchange is under way when the signal comes: more than one host's connections (32), so that some wait.
const USERS: usize = 80;

/// Brings this many users, each with their own account, back from the provider, which holds its token answers.
async fn waiting_exchanges(server: &Server, gate: &Gate, users: usize) -> (Vec<Walk>, JoinSet<u16>) {
    let mut walks = Vec::new();
    for i in 0..users {
        let sub = format!("user-{i}");
        let email = format!("user-{i}@acme.example");
        server.mock.add_user(User { sub: sub.clone(), email, name: sub.clone() });
        server.mock.set(|switches| switches.auto_user = Some(sub));
        walks.push(server.up_to_callback().await);
    }
    server.mock.set(|switches| switches.token_gate = Some(gate.clone()));
    let mut browsers = JoinSet::new();
    for walk in &walks {
        let (host, sent) = (server.host.clone(), walk.coming_back());
        browsers.spawn(async move { send(&host, sent).await.status });
    }
    let from = std::time::Instant::now();
    while !server.scrape().await.contains(&format!("\nalter_exchanges_in_flight {users}\n")) {
        assert!(from.elapsed() < PATIENCE, "{}", server.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    (walks, browsers)
}

#[tokio::test(flavor = "multi_thread")]
async fn f27_a_stop_lets_every_exchange_finish_and_takes_no_new_connection() {
    let mut server = Server::start("drain").await;
    let gate = Gate::closed();
    let (walks, browsers) = waiting_exchanges(&server, &gate, USERS).await;

    server.terminate();
    server
        .until("the listener closes", |s| {
            TcpStream::connect(s.host.replace("localhost", "127.0.0.1")).is_err()
        })
        .await;
    server.until("the log says so", |s| s.log().contains("\"stopping")).await;
    gate.open();
    let answers = browsers.join_all().await;
    assert_eq!(answers, vec![303; USERS], "every browser is sent on");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    server.until("the log says so", |s| s.log().contains("\"stopped\"")).await;

    server.serve().await;
    for walk in &walks {
        assert_eq!(server.status(&walk.token).await["status"], "completed");
    }
    let grants = server.place.json(&["grant", "list", &server.app_id, "--limit", "200"]);
    assert_eq!(grants["grants"].as_array().unwrap().len(), USERS, "none was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn f27_a_second_signal_ends_it_at_once_and_the_log_says_what_was_cut_off() {
    let mut server = Server::start("twice").await;
    let gate = Gate::closed();
    let (_walks, _browsers) = waiting_exchanges(&server, &gate, 3).await;
    server.terminate();
    server.until("it stops", |s| s.log().contains("\"stopping")).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(1), "{}", server.log());
    server.until("the log says why", |s| s.log().contains("3 exchanges were cut off")).await;
    assert!(server.log().contains("a second signal came"), "{}", server.log());

    // Positive control: an exchange that was cut off does not count as done.
    server.mock.set(|switches| switches.token_gate = None);
    server.serve().await;
    let grants = server.place.json(&["grant", "list", &server.app_id]);
    assert_eq!(grants["grants"], serde_json::json!([]));
}

/// Asks over a connection that was used before, and returns the whole answer.
fn ask(connection: &mut TcpStream, host: &str) -> String {
    write!(connection, "GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut bytes = [0; 1024];
        let read = connection.read(&mut bytes).unwrap();
        assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..read]);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f27_a_proxys_open_connection_has_one_more_answer_and_readyz_says_that_the_server_stops() {
    let mut server = Server::start("linger").await;
    let mut kept = TcpStream::connect(server.host.replace("localhost", "127.0.0.1")).unwrap();
    assert!(!ask(&mut kept, &server.host).contains("connection: close"));
    assert_eq!(server.send(Sent::new("GET", "/readyz")).await.status, 200);

    server.terminate();
    // The log says so a moment before the listening loop hears of it.
    let from = std::time::Instant::now();
    let ready = loop {
        let ready = server.send(Sent::new("GET", "/readyz")).await;
        if ready.status == 503 {
            break ready;
        }
        assert!(from.elapsed() < PATIENCE, "a proxy that asks sends nothing more: {}", server.log());
    };
    assert!(ready.text().contains("stopping"), "{}", ready.text());
    assert_eq!(ready.header("connection"), "close");
    let answer = ask(&mut kept, &server.host);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert_eq!(kept.read(&mut [0; 64]).unwrap(), 0, "it was the last");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
}

/// A page whose popup is at the provider, over a deploy.
#[tokio::test(flavor = "multi_thread")]
async fn f54_a_stop_answers_the_pages_that_wait_and_the_next_server_has_their_results() {
    let mut server = Server::start("waiting").await;
    let walk = server.up_to_callback().await;
    let waits = |server: &Server| {
        let (host, sent) = (server.host.clone(), walk.waiting());
        tokio::spawn(async move { send(&host, sent).await.json() })
    };
    let is_waiting = async |server: &Server| {
        let from = std::time::Instant::now();
        while !server.scrape().await.contains("\nalter_status_polls_waiting 1\n") {
            assert!(from.elapsed() < PATIENCE, "{}", server.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let first = waits(&server);
    is_waiting(&server).await;
    server.terminate();
    let told = first.await.unwrap();
    assert_eq!((&told["status"], &told["events"]), (&"open".into(), &serde_json::json!([])), "{told}");
    let again = server.send(walk.waiting()).await.json();
    assert_eq!(again["status"], "open", "a server that is stopping lets nobody wait");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());

    server.serve().await;
    let second = waits(&server);
    is_waiting(&server).await;
    assert_eq!(server.send(walk.coming_back()).await.status, 303);
    let told = second.await.unwrap();
    let over = if told["status"] == "open" { server.send(walk.waiting()).await.json() } else { told };
    assert_eq!(over["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn f57_a_restart_with_the_same_root_key_keeps_sessions_and_cookies() {
    let mut server = Server::start("restart").await;
    let walk = server.up_to_callback().await;
    let unopened = server.mint().await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    server.serve().await;
    assert_eq!(server.send(walk.coming_back()).await.status, 303);
    assert_eq!(server.status(&walk.token).await["status"], "completed", "the cookie is still good");
    assert_eq!(server.status(&unopened).await["status"], "open", "a token from before still opens");
}
