//! The rules that hold for every page, whatever it shows.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::samples::samples;
use super::*;
use every_field::every_page_saying;
use reading::{read, shape, strip_attributes, unescape};

mod every_field;
mod reading;

const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "</style><script src=https://evil.example/x.js></script>",
    "</title><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "' autofocus onfocus='alert(1)",
    "x\" style=\"position:fixed;inset:0",
    "\"><svg onload=alert(1)>",
    "<!-- <noscript> --> <base href=//evil.example>",
    "javascript:alert(1)//",
    "{{ 7*7 }}{% raw %}&lt;b&gt;&amp;&#x3c;",
    "a<b && c>d 'e' \"f\" `g` =h",
    "]]><x:script xmlns:x=\"http://www.w3.org/1999/xhtml\">",
];

// ---- T45, T26: text from outside stays text ------------------------------------------------------------------

#[test]
fn t45_hostile_text_in_any_field_changes_no_page_s_shape() {
    let plain = every_page_saying("x");
    for hostile in HOSTILE {
        for ((name, page), (_, benign)) in every_page_saying(hostile).iter().zip(&plain) {
            assert_eq!(shape(page), shape(benign), "{name} with {hostile:?}");
        }
    }
}

#[test]
fn t45_the_shape_test_sees_an_unescaped_text() {
    let naive = |text: &str| format!("<p title=\"{text}\">{text}</p>");
    for hostile in HOSTILE.iter().filter(|text| text.contains(['<', '"'])) {
        // if the reader panics at markup that no template of ours writes, it has seen the markup too
        let seen = std::panic::catch_unwind(|| shape(&naive(hostile)) != shape(&naive("x")));
        assert!(seen.unwrap_or(true), "{hostile}");
    }
}

#[test]
fn t45_hostile_text_is_shown_as_it_was_written() {
    for hostile in HOSTILE {
        let shown = super::clean::clean(hostile);
        for (name, page) in every_page_saying(hostile) {
            let (_, texts) = read(&page);
            let silent = [
                "wrong browser",
                "foreign form",
                "unread form",
                "cookies blocked",
                "invalid token",
                "not found",
            ]
            .contains(&name);
            let told = texts.iter().any(|t| unescape(t).contains(&shown));
            assert!(told || silent, "{name} does not show {hostile:?}");
        }
    }
}

