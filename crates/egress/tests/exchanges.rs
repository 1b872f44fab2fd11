//! What an answer may cost (T84), what is reported when an exchange breaks, and how connections are used.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alter_egress::{Egress, EgressConfig, EgressError};
use axum::Router;
use axum::extract::Request as Incoming;
use axum::routing::any;
use hyper::body::Bytes;
use support::{OK, config, get, get_within, loopback, read_head, serve, serve_bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(800);

fn answer(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

async fn send(url: &str) -> Result<alter_egress::Response, EgressError> {
    loopback().send(get_within(url, LONG, 1000)).await
}

#[tokio::test]
async fn t84_a_body_at_the_cap_passes_and_one_byte_more_does_not() {
    let fits = serve_bytes("127.0.0.1", answer("", &"x".repeat(1000))).await;
    assert_eq!(send(&fits.url("/")).await.unwrap().body.len(), 1000);

    let announced = serve_bytes("127.0.0.1", answer("", &"x".repeat(1001))).await;
    let error = send(&announced.url("/")).await.unwrap_err();
    assert!(matches!(error, EgressError::BodyTooLarge { max: 1000, .. }), "{error:?}");
    assert!(error.maybe_sent());
}

/// Sends `head` and then `piece` over and over, with `pause` between them, until the client hangs up.
async fn serve_endless(head: &'static str, piece: &'static [u8], pause: Duration) -> support::Counted {
    serve("127.0.0.1", move |mut stream| async move {
        let _ = read_head(&mut stream).await;
        let mut alive = stream.write_all(head.as_bytes()).await.is_ok();
        while alive {
            alive = stream.write_all(piece).await.is_ok();
            tokio::time::sleep(pause).await;
        }
    })
    .await
}

#[tokio::test]
async fn t84_an_endless_body_of_unknown_length_is_cut_at_the_cap() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let until_close = "HTTP/1.0 200 OK\r\n\r\n";
    for (head, piece) in [(chunked, b"4\r\nabcd\r\n" as &[u8]), (until_close, &[b'x'; 8192])] {
        let server = serve_endless(head, piece, Duration::ZERO).await;
        let error = send(&server.url("/")).await.unwrap_err();
        assert!(matches!(error, EgressError::BodyTooLarge { .. }), "{error:?}");
    }
    let lying = serve_bytes("127.0.0.1", "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n").await;
    let error = send(&lying.url("/")).await.unwrap_err();
    assert!(matches!(error, EgressError::BodyTooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn t84_one_byte_at_a_time_does_not_outlive_the_total() {
    let server = serve_endless("HTTP/1.1 200 OK\r\n\r\n", b"x", Duration::from_millis(20)).await;
    let error = loopback().send(get_within(&server.url("/"), SHORT, 1 << 20)).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout { maybe_sent: true, .. }), "{error:?}");
}

#[tokio::test]
async fn t84_interim_answers_without_end_do_not_outlive_the_total() {
    let server = serve_endless("", b"HTTP/1.1 100 Continue\r\n\r\n", Duration::ZERO).await;
    let error = loopback().send(get_within(&server.url("/"), SHORT, 1000)).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout { maybe_sent: true, .. }), "{error:?}");

    let few = format!("{}{}", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(3), answer("", "ok"));
    let control = serve_bytes("127.0.0.1", few).await;
    assert_eq!(&send(&control.url("/")).await.unwrap().body[..], b"ok");
}

#[tokio::test]
async fn t84_header_bombs_are_refused() {
    let one_long = format!("x: {}\r\n", "y".repeat(100 * 1024));
    let many_short = "a: b\r\n".repeat(100_000);
    let just_too_many = "a: b\r\n".repeat(120);
    for fields in [one_long, many_short, just_too_many] {
        let server = serve_bytes("127.0.0.1", answer(&fields, "ok")).await;
        let error = send(&server.url("/")).await.unwrap_err();
        assert!(matches!(error, EgressError::HeadersTooLarge { .. }), "{} bytes: {error:?}", fields.len());
        assert!(error.maybe_sent());
    }
    assert!(
        endless_header_bytes_taken().await < 16 << 20,
        "the head was taken in whole before it was refused"
    );

    let large = format!("x: {}\r\n{}", "y".repeat(40 * 1024), "a: b\r\n".repeat(60));
    let control = serve_bytes("127.0.0.1", answer(&large, "ok")).await;
    assert_eq!(send(&control.url("/")).await.unwrap().headers["x"].len(), 40 * 1024);
}

