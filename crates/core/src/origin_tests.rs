use proptest::prelude::*;

use super::*;

const GOOD: [&str; 14] = [
    "https://app.example.com",
    "https://example.com",
    "https://a.b.c.d.example.co.uk",
    "https://app.example.com:8443",
    "https://xn--bcher-kva.example",
    "https://192.0.2.7",
    "https://[2001:db8::1]",
    "https://[2001:db8::1]:444",
    "http://localhost",
    "http://localhost:3000",
    "http://127.0.0.1:8080",
    "http://[::1]:5173",
    "http://app.localhost:3000",
    "https://localhost:65535",
];

const BAD: [&str; 87] = [
    "",
    "*",
    "null",
    " ",
    "https://",
    "http://",
    "https:",
    "https",
    "app.example.com",
    "//app.example.com",
    "https:/app.example.com",
    "https:app.example.com",
    "https:///app.example.com",
    "https:\\\\app.example.com",
    "https://app.example.com/",
    "https://app.example.com//",
    "https://app.example.com/path",
    "https://app.example.com/.",
    "https://app.example.com\\",
    "https://app.example.com\\evil",
    "https://app.example.com?",
    "https://app.example.com?x=1",
    "https://app.example.com/?x",
    "https://app.example.com#",
    "https://app.example.com#x",
    "https://app@evil.example",
    "https://app.example.com@evil.example",
    "https://user:pw@app.example.com",
    "https://:pw@app.example.com",
    "https://@app.example.com",
    "https://app.example.com:@evil.example",
    "https://app.example.com:443",
    "https://app.example.com:",
    "https://app.example.com:0",
    "https://app.example.com:65536",
    "https://app.example.com:99999",
    "https://app.example.com:-1",
    "https://app.example.com:0443",
    "https://app.example.com:08443",
    "https://app.example.com:80a",
    "http://app.example.com",
    "http://app.example.com:80",
    "http://localhost:80",
    "http://localhost.evil.example",
    "http://evil-localhost",
    "http://notlocalhost:3000",
    "http://app.evil-localhost",
    "http://127.0.0.1.evil.example",
    "http://192.168.0.1",
    "http://10.0.0.1:3000",
    "http://0.0.0.0:3000",
    "http://[::]:3000",
    "HTTPS://app.example.com",
    "https://App.example.com",
    "https://APP.EXAMPLE.COM",
    "https://*.example.com",
    "https://*",
    "https://app.example.com.",
    "https://localhost.",
    "https://bücher.example",
    "https://ex\u{ad}ample.com",
    "https://ｅxample.com",
    "https://ex%61mple.com",
    "https://[::ffff:1.2.3.4]",
    "https://[::ffff:102:304]",
    "https://0x7f.0.0.1",
    "https://0177.0.0.1",
    "https://2130706433",
    "https://127.1",
    "https://1.2.3",
    "https://[::0001]",
    "https://[2001:DB8::1]",
    "https://[2001:db8:0:0:0:0:0:1]",
    "https://[::1",
    "https://::1",
    " https://app.example.com",
    "https://app.example.com ",
    "https://app.example\t.com",
    "https://app.example.com\n",
    "https://app\n.example.com",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "blob:https://app.example.com/uuid",
    "data:text/html,x",
    "ws://app.example.com",
    "ftp://app.example.com",
    "chrome-extension://abcdefghijklmnop",
];

