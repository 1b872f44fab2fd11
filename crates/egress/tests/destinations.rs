//! Where a request may go: T78 (URL forms), T79 (names whose addresses change), T80 (redirects), T82 (proxies named in
//! the environment). The tests need all of 127.0.0.0/8 on the loopback interface, as on Linux.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use alter_egress::{Egress, EgressError};
use support::{OK, Scripted, config, get, loopback, serve_at, serve_bytes};
use url::Url;

/// Spellings of internal addresses, as hosts of a URL. None of them is a name to look up.
const LITERALS: &str = "
    127.0.0.1 127.0.0.1. 127.1 127.0.1 127.255.255.254 2130706433 017700000001 0x7f000001 0x7F.1 0x7f.0x0.0x0.0x1
    0177.0.0.1 0177.0.0.01 00000177.1 127.0.0.0x1 127.0x000001 0x7f.0.1 %31%32%37.0.0.1 127%2e0%2e0%2e1 127.0.0.%31
    127。0。0。1 127．0．0．1 127｡0｡0｡1 １２７.０.０.１ ①②⑦.⓪.⓪.① ①②⑦.1 ⑫7.0.0.1 𝟏𝟐𝟕.𝟎.𝟎.𝟏 𝟙𝟚𝟟.𝟘.𝟘.𝟙 ²¹³⁰⁷⁰⁶⁴³³
    0 0.0.0.0 0x0 00 0.0 0.1.2.3 0x00.0x00.0 000000000000
    10.0.0.1 10.1 167772161 0xa000001 012.1 012.0.0.1 10.255.255.255 0x0a.1
    100.64.0.1 100.100.100.200 1681915905 0x64400001 100.127.255.255
    169.254.169.254 2852039166 0xa9fea9fe 0xA9.0xFEA9FE 0251.0376.0251.0376 025177524776 169.254.43518 169.16689662
    169.254.0xa9fe ①⑥⑨.②⑤④.①⑥⑨.②⑤④ 169。254。169。254 １６９.２５４.１６９.２５４ 169.254.170.2
    172.16.0.1 172.31.255.255 2886729729 0xac100001 0254.020.0.1
    192.168.0.1 192.168.1 192.168.257 3232235521 0xc0a80001 0300.0250.0.1 ①⑨②.①⑥⑧.⓪.①
    192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.9 168.63.129.16
    224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 4294967295 0xffffffff 037777777777 255.255.65535
    [::] [::1] [0:0:0:0:0:0:0:1] [0000::1] [::0001] [0:0::0:1] [::127.0.0.1] [::7f00:1] [::10.0.0.1] [::169.254.169.254]
    [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:7F00:0001] [0:0:0:0:0:ffff:127.0.0.1] [::ffff:10.0.0.1]
    [::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [::ffff:192.168.0.1] [::ffff:0.0.0.0] [::ffff:8.8.8.8]
    [::ffff:0:127.0.0.1] [::ffff:0:a9fe:a9fe] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe]
    [64:ff9b::8.8.8.8] [0064:ff9b::10.0.0.1] [64:ff9b:1::1] [64:ff9b:1::169.254.169.254] [64:ff9b:1:ffff::7f00:1]
    [2002:7f00:1::] [2002:7f00:0001::1] [2002:a9fe:a9fe::1] [2002:c0a8:1::1] [2002:808:808::1]
    [2001::1] [2001:0:4136:e378:8000:63bf:3fff:fdd2] [2001:0:7f00:1::] [2001:2::1] [2001:10::1] [2001:20::1]
    [2001:db8::1] [3fff::1] [3ffe::1] [5f00::1] [100::1] [4000::1] [fc00::1] [fd00::1] [fd00:ec2::254]
    [FD00:EC2::254] [fd00:0ec2:0:0:0:0:0:254] [fd20:ce::254] [fe80::1] [fe80::a9fe:a9fe] [febf::1] [fec0::1]
    [ff02::1] [ff0e::1] [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]";

/// Names that resolve, or can be made to resolve, to an internal address.
const NAMES: &str = "
    localhost localhost. LOCALHOST ⓛⓞⓒⓐⓛⓗⓞⓢⓣ ｌｏｃａｌｈｏｓｔ ᴸocalhost loc%61lhost localho\u{ad}st ip6-localhost
    x.localhost metadata.google.internal metadata metadata.google.internal. 127.0.0.1.nip.io 1u.ms a.b.127.0.0.1.sslip.io
    spoofed.burpcollaborator.net kubernetes.default.svc db intranet 0x7f.1.example 127.0.0.1.example";

/// Spellings that no parser should accept. Those that a parser does accept must be blocked all the same.
const MALFORMED: &str = "
    256.0.0.1 0xA9FE.0xA9FE 127.0.0.1.1 0x7f.0.0.0.1 4294967296 0x100000000 1.2.3.08 127.0.0.256 127..0.1 [::1 ::1 [::1]] [::g]
    [fe80::1%25eth0] [::ffff:127.0.0.1.1] [::127.1] [127.0.0.1] [0x7f.1] 127.0.0.1%00 127.0.0.1%0d%0a local|host
    [v1.fe80::1] [::ffff:0x7f000001] [1:2:3:4:5:6:7:8:9]";