/// Returns how many bytes of an endless field left, socket buffers included, before the client hung up.
async fn endless_header_bytes_taken() -> usize {
    let (report, taken) = tokio::sync::oneshot::channel();
    let report = std::sync::Mutex::new(Some(report));
    let server = serve("127.0.0.1", move |mut stream| {
        let report = report.lock().unwrap().take();
        async move {
            let _ = read_head(&mut stream).await;
            let mut sent = 0;
            let mut alive = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.is_ok();
            while alive {
                alive = stream.write_all(&[b'y'; 4096]).await.is_ok();
                sent += 4096;
            }
            let _ = report.unwrap().send(sent);
        }
    })
    .await;
    let error = send(&server.url("/")).await.unwrap_err();
    assert!(matches!(error, EgressError::HeadersTooLarge { .. }), "{error:?}");
    taken.await.unwrap()
}

#[tokio::test]
async fn t84_endless_chunk_extensions_and_trailers_are_refused() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (lead, piece) in [("1;", &[b'e'; 1024] as &[u8]), ("0\r\n", b"t: railer\r\n")] {
        let head: &'static str = format!("{chunked}{lead}").leak();
        let server = serve_endless(head, piece, Duration::ZERO).await;
        let error = send(&server.url("/")).await.unwrap_err();
        assert!(matches!(error, EgressError::Protocol { maybe_sent: true, .. }), "{lead:?} {error:?}");
    }
    let control = format!("{chunked}2;e=1\r\nok\r\n0\r\nt: railer\r\n\r\n");
    let server = serve_bytes("127.0.0.1", control).await;
    assert_eq!(&send(&server.url("/")).await.unwrap().body[..], b"ok");
}

