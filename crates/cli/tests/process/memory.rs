//! What thousands of connections without a credential cost in memory, and whether it is given back.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::server::{APP, PATIENCE, Server};

const CONNECTIONS: usize = 4000;
/// What all of them may add, KiB.
const ADDED: u64 = 64 * 1024;
/// When the memory is back: within 3 s on a quiet machine, and beside six busy loops too.
const BACK: Duration = Duration::from_secs(20);
/// When the server has closed a connection whose body does not end, whatever it waits for.
const CLOSED: Duration = Duration::from_secs(20);

/// The head of a request whose body will not end, and how much of that is sent.
fn unfinished(server: &Server, number: usize) -> (String, usize) {
    let unknown = format!("X-API-Key: alter_rk_{}_iwpykn\r\n", "a".repeat(22));
    let signed = format!(
        "X-Alter-Timestamp: 1\r\nX-Alter-Nonce: {0}\r\nX-Alter-Content-SHA256: {0}\r\nX-Alter-Signature: {0}\r\n",
        "0".repeat(64)
    );
    let form = "Content-Type: application/x-www-form-urlencoded\r\n".to_owned();
    let (target, headers, length) = match number % 5 {
        0 => ("/sdk/token", String::new(), 262_000),
        1 => ("/sdk/oauth/connect/session", unknown + &signed, 262_000),
        2 => ("/connect/status", "Content-Type: text/plain\r\n".to_owned(), 4_000),
        3 => ("/connect/open", form, 4_000),
        _ => ("/connect/api/peek", form, 262_000),
    };
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {}\r\nOrigin: {APP}\r\n{headers}Content-Length: {length}\r\n\r\n",
        server.host
    );
    (head, length - length / 40)
}

/// Sends most of a body, then nothing, until the server closes.
async fn hold(port: u16, head: String, sent: usize) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let body = vec![b'a'; sent];
    let send = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await
    };
    let _refused = send.await;
    drop(body);
    let _until_it_closes = timeout(CLOSED, stream.read_to_end(&mut Vec::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t76_thousands_of_unfinished_bodies_add_little_memory_and_it_comes_back() {
    allow_files();
    let server = Server::start("memory").await;
    let port = server.host.rsplit(':').next().unwrap().parse().unwrap();
    // The first requests load what stays loaded.
    for number in 0..200 {
        let (head, _) = unfinished(&server, number);
        let _refused = timeout(Duration::from_millis(20), hold(port, head, 16)).await;
    }
    let before = kib(&server, "VmRSS");
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (head, sent) = unfinished(&server, number);
        clients.spawn(hold(port, head, sent));
    }
    let from = Instant::now();
    while !clients.is_empty() && from.elapsed() < PATIENCE {
        let _one_ended = timeout(Duration::from_millis(100), clients.join_next()).await;
    }
    clients.shutdown().await;
    let most = kib(&server, "VmHWM");
    let from = Instant::now();
    let mut after = kib(&server, "VmRSS");
    while after > before + before / 10 && from.elapsed() < BACK {
        tokio::time::sleep(Duration::from_millis(200)).await;
        after = kib(&server, "VmRSS");
    }
    println!("{before} KiB before, {most} at most, {after} after {:.1} s", from.elapsed().as_secs_f64());
    assert!(most < before + ADDED, "{before} KiB before, {most} at most");
    assert!(after <= before + before / 10, "{before} KiB before, {after} after");
}

/// This process holds the clients' ends.
fn allow_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// A figure of the server's, from `/proc`.
fn kib(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