fn hosts(list: &str) -> impl Iterator<Item = String> {
    list.split_whitespace().map(|host| host.replace("\\u{ad}", "\u{ad}"))
}

/// Sends a request to every host in the list in three ways, expects the guard's refusal, and returns the number of
/// hosts.
async fn all_blocked(egress: &Egress, list: &str) -> usize {
    let mut seen = 0;
    for host in hosts(list) {
        for url in
            [format!("https://{host}/"), format!("https://{host}:8443/x?y#z"), format!("http://{host}/")]
        {
            let error = egress.send(get(&url)).await.unwrap_err();
            assert!(error.is_blocked(), "{url}: {error:?}");
            assert!(!error.maybe_sent(), "{url}");
            let judged = egress.may_ask(&Url::parse(&url).unwrap()).await.unwrap_err();
            assert!(judged.is_blocked(), "{url}: {judged:?}");
        }
        seen += 1;
    }
    seen
}

#[tokio::test]
async fn t78_no_spelling_of_an_inside_address_is_dialled_or_looked_up() {
    let resolver = Scripted::new(|host, _, _| panic!("{host} was taken for a name"));
    let egress = Egress::with_resolver(config(&[]), resolver).unwrap();
    let seen = all_blocked(&egress, LITERALS).await;
    assert!(seen >= 150, "the table has shrunk to {seen}");
}

#[tokio::test]
async fn t78_no_name_with_an_inside_address_is_dialled() {
    for inside in ["127.0.0.1", "::1", "169.254.169.254", "fd00:ec2::254", "::ffff:10.0.0.1"] {
        let ip = inside.parse().unwrap();
        let resolver = Scripted::new(move |_, port, _| vec![SocketAddr::new(ip, port)]);
        let egress = Egress::with_resolver(config(&[]), resolver.clone()).unwrap();
        let seen = all_blocked(&egress, NAMES).await;
        assert_eq!(resolver.asked(), 2 * 3 * seen, "judged and sent");
    }
    let system = Egress::new(config(&[])).unwrap();
    assert!(system.send(get("https://localhost/")).await.unwrap_err().is_blocked());
}

#[tokio::test]
async fn t78_malformed_hosts_are_no_urls_or_are_blocked() {
    let resolver = Scripted::new(|_, port, _| vec![SocketAddr::from(([127, 0, 0, 1], port))]);
    let egress = Egress::with_resolver(config(&[]), resolver).unwrap();
    for host in hosts(MALFORMED) {
        if let Ok(url) = Url::parse(&format!("https://{host}/")) {
            let error = egress.send(get(url.as_str())).await.unwrap_err();
            assert!(error.is_blocked(), "{host}: {error:?}");
        }
    }
}

#[tokio::test]
async fn t78_control_the_same_spellings_reach_a_range_the_operator_allowed() {
    let server = serve_bytes("127.0.0.1", OK).await;
    let port = server.address.port();
    let egress = loopback();
    let spellings =
        ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "①②⑦.⓪.⓪.①", "127。0。0。1"];
    for host in spellings {
        let answer = egress.send(get(&format!("http://{host}:{port}/"))).await.unwrap();
        assert_eq!(&answer.body[..], b"ok", "{host}");
    }
    assert_eq!(server.hits(), spellings.len());
}

#[tokio::test]
async fn t79_ten_thousand_alternating_answers_never_reach_the_inside() {
    // 127.0.0.2 plays the public internet; 127.0.0.4, on the same port, plays the internal network.
    let public = serve_bytes("127.0.0.2", OK).await;
    let port = public.address.port();
    let inside = serve_at(SocketAddr::from(([127, 0, 0, 4], port)), |_| async {}).await;
    let good = public.address;
    let bad = inside.address;
    let resolver = Scripted::new(move |_, _, before| match before % 4 {
        0 | 2 => vec![good],
        1 => vec![bad],
        _ => vec![good, bad],
    });
    let egress = Egress::with_resolver(config(&["127.0.0.2/32"]), resolver.clone()).unwrap();
    let request = get(&format!("http://rebind.example:{port}/"));

    let (mut answered, mut blocked) = (0, 0);
    for _ in 0..10_000 {
        match egress.send(request.clone()).await {
            Ok(answer) => {
                assert_eq!(&answer.body[..], b"ok");
                answered += 1;
            }
            Err(error) => {
                assert!(error.is_blocked(), "{error:?}");
                blocked += 1;
            }
        }
    }
    assert_eq!(inside.hits(), 0);
    assert_eq!((answered, blocked), (5_000, 5_000));
    assert_eq!(resolver.asked(), 10_000, "one question per connection, none between check and dial");
    assert_eq!(public.hits(), 5_000);
}

