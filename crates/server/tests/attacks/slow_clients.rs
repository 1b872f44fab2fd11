//! T75: clients that hold a connection and give nothing for it: headers byte by byte, bodies byte by byte, silence.
//! The tests run against the accept loop itself, over loopback sockets, with limits that a test can wait for.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
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
/// How long a test waits for what must come, on a machine that is busy with other work.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// An honest client asks for a page.
async fn served(server: &TestServer, to: SocketAddr) {
    let page = Sent::new("GET", "/connect/notice/expired").header("host", &server.host);
    assert_eq!(send(&to.to_string(), page).await.status, 410);
}

/// Several honest requests, a tenth of a second apart, are served.
async fn all_are_served(server: &TestServer, to: SocketAddr, times: u32) {
    for _ in 0..times {
        timeout(PATIENCE, served(server, to)).await.expect("an honest request is held up");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Sends a byte of `bytes` every 50 ms, as long as the server allows that.
async fn trickle(mut stream: TcpStream, bytes: &'static [u8]) {
    for byte in bytes.iter().cycle() {
        if stream.write_all(std::slice::from_ref(byte)).await.is_err() {
            break;
        }
        // The server has answered or closed: either way this attack is over.
        if timeout(Duration::from_millis(50), stream.read_u8()).await.is_ok() {
            break;
        }
    }
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
    all_are_served(&server, address, 5).await;
    // When exactly each of them ends is tested in `pace.rs`, with a clock that the test moves.
    timeout(PATIENCE, attackers.join_all()).await.expect("a trickle is let go on");
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
    all_are_served(&server, address, 10).await;
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
    let wait = timeout(PATIENCE, served(&server, address)).await;
    assert!(wait.is_ok(), "nobody is served while all connections are silent");
    for mut stream in silent {
        let end = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        assert!(end.is_ok(), "a silent connection stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t75_one_address_cannot_take_every_connection() {
    let server = TestServer::start().await;
    // The header timeout is longer than the test, so only the cap can help.
    let long = Limits { header_timeout: Duration::from_secs(3600), ..limits(64) };
    let capped =
        listen(&server, Limits { connections_per_address: 16, exempt: Vec::new(), ..long.clone() }).await;
    let uncapped = listen(&server, long).await;
    let mut greedy = Vec::new();
    for _ in 0..100 {
        greedy.push((connect_from(2, capped).await, connect_from(2, uncapped).await));
    }
    all_are_served(&server, capped, 3).await;
    // Control: without a cap, the same attack does hold everybody up.
    let held_up = timeout(Duration::from_millis(1500), served(&server, uncapped)).await;
    assert!(held_up.is_err(), "nobody was held up");

    let closed = async {
        while open(&mut greedy).await > 16 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("an address has more than its share");
    assert_eq!(open(&mut greedy).await, 16, "what an address has, it keeps");
    // The address can use the places again once it has given them back and the server has noticed.
    drop(greedy);
    let again = async { while !is_served(&server, 2, capped).await {} };
    timeout(PATIENCE, again).await.expect("the places are used again");
}

/// How many of the connections to the first server it has not closed.
async fn open(connections: &mut [(TcpStream, TcpStream)]) -> usize {
    let mut open = 0;
    for (stream, _) in connections {
        open += usize::from(timeout(Duration::from_millis(20), stream.read_u8()).await.is_err());
    }
    open
}

/// Whether a request from 127.0.0.`host` is answered.
async fn is_served(server: &TestServer, host: u8, to: SocketAddr) -> bool {
    let page = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.host);
    let mut stream = connect_from(host, to).await;
    let mut answer = String::new();
    let asked = async {
        stream.write_all(page.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    };
    asked.await.is_ok() && answer.starts_with("HTTP/1.1 200")
}
