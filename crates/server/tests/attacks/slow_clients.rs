//! T75: clients that hold a connection and give nothing for it: headers byte by byte, bodies byte by byte, silence.
//! The tests run against the accept loop itself, over loopback sockets, with limits that a test can wait for.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use alter_server::{Limits, Shared};
use alter_testkit::{Sent, TestServer, http::send};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long a client may take for its headers, here.
const HEADERS: Duration = Duration::from_secs(1);
/// The longest acceptable wait of an honest request, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_millis(1500);

/// Starts another listener of the same server, with its own limits.
async fn listen(server: &TestServer, limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = alter_server::router(Shared::new(server.flows.clone()).unwrap());
    tokio::spawn(alter_server::serve(listener, router, limits, std::future::pending()));
    address
}

fn limits(connections: usize) -> Limits {
    Limits { header_timeout: HEADERS, idle_timeout: HEADERS * 2, connections, ..Limits::default() }
}

/// A connection from 127.0.0.`host`.
async fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// How long an honest client waits for a page.
async fn served_in(server: &TestServer, to: SocketAddr) -> Duration {
    let from = Instant::now();
    let page = Sent::new("GET", "/connect/notice/expired").header("host", &server.host);
    assert_eq!(send(&to.to_string(), page).await.status, 410);
    from.elapsed()
}

/// The longest wait of several honest requests, a tenth of a second apart.
async fn longest_wait(server: &TestServer, to: SocketAddr, times: u32) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        longest = longest.max(served_in(server, to).await);
        sleep(Duration::from_millis(100)).await;
    }
    longest
}

/// Sends a byte of `bytes` every 50 ms. Returns how long the server allowed that.
async fn trickle(mut stream: TcpStream, bytes: &'static [u8]) -> Duration {
    let from = Instant::now();
    for byte in bytes.iter().cycle() {
        if stream.write_all(std::slice::from_ref(byte)).await.is_err() {
            break;
        }
        // The server has answered or closed: either way this attack is over.
        if timeout(Duration::from_millis(50), stream.read_u8()).await.is_ok() {
            break;
        }
    }
    from.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn t75_hundreds_of_trickled_headers_end_in_time_and_hold_nobody_up() {
    let server = TestServer::start().await;
    let address = listen(&server, limits(512)).await;
    let mut attackers = JoinSet::new();
    for _ in 0..300 {
        let stream = connect_from(1, address).await;
        attackers.spawn(trickle(stream, b"GET / HTTP/1.1\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    }
    let wait = longest_wait(&server, address, 5).await;
    assert!(wait < SOON, "an honest request waited {wait:?}");
    let longest = attackers.join_all().await.into_iter().max().unwrap();
    assert!(longest < HEADERS * 3, "a trickle was let go on for {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t75_hundreds_of_trickled_bodies_hold_nobody_up() {
    let server = TestServer::start().await;
    let address = listen(&server, limits(512)).await;
    let mut attackers = JoinSet::new();
    for _ in 0..300 {
        let mut stream = connect_from(1, address).await;
        let head = format!(
            "POST /connect/status HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\nContent-Length: 60000\r\n\r\n",
            server.host
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        attackers.spawn(trickle(stream, b"a"));
    }
    let wait = longest_wait(&server, address, 10).await;
    assert!(wait < SOON, "an honest request waited {wait:?}");
    // That each of them ends is tested in `extract/body.rs`, with a clock that the test moves.
    attackers.abort_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn t75_silence_on_every_connection_ends_and_then_the_next_is_served() {
    let server = TestServer::start().await;
    let address = listen(&server, limits(64)).await;
    // Half send nothing, half are silent after a good request: from all, the server waits for headers that do not come.
    let mut silent = Vec::new();
    for i in 0..64 {
        let mut stream = connect_from(1, address).await;
        if i % 2 == 0 {
            let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.host);
            stream.write_all(request.as_bytes()).await.unwrap();
        }
        silent.push(stream);
    }
    let wait = timeout(HEADERS * 4, served_in(&server, address)).await;
    assert!(wait.is_ok(), "nobody is served while all connections are silent");
    for mut stream in silent {
        let end = timeout(HEADERS * 4, stream.read_to_end(&mut Vec::new())).await;
        assert!(end.is_ok(), "a silent connection stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t75_one_address_cannot_take_every_connection() {
    let server = TestServer::start().await;
    // The header timeout is longer than the test, so only the cap can help.
    let long = Limits { header_timeout: Duration::from_secs(60), ..limits(64) };
    let capped =
        listen(&server, Limits { connections_per_address: 16, exempt: Vec::new(), ..long.clone() }).await;
    let uncapped = listen(&server, long).await;
    let mut greedy = Vec::new();
    for _ in 0..100 {
        greedy.push((connect_from(2, capped).await, connect_from(2, uncapped).await));
    }
    let wait = longest_wait(&server, capped, 3).await;
    assert!(wait < SOON, "an honest request waited {wait:?}");
    // Control: without a cap, the same attack does hold everybody up.
    assert!(timeout(SOON, served_in(&server, uncapped)).await.is_err(), "nobody was held up");

    let mut open = 0;
    for (stream, _) in &mut greedy {
        let closed = timeout(Duration::from_millis(20), stream.read_u8()).await;
        open += usize::from(closed.is_err());
    }
    assert_eq!(open, 16, "what an address has, it keeps");
    // The address can use the places again once it has given them back.
    drop(greedy);
    sleep(Duration::from_millis(200)).await;
    let page = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.host);
    let mut again = connect_from(2, capped).await;
    again.write_all(page.as_bytes()).await.unwrap();
    let mut answer = String::new();
    again.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