#[test]
fn t39_only_a_serialised_secure_origin_is_accepted() {
    for good in GOOD {
        assert_eq!(check_origin(good), Ok(()), "{good}");
    }
    for bad in BAD {
        assert!(check_origin(bad).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn t39_a_host_is_loopback_by_its_whole_last_label_or_by_its_address() {
    for loopback in ["localhost", "app.localhost", "a.b.localhost", "127.0.0.1", "127.255.255.254", "[::1]"] {
        assert!(is_loopback(loopback), "{loopback}");
    }
    for other in [
        "",
        "evil-localhost",
        "notlocalhost",
        "app.notlocalhost",
        "localhost.evil.example",
        "localhost.",
        "128.0.0.1",
        "0.0.0.0",
        "192.168.0.1",
        "[::]",
        "[::2]",
        "127.0.0.1.evil.example",
    ] {
        assert!(!is_loopback(other), "{other}");
    }
}

#[test]
fn an_origin_has_512_bytes_at_most() {
    let longest = format!("https://{}ab", "a.".repeat(251));
    assert_eq!(longest.len(), 512);
    assert_eq!(check_origin(&longest), Ok(()));
    assert!(check_origin(&format!("{longest}c")).expect_err("513 bytes").fault.contains("longer"));
}

#[test]
fn the_message_names_the_fault_and_the_corrected_value() {
    let better = |input: &str| {
        let error = check_origin(input).unwrap_err();
        (error.fault, error.suggestion)
    };
    let app = Some("https://app.example.com".to_owned());
    assert_eq!(better("https://app.example.com/"), ("it ends in a slash", app.clone()));
    assert_eq!(better("https://app.example.com/x"), ("it contains a path", app.clone()));
    assert_eq!(better("https://app.example.com:443"), ("it writes out the default port", app.clone()));
    assert_eq!(better("https://App.example.com"), ("it is not in lower case", app.clone()));
    assert_eq!(better("app.example.com").1, app.clone());
    assert_eq!(better("http://app.example.com").1, app);
    assert_eq!(better("https://App.example.com:8443").0, "it is not in lower case");
    assert_eq!(better("https://[2001:DB8::1]").0, "it is not in lower case");
    for named in [
        "https:user@app.example.com",
        "https://user@app.example.com",
        "https://:pw@app.example.com",
        "https://@app.example.com",
    ] {
        assert_eq!(better(named).0, "it contains a user name or password", "{named}");
    }
    assert_eq!(better(" https://app.example.com").0, "it contains white space or a control character");
    assert_eq!(better("https://app.example.com\u{7f}").0, "it contains white space or a control character");
    assert_eq!(better("*").0, "wildcards are not supported");
    assert_eq!(better("").0, "it is empty");
    assert_eq!(better("null").0, "\"null\" names no page");
}

#[test]
fn a_refused_origin_is_answered_with_a_sentence() {
    let sentence = |input: &str| check_origin(input).unwrap_err().to_string();
    assert_eq!(
        sentence("https://app.example.com/"),
        "The origin is not valid: it ends in a slash. Write \"https://app.example.com\"."
    );
    assert_eq!(
        sentence("*"),
        "The origin is not valid: wildcards are not supported. Write scheme and host only, such as \"https://app.example.com\"."
    );
}

#[test]
fn t05_an_origin_is_named_by_its_own_text_alone() {
    let origin = Origin::parse("https://app.example.com").expect("an origin");
    assert_eq!((origin.as_str(), origin.to_string().as_str()), ("https://app.example.com", origin.as_str()));
    assert!(origin.is_named_by(Some("https://app.example.com")), "positive control");
    for other in
        [None, Some(""), Some("null"), Some("https://app.example.com/"), Some("https://app.example.co")]
    {
        assert!(!origin.is_named_by(other), "{other:?}");
    }
}

#[test]
fn what_is_suggested_in_place_of_a_bad_origin_is_a_good_one() {
    let suggested: Vec<_> = BAD.iter().filter_map(|bad| check_origin(bad).unwrap_err().suggestion).collect();
    assert!(suggested.len() > 10, "positive control");
    for better in suggested {
        assert_eq!(check_origin(&better), Ok(()), "{better}");
    }
}

#[test]
fn what_would_be_refused_in_its_turn_is_not_suggested() {
    let suggested = |input: &str| check_origin(input).unwrap_err().suggestion;
    assert_eq!(suggested("http://app.example.com:443").as_deref(), Some("https://app.example.com"));
    assert_eq!(suggested("http://app.example.com:8443/x").as_deref(), Some("https://app.example.com:8443"));
    for hopeless in [
        "http://*.example.com",
        "http://app.example.com.",
        "http://app.example.com:0",
        "http://[::ffff:1.2.3.4]",
        "https://app.example.com./",
        &format!("https://{}", "\u{fc}.".repeat(160)),
    ] {
        assert_eq!(suggested(hopeless), None, "{hopeless}");
    }
}

/// Whether what is suggested for `input`, if anything, is itself accepted.
fn is_of_use(input: &str) -> bool {
    check_origin(input).err().and_then(|e| e.suggestion).is_none_or(|better| check_origin(&better).is_ok())
}

#[test]
fn whatever_is_put_together_of_odd_pieces_a_suggestion_is_accepted() {
    let schemes = [
        "https://",
        "http://",
        "HTTP://",
        "",
        "//",
        "https:",
        "ftp://",
        "https:\\\\",
        "http://user@",
        " http://",
    ];
    let hosts = [
        "app.example.com",
        "App.Example.com.",
        "*.example.com",
        "localhost",
        "localhost.",
        "a.localhost",
        "127.1",
        "0x7f.1",
        "[::1]",
        "[::ffff:1.2.3.4]",
        "[2001:DB8::1]",
        "b\u{fc}cher.example",
        "ex%61mple.com",
        "a..b",
        "*",
        "",
    ];
    let ports = ["", ":", ":0", ":80", ":443", ":0443", ":8443", ":65536", ":x"];
    let ends = ["", "/", ".", "/x", "?x", "#x", "\\", "@evil.example", " "];
    for (scheme, host) in schemes.iter().flat_map(|scheme| hosts.map(|host| (scheme, host))) {
        for (port, end) in ports.iter().flat_map(|port| ends.map(|end| (port, end))) {
            let input = [scheme, host, port, end].concat();
            assert!(is_of_use(&input), "{input}");
        }
    }
}

proptest! {
    #[test]
    fn t39_whatever_is_accepted_is_its_own_serialisation(input in "(https?://)?[a-zA-Z0-9.:@/?#\\[\\]*%-]{0,40}") {
        if check_origin(&input).is_ok() {
            let url = Url::parse(&input).unwrap();
            prop_assert_eq!(url.origin().ascii_serialization(), input);
        }
    }

    #[test]
    fn whatever_is_suggested_is_accepted(
        input in prop_oneof![any::<String>(), "http://[a-c*.]{1,4}(:443|:80|:0)?", "(https?://)?[a.:/*%\u{fc}-]{0,600}"]
    ) {
        prop_assert!(is_of_use(&input), "{}", input);
    }
}