#[tokio::test]
async fn t84_none_is_asked_for_compression_and_gzip_is_read_under_the_same_cap() {
    // gzip of "hello"
    const GZIP: [u8; 25] = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0x86, 0xa6, 0x10, 0x36, 5, 0,
        0, 0,
    ];
    let server = serve("127.0.0.1", |mut stream| async move {
        let head = read_head(&mut stream).await.unwrap();
        let asked = head.to_ascii_lowercase().contains("accept-encoding: identity");
        let fields = format!("content-encoding: gzip\r\nx-asked: {asked}\r\ncontent-length: 25\r\n\r\n");
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{fields}").as_bytes()).await;
        let _ = stream.write_all(&GZIP).await;
    })
    .await;
    let answer = send(&server.url("/")).await.unwrap();
    assert_eq!((&answer.body[..], &answer.headers["x-asked"]), (&b"hello"[..], &"true".parse().unwrap()));
    assert!(!answer.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let closed = TcpListener::bind("127.0.0.77:0").await.unwrap().local_addr().unwrap();
    let error = send(&format!("http://{closed}/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Connect { .. }), "{error:?}");
    assert!(!error.maybe_sent());
}

#[tokio::test]
async fn a_reset_after_the_request_was_maybe_sent() {
    let server = serve("127.0.0.1", |mut stream| async move {
        let _ = read_head(&mut stream).await;
        let _ = stream.set_zero_linger();
    })
    .await;
    let error = send(&server.url("/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Protocol { .. }), "{error:?}");
    assert!(error.maybe_sent());
    assert_eq!(server.hits(), 1, "and it is not repeated");
}

#[tokio::test]
async fn a_reset_on_a_reused_connection_is_reported_and_not_repeated() {
    let heads = Arc::new(AtomicUsize::new(0));
    let seen = heads.clone();
    let server = serve("127.0.0.1", move |mut stream| {
        let seen = seen.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                if seen.fetch_add(1, Ordering::SeqCst) > 0 {
                    let _ = stream.set_zero_linger();
                    return;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    let config = EgressConfig { max_connections_per_host: 1, ..config(&["127.0.0.0/8"]) };
    let egress = Egress::new(config).unwrap();
    let request = get_within(&server.url("/"), LONG, 1000);
    assert!(egress.send(request.clone()).await.is_ok());
    for _ in 0..20 {
        // The connection goes back to the pool on its own task.
        tokio::task::yield_now().await;
    }
    let error = egress.send(request).await.unwrap_err();
    assert!(matches!(error, EgressError::Protocol { maybe_sent: true, .. }), "{error:?}");
    assert_eq!(heads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn silence_after_the_request_was_maybe_sent() {
    let server = serve_endless("", b"", Duration::from_secs(3600)).await;
    let error = loopback().send(get_within(&server.url("/"), SHORT, 1000)).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout { maybe_sent: true, .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_cut_short_and_an_answer_that_is_not_http_are_protocol_errors() {
    for bytes in ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "SSH-2.0-OpenSSH_9.2\r\n", ""] {
        let server = serve_bytes("127.0.0.1", bytes).await;
        let error = send(&server.url("/")).await.unwrap_err();
        assert!(matches!(error, EgressError::Protocol { maybe_sent: true, .. }), "{bytes:?} {error:?}");
    }
}

#[tokio::test]
async fn errors_name_the_host_and_nothing_else_of_the_url() {
    let server = serve_bytes("127.0.0.1", "").await;
    let error = send(&server.url("/s3cret?code=s3cret")).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("127.0.0.1") && !shown.contains("s3cret"), "{shown}");
}

/// An axum server that answers with the request that it received.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(any(|request: Incoming| async move {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 8 << 20).await.unwrap();
        let mut lines = vec![format!("{} {}", head.method, head.uri)];
        lines.extend(head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
        lines.sort();
        format!("{}\nbody: {}", lines.join("\n"), body.len())
    }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address.to_string()
}

#[tokio::test]
async fn a_request_arrives_with_its_own_fields_and_framing_of_ours() {
    let server = echo().await;
    let mut request = get(&format!("http://{server}/token?a=1&b=%20#fragment"));
    request.method = http::Method::POST;
    request.headers.insert("authorization", "Bearer t".parse().unwrap());
    request.headers.insert("host", "evil.example".parse().unwrap());
    request.headers.insert("content-length", "1".parse().unwrap());
    request.headers.insert("transfer-encoding", "chunked".parse().unwrap());
    request.headers.insert("user-agent", "somebody else".parse().unwrap());
    request.body = Bytes::from(vec![b'x'; 3 << 20]);
    let answer = loopback().send(request).await.unwrap();
    assert_eq!(
        std::str::from_utf8(&answer.body).unwrap(),
        format!(
            "POST /token?a=1&b=%20\naccept-encoding: identity\nauthorization: Bearer t\ncontent-length: 3145728\nhost: {server}\n\
             user-agent: alter-connect\nbody: 3145728"
        )
    );
}

#[tokio::test]
async fn a_head_answer_may_announce_more_than_the_cap() {
    let server = serve_bytes("127.0.0.1", "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n").await;
    let mut request = get_within(&server.url("/"), LONG, 1000);
    request.method = http::Method::HEAD;
    assert!(loopback().send(request).await.unwrap().body.is_empty());
}

/// Keeps connections open for many requests; reports the most requests that it was answering at once.
async fn serve_kept_alive() -> (support::Counted, Arc<AtomicUsize>) {
    let most_busy = Arc::new(AtomicUsize::new(0));
    let busy = Arc::new(AtomicUsize::new(0));
    let seen = most_busy.clone();
    let server = serve("127.0.0.1", move |mut stream| {
        let (busy, seen) = (busy.clone(), seen.clone());
        async move {
            while read_head(&mut stream).await.is_some() {
                seen.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                busy.fetch_sub(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    (server, most_busy)
}

#[tokio::test]
async fn a_checked_connection_is_used_again() {
    let (server, _) = serve_kept_alive().await;
    let egress = loopback();
    for _ in 0..5 {
        assert!(egress.send(get(&server.url("/"))).await.is_ok());
        // The connection goes back to the pool on its own task.
        tokio::task::yield_now().await;
    }
    assert!(server.hits() < 5, "{} connections for 5 requests", server.hits());
}

/// Starts forty requests at once, of which at most `cap` may be busy; returns the most that the server was answering at
/// once.
async fn most_busy_under(cap: usize) -> usize {
    let (server, most_busy) = serve_kept_alive().await;
    let config = EgressConfig { max_connections_per_host: cap, ..config(&["127.0.0.0/8"]) };
    let egress = Egress::new(config).unwrap();
    let url = server.url("/");
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let (egress, request) = (egress.clone(), get_within(&url, LONG, 1000));
            tokio::spawn(async move { egress.send(request).await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().is_ok());
    }
    most_busy.load(Ordering::SeqCst)
}

#[tokio::test]
async fn busy_connections_per_host_stay_under_the_cap_and_all_requests_are_answered() {
    let capped = most_busy_under(2).await;
    assert!(capped <= 2, "{capped} requests at once");
    let control = most_busy_under(40).await;
    assert!(control > 2, "the server was never busier than {control}");
}

#[tokio::test]
async fn waiting_for_a_free_connection_ends_with_the_total_and_sends_nothing() {
    let silent = serve_endless("", b"", Duration::from_secs(3600)).await;
    let config = EgressConfig { max_connections_per_host: 1, ..config(&["127.0.0.0/8"]) };
    let egress = Egress::new(config).unwrap();
    let (first, request) = (egress.clone(), get(&silent.url("/")));
    let holding = tokio::spawn(async move { first.send(request).await });
    while silent.hits() == 0 {
        tokio::task::yield_now().await;
    }
    let error = egress.send(get_within(&silent.url("/"), SHORT, 1000)).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout { maybe_sent: false, .. }), "{error:?}");
    assert_eq!(silent.hits(), 1);
    holding.abort();
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_dialled_again() {
    let server = serve_bytes("127.0.0.1", OK).await;
    let config = EgressConfig { max_connections_per_host: 1, ..config(&["127.0.0.0/8"]) };
    let egress = Egress::new(config).unwrap();
    for _ in 0..20 {
        assert!(egress.send(get_within(&server.url("/"), LONG, 1000)).await.is_ok());
    }
    assert_eq!(server.hits(), 20);
}
