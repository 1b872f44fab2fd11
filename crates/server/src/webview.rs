//! Browsers inside other apps (webviews), told by their `User-Agent`. Some providers show no sign-in in them
//! (`Recipe::refuses_webviews`). A page that was wrongly recognised lets the person go on all the same, so that nobody is
//! stopped by a guess.

/// A browser inside another app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Webview {
    /// The app; `None` = Android's webview in an app that does not say its name.
    pub(crate) inside: Option<&'static str>,
    /// The system's own browser.
    pub(crate) browser: &'static str,
}

/// What the apps write into the `User-Agent`, more exact marks first. Messenger says `FBAN` too.
const MARKS: [(&str, &str); 20] = [
    ("MessengerForiOS", "Messenger"),
    ("MessengerLiteForiOS", "Messenger"),
    ("Orca-Android", "Messenger"),
    ("Instagram ", "Instagram"),
    ("Barcelona ", "Threads"),
    ("FBAN/", "Facebook"),
    ("FBAV/", "Facebook"),
    ("FB_IAB/", "Facebook"),
    ("BytedanceWebview", "TikTok"),
    ("musical_ly", "TikTok"),
    ("Snapchat", "Snapchat"),
    ("LinkedInApp", "LinkedIn"),
    ("Twitter for iPhone", "X"),
    ("TwitterAndroid", "X"),
    ("[Pinterest/", "Pinterest"),
    (" Line/", "LINE"),
    ("MicroMessenger/", "WeChat"),
    ("KAKAOTALK", "KakaoTalk"),
    ("Reddit/", "Reddit"),
    ("Telegram-Android", "Telegram"),
];

/// Recognises a webview. An iOS webview without a mark is not one of them: a web app on the home screen says the same.
pub(crate) fn webview(user_agent: &str) -> Option<Webview> {
    let android = user_agent.contains("Android");
    let named = MARKS.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, app)| *app);
    // Android's webview puts `wv` at the end of the system's part.
    let unnamed = android && user_agent.contains("; wv)");
    let phone = android || ["iPhone", "iPad", "iPod"].iter().any(|device| user_agent.contains(device));
    let browser = if android { "Chrome" } else { "Safari" };
    (named.is_some() && phone || unnamed).then_some(Webview { inside: named, browser })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IOS: &str =
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
    const ANDROID: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 9 Build/BP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/142.0.0.0 Mobile Safari/537.36";

    fn inside(system: &str, rest: &str) -> Option<Webview> {
        webview(&format!("{system} {rest}"))
    }

    #[test]
    fn the_common_apps_are_recognised_on_both_systems() {
        for (rest, app) in [
            ("Mobile/22F76 [FBAN/FBIOS;FBAV/520.0.0.38;FBBV/741209346;FBDV/iPhone17,1]", "Facebook"),
            ("Mobile/22F76 [FBAN/MessengerForiOS;FBAV/512.0.0.30;FBDV/iPhone15,3]", "Messenger"),
            ("Mobile/22F76 Instagram 384.0.0.28 (iPhone15,3; iOS 18_5; de_DE)", "Instagram"),
            ("Mobile/22F76 Barcelona 384.0.0.24 (iPhone15,3; iOS 18_5)", "Threads"),
            ("Mobile/22F76 musical_ly_40.1.0 JsSdk/2.0 NetType/WIFI BytedanceWebview/d8a21c6", "TikTok"),
            ("Mobile/22F76 Snapchat/13.45.0.50 (like Safari/8621.2)", "Snapchat"),
            ("Mobile/22F76 [LinkedInApp]/9.31.4612", "LinkedIn"),
            ("Mobile/22F76 Twitter for iPhone/11.5", "X"),
            ("Mobile/22F76 [Pinterest/iOS]", "Pinterest"),
            ("Mobile/22F76 Safari Line/15.9.1", "LINE"),
            ("Mobile/22F76 MicroMessenger/8.0.60(0x18003c2f) NetType/WIFI Language/de", "WeChat"),
            ("Mobile/22F76 KAKAOTALK 25.5.0", "KakaoTalk"),
        ] {
            assert_eq!(inside(IOS, rest), Some(Webview { inside: Some(app), browser: "Safari" }), "{rest}");
        }
        for (rest, app) in [
            ("[FB_IAB/FB4A;FBAV/520.0.0.44.99;]", Some("Facebook")),
            ("[FB_IAB/Orca-Android;FBAV/512.0.0.20.79;]", Some("Messenger")),
            ("Instagram 384.0.0.0.12 Android (35/15; 420dpi; Google; Pixel 9)", Some("Instagram")),
            ("musical_ly_2024001000 BytedanceWebview/d8a21c6", Some("TikTok")),
            ("TwitterAndroid", Some("X")),
            ("Telegram-Android/11.9.0 (Google Pixel 9; Android 15; SDK 35)", Some("Telegram")),
            ("", None),
        ] {
            assert_eq!(inside(ANDROID, rest), Some(Webview { inside: app, browser: "Chrome" }), "{rest}");
        }
    }

    #[test]
    fn browsers_and_installed_web_apps_are_not_taken_for_webviews() {
        for user_agent in [
            "",
            &format!("{IOS} Version/18.5 Mobile/15E148 Safari/604.1"),
            // A web app on the home screen of iOS names no Safari, as an unnamed webview does.
            &format!("{IOS} Mobile/15E148"),
            &format!("{IOS} CriOS/142.0.7444.60 Mobile/15E148 Safari/604.1"),
            &format!("{IOS} FxiOS/144.0 Mobile/15E148 Safari/605.1.15"),
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0",
            "Mozilla/5.0 (Linux; Android 15; SM-S938B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
            // An extension or a desktop app that names one of the services.
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 MicroMessenger/7.0",
        ] {
            assert_eq!(webview(user_agent), None, "{user_agent}");
        }
    }
}