#[tokio::test]
async fn t79_control_the_inside_listener_is_reachable_when_allowed() {
    let inside = serve_bytes("127.0.0.1", OK).await;
    let address = inside.address;
    let resolver = Scripted::new(move |_, _, _| vec![address]);
    let egress = Egress::with_resolver(config(&["127.0.0.1/32"]), resolver).unwrap();
    assert!(egress.send(get("http://rebind.example/")).await.is_ok());
    assert_eq!(inside.hits(), 1);
}

#[tokio::test]
async fn t79_one_bad_answer_among_many_stops_all_dials() {
    let public = serve_bytes("127.0.0.2", OK).await;
    let good = public.address;
    let inside: SocketAddr = "10.0.0.1:80".parse().unwrap();
    for answers in
        [vec![good, inside], vec![inside, good], vec![good, good, good, good, good, good, good, inside]]
    {
        let resolver = Scripted::new(move |_, _, _| answers.clone());
        let egress = Egress::with_resolver(config(&["127.0.0.2/32"]), resolver).unwrap();
        assert!(egress.send(get("http://mixed.example/")).await.unwrap_err().is_blocked());
    }
    assert_eq!(public.hits(), 0);
    let resolver = Scripted::new(move |_, _, _| vec![good, good]);
    let egress = Egress::with_resolver(config(&["127.0.0.2/32"]), resolver).unwrap();
    assert!(egress.send(get("http://mixed.example/")).await.is_ok());
}

#[tokio::test]
async fn the_checked_address_is_the_one_dialled_whatever_the_name_means_elsewhere() {
    let server = serve_bytes("127.0.0.3", OK).await;
    let pinned = server.address;
    let resolver = Scripted::new(move |host, port, _| {
        assert_eq!((host, port), ("localhost", 80));
        vec![pinned]
    });
    let egress = Egress::with_resolver(config(&["127.0.0.3/32"]), resolver.clone()).unwrap();
    assert!(egress.send(get("http://localhost/")).await.is_ok());
    assert_eq!((server.hits(), resolver.asked()), (1, 1));
}

#[tokio::test]
async fn a_first_answer_that_refuses_leaves_room_for_the_next() {
    let server = serve_bytes("127.0.0.1", OK).await;
    let closed = SocketAddr::from(([127, 0, 0, 9], server.address.port()));
    let good = server.address;
    let resolver = Scripted::new(move |_, _, _| vec![closed, good]);
    let egress = Egress::with_resolver(config(&["127.0.0.0/8"]), resolver).unwrap();
    assert!(egress.send(get("http://two.example/")).await.is_ok());
}

#[tokio::test]
async fn an_empty_answer_is_a_failed_resolution() {
    let egress = Egress::with_resolver(config(&[]), Scripted::new(|_, _, _| vec![])).unwrap();
    let error = egress.send(get("https://nobody.example/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Resolve { .. }), "{error:?}");
    assert!(!error.maybe_sent());
}

#[tokio::test]
async fn t80_a_redirect_is_returned_and_not_followed() {
    let inside = serve_bytes("127.0.0.1", OK).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = inside.url("/secret");
        let answer = format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = serve_bytes("127.0.0.1", answer).await;
        let answer = loopback().send(get(&server.url("/"))).await.unwrap();
        assert!(answer.status.is_redirection());
        assert_eq!(answer.headers["location"], location.as_str());
    }
    assert_eq!(inside.hits(), 0);
    assert!(
        loopback().send(get(&inside.url("/secret"))).await.is_ok(),
        "control: it was there to be reached"
    );
}

const TARGET: &str = "EGRESS_TEST_TARGET";

#[tokio::test(flavor = "multi_thread")]
async fn t82_proxies_of_the_environment_do_not_divert_requests() {
    let target = serve_bytes("127.0.0.1", OK).await;
    let proxy = serve_bytes("127.0.0.1", OK).await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "t82_child_sends_one_request", "--ignored"]).env(TARGET, target.url("/"));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        child.env(name, proxy.url(""));
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!((target.hits(), proxy.hits()), (1, 0));
}

#[tokio::test]
#[ignore = "run by t82_proxies_of_the_environment_do_not_divert_requests"]
async fn t82_child_sends_one_request() {
    let target = std::env::var(TARGET).unwrap();
    assert!(std::env::var_os("HTTP_PROXY").is_some());
    assert_eq!(&loopback().send(get(&target)).await.unwrap().body[..], b"ok");
}

#[tokio::test]
async fn connect_and_trace_are_not_sent() {
    let server = serve_bytes("127.0.0.1", OK).await;
    for method in [http::Method::CONNECT, http::Method::TRACE] {
        let mut request = get(&server.url("/"));
        request.method = method;
        assert!(!loopback().send(request).await.unwrap_err().maybe_sent());
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_clone_shares_the_guard() {
    let egress = Arc::new(Egress::new(config(&[])).unwrap());
    let clone = Egress::clone(&egress);
    assert!(clone.send(get("https://127.0.0.1/")).await.unwrap_err().is_blocked());
}