#[test]
fn t26_no_page_carries_control_or_direction_characters() {
    let bad = "ab\u{0}c\u{1b}[2Jd\u{202e}e\u{2066}f\u{200b}g\r\nSet-Cookie: a=b\u{7f}\u{85}\u{feff}";
    for (name, page) in every_page_saying(bad) {
        // a legacy message is JSON for a program: the page passes it on byte for byte and shows it to nobody
        let page = strip_attributes(
            &page,
            &["data-legacy-message", "data-legacy-origin", "data-sid", "data-provider", "data-site"],
        );
        let found: BTreeSet<char> = page
            .chars()
            .filter(|c| bad.contains(*c) && !c.is_ascii_graphic() && !matches!(c, ' ' | '\n'))
            .collect();
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn t26_a_long_text_is_cut_everywhere() {
    let long = "word ".repeat(20_000);
    for (name, page) in every_page_saying(&long) {
        let page = strip_attributes(
            &page,
            &["data-legacy-message", "data-legacy-origin", "data-sid", "data-provider", "data-site"],
        );
        assert!(page.len() < 40_000, "{name}: {} bytes", page.len());
    }
}

#[test]
fn a_text_that_cleans_to_nothing_leaves_a_readable_page() {
    let html = render(
        &Page::OpenFromApp { app: Some("\u{202e}\u{200b}"), why: Unproven::NoProof },
        &Frame { app_name: Some("\u{3164}"), ..Frame::default() },
    );
    assert!(html.html.contains("Open this page from <bdi>your app</bdi>"));
    assert!(!html.html.contains("<header"));
}

// ---- CSP: nothing inline but the one style ---------------------------------------------------------------

#[test]
fn every_page_runs_under_its_content_security_policy() {
    let hash = STANDARD.encode(digest(&SHA256, style_of(&samples_html()[0].1).as_bytes()));
    let policy = content_security_policy();
    assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'));
    for sample in samples() {
        let (name, page) = (sample.name, render(&sample.page, &sample.frame).html);
        assert_eq!(style_of(&page), super::assets::STYLE, "{name}: the style is the constant one");
        for tag in read(&page).0 {
            for (key, value) in &tag.attributes {
                assert!(!key.starts_with("on") && key != "style", "{name}: {tag:?}");
                assert!(
                    !value.trim_start().to_ascii_lowercase().starts_with("javascript:"),
                    "{name}: {tag:?}"
                );
                let local = matches!(key.as_str(), "href" | "src" | "action" | "srcset");
                let allowed = value.is_empty()
                    || value == "?here=1"
                    || value.starts_with("data:image/svg+xml,")
                    || value == script_path();
                let way_back = tag.name == "a" && sample.frame.back == Some(&unescape(value));
                assert!(!local || allowed || way_back, "{name}: {tag:?}");
            }
            assert!(!["iframe", "object", "embed", "base"].contains(&tag.name.as_str()), "{name}: {tag:?}");
            // A form goes to the page's own address and nowhere else.
            let goes_home = tag.attributes.iter().all(|(key, _)| key != "action")
                && tag.attributes.iter().any(|(key, value)| key == "method" && value == "post");
            assert!(tag.name != "form" || goes_home, "{name}: {tag:?}");
            assert!(tag.attributes.iter().all(|(key, _)| key != "formaction"), "{name}: {tag:?}");
            let inline_script = tag.name == "script" && !tag.attributes.iter().any(|(key, _)| key == "src");
            assert!(!inline_script, "{name}");
        }
        assert_eq!(page.matches("<style").count(), 1, "{name}");
    }
}

#[test]
fn the_style_survives_a_browser_s_reading_byte_for_byte() {
    // a browser turns CR into LF before hashing, and ends the element at the first `</style`
    assert!(!super::assets::STYLE.contains(['\r', '\0', '<']));
    assert!(!super::assets::STYLE.contains("url(") && !super::assets::STYLE.contains("@import"));
}

#[test]
fn the_script_uses_nothing_that_trusted_types_forbid() {
    for sink in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "srcdoc",
        "'*'",
    ] {
        let code: String = SCRIPT.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        assert!(!code.contains(sink), "{sink}");
    }
    assert!(!SCRIPT.contains("        mode:"), "any fetch mode but the default may send `Origin: null`");
    assert!(script_path().starts_with("/connect/assets/connect.") && script_path().ends_with(".js"));
}

// ---- every page: structure, words, size --------------------------------------------------------------------

fn samples_html() -> Vec<(&'static str, String)> {
    samples().into_iter().map(|s| (s.name, render(&s.page, &s.frame).html)).collect()
}

fn style_of(page: &str) -> &str {
    let from = page.find("<style>").expect("style") + "<style>".len();
    &page[from..from + page[from..].find("</style>").expect("style ends")]
}

#[test]
fn every_page_has_language_title_viewport_one_heading_and_landmarks() {
    for (name, page) in samples_html() {
        let (tags, texts) = read(&page);
        let count = |wanted: &str| tags.iter().filter(|t| t.name == wanted).count();
        assert!(page.starts_with("<!doctype html>"), "{name}");
        assert!(page.contains("<html lang=\"en\" dir=\"ltr\">"), "{name}");
        assert!(
            page.contains(
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1, viewport-fit=cover\">"
            ),
            "{name}"
        );
        for one in ["title", "h1", "main", "footer"] {
            assert_eq!((count(one), count(&format!("/{one}"))), (1, 1), "{name}: {one}");
        }
        let title = tags.iter().position(|t| t.name == "title").expect("title");
        assert!(
            texts[title + 1].trim_end_matches("· Alter Connect").trim().len() > 5,
            "{name}: {}",
            texts[title + 1]
        );
        for void in ["meta", "link", "input", "!doctype", "path", "rect", "wbr"] {
            assert_eq!(count(&format!("/{void}")), 0, "{name}");
        }
        for nested in [
            "div", "span", "p", "ul", "li", "dl", "dt", "dd", "bdi", "b", "button", "code", "details",
            "noscript",
        ] {
            assert_eq!(count(nested), count(&format!("/{nested}")), "{name}: {nested}");
        }
    }
}

#[test]
fn every_id_is_unique_and_every_reference_points_to_one() {
    for (name, page) in samples_html() {
        let tags = read(&page).0;
        let values = |wanted: &str| {
            let attributes = tags.iter().flat_map(|t| &t.attributes);
            attributes.filter(|(k, _)| k == wanted).map(|(_, v)| v.clone()).collect::<Vec<_>>()
        };
        let ids = values("id");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{name}: {ids:?}");
        for reference in values("for").into_iter().chain(values("aria-controls")) {
            assert!(ids.contains(&reference), "{name}: {reference}");
        }
    }
}

#[test]
fn a_page_whose_buttons_need_the_script_says_so_without_it() {
    for (name, page) in samples_html() {
        let acts = page.contains("data-do=")
            || page.contains("data-page=\"shell\"")
            || page.contains("data-page=\"waiting\"");
        assert_eq!(acts, page.contains("<noscript>"), "{name}");
        assert!(
            !acts || page.contains("role=\"status\"") && page.contains("role=\"alert\""),
            "{name}: live regions"
        );
        assert!(!acts || page.contains(script_path()), "{name}: script");
    }
}

#[test]
fn every_page_but_the_waiting_one_has_a_button() {
    for (name, page) in samples_html().into_iter().filter(|(name, _)| *name != "waiting") {
        let buttons = page.matches("<button class=\"go\"").count()
            + page.matches("<button class=\"alt\"").count()
            + page.matches("<a class=\"go\"").count();
        assert!(buttons > 0, "{name}");
        let needs_script = page.contains("data-close") || page.contains("data-do=");
        assert!(!needs_script || page.contains(script_path()), "{name}: script");
    }
}

#[test]
fn at_the_end_of_a_redirect_flow_the_button_leads_back_and_nothing_speaks_of_closing_a_window() {
    let mut ends = 0;
    for sample in samples().into_iter().filter(|sample| sample.frame.back.is_some()) {
        let (name, page) = (sample.name, render(&sample.page, &sample.frame).html);
        let (tags, texts) = read(&page);
        let buttons: Vec<_> =
            tags.iter().filter(|tag| tag.attributes.iter().any(|(_, v)| v == "go")).collect();
        assert!(matches!(buttons[..], [button] if button.name == "a"), "{name}: {buttons:?}");
        assert!(page.contains("Back to <bdi>"), "{name}");
        let words = texts.join(" ").to_lowercase();
        assert!(!words.contains("window") && !page.contains("data-close"), "{name}: {words}");
        ends += 1;
    }
    assert!(ends > 8, "{ends}");
}

#[test]
fn a_page_with_nothing_to_say_goes_back_at_once_and_a_failure_stays() {
    for sample in samples() {
        let (name, page) = (sample.name, render(&sample.page, &sample.frame).html);
        let says_nothing = ["done-redirect", "denied-redirect", "cancelled-redirect"].contains(&name);
        let goes = page.contains("http-equiv=\"refresh\" content=\"0;url=/connect/s/");
        assert_eq!(goes, says_nothing, "{name}");
    }
}

#[test]
fn the_buttons_stand_in_the_bar_that_stays_in_sight() {
    for (name, page) in samples_html().into_iter().filter(|(name, _)| !["waiting", "shell"].contains(name)) {
        let bar = page.find("<div class=\"dock\">").unwrap_or_else(|| panic!("{name}: no bar"));
        let after = page[bar..].split("</main>").next().expect("the rest of main");
        assert!(after.contains("class=\"act\""), "{name}");
        assert_eq!(page.matches("class=\"act\"").count(), 1, "{name}: one row of buttons");
        assert!(!after.contains("<details") && !after.contains("class=\"rows\""), "{name}: the bar is last");
    }
}

#[test]
fn t38_the_consent_button_is_asleep_until_the_script_wakes_it() {
    for (name, page) in samples_html().into_iter().filter(|(name, _)| name.starts_with("consent")) {
        let tags = read(&page).0;
        let button = tags.iter().find(|t| t.attributes.iter().any(|(k, v)| k == "data-do" && v == "approve"));
        let button = button.unwrap_or_else(|| panic!("{name}: no approve button"));
        let has = |key: &str, value: &str| button.attributes.iter().any(|(k, v)| k == key && v == value);
        assert!(
            has("aria-disabled", "true") && has("data-guard", "") && has("type", "button"),
            "{name}: {button:?}"
        );
    }
}

#[test]
fn the_picker_is_searchable_past_eight_services() {
    let page = |n: usize| {
        let providers = vec![ProviderChoice { id: "p", name: "P", connected_account: None }; n];
        let view = PickerView { providers: &providers, any_connected: false, declined: None };
        render(&Page::Picker(view), &Frame::default()).html
    };
    assert!(!page(8).contains("type=\"search\""));
    assert!(page(9).contains("type=\"search\""));
}

#[test]
fn a_legacy_message_reaches_the_script_byte_for_byte() {
    let message =
        r#"{"type":"alter_connect_success","grants":[{"account_identifier":"a\"b<c>&amp;'\u202e"}]}"#;
    let view = DoneView {
        awaits_app: false,
        connections: &[],
        legacy: Some(Legacy { message_json: message, target_origin: "https://a.example" }),
    };
    let page = render(&Page::Done(view), &Frame { sid: Some("s"), ..Frame::default() }).html;
    let body = read(&page).0.into_iter().find(|t| t.name == "body").expect("body");
    let value = |key: &str| body.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| unescape(v));
    assert_eq!(value("data-legacy-message").as_deref(), Some(message));
    assert_eq!(value("data-legacy-origin").as_deref(), Some("https://a.example"));
}

#[test]
fn the_largest_page_with_the_script_stays_small() {
    // Plain bytes, three times the compressed budget of 20 kB; the gallery tool measures it compressed.
    let largest = samples_html().into_iter().map(|(_, page)| page.len()).max().expect("samples");
    assert!(largest + SCRIPT.len() < 45_000, "{largest} + {}", SCRIPT.len());
    assert!(largest < 24_000, "{largest}");
}
