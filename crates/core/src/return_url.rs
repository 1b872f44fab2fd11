//! Return URLs: where a redirect takes the user back to (S5, T40, T41).

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Origin, origin::is_loopback};

/// Longest return URL, bytes. It is stored with the session.
const LENGTH_MAX: usize = 2048;

/// Query parameters that our redirect adds; a `return_url` must not contain any of them (T41).
pub const RESULT_PARAMETERS: [&str; 14] = [
    "alter_connect_success",
    "alter_connect_error",
    "alter_result_code",
    "alter_sid",
    "grant_id",
    "provider",
    "provider_name",
    "account_identifier",
    "timestamp",
    "operation",
    "scopes",
    "status",
    "error_code",
    "error_description",
];

/// A return URL. It was checked before a session stored it, so deserialising it checks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReturnUrl(String);

impl ReturnUrl {
    /// Accepts https (or loopback http) without userinfo, without fragment tricks, with none of our parameters, and with
    /// an origin that is exactly one of `registered` (T40: compared whole, never by prefix).
    ///
    /// # Errors
    /// A sentence for the developer who minted the session.
    pub fn parse<'a>(input: &str, registered: impl IntoIterator<Item = &'a Origin>) -> Result<Self, String> {
        let url = absolute(input)?;
        let origin = url.origin().ascii_serialization();
        if !registered.into_iter().any(|own| own.as_str() == origin) {
            return Err(format!(
                "return_url has the origin {origin}, which is not registered on this app. Register it: alter app set APP --return-origin {origin}"
            ));
        }
        match url.query_pairs().find(|(name, _)| RESULT_PARAMETERS.contains(&name.as_ref())) {
            Some((name, _)) => {
                Err(format!("return_url already carries \"{name}\", a parameter that the result uses."))
            }
            None => Ok(Self(input.to_owned())),
        }
    }

    /// The address with our parameters behind its own; its fragment stays. `None` for a stored one that this version would
    /// not take.
    pub fn with<'a>(&self, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Url> {
        let mut url = absolute(&self.0).ok()?;
        url.query_pairs_mut().extend_pairs(parameters);
        Some(url)
    }

    /// Whether a browser's `Origin` header names the page at this address.
    pub fn is_named_by(&self, header: Option<&str>) -> bool {
        let origin = Url::parse(&self.0).ok().map(|url| url.origin().ascii_serialization());
        header.is_some() && origin.as_deref() == header
    }
}

/// Everything that can be told without knowing the app.
fn absolute(input: &str) -> Result<Url, String> {
    if input.len() > LENGTH_MAX {
        return Err(format!("return_url is longer than {LENGTH_MAX} bytes."));
    }
    if input.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'\\') {
        return Err("return_url contains white space, a control character or a backslash.".into());
    }
    let url = Url::parse(input).map_err(|_| "return_url is not an absolute URL.".to_owned())?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("return_url must be https (or http on a loopback host).".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("return_url must not contain a user name or password.".into());
    }
    if url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default()) {
        return Err("return_url must be https (http is allowed on a loopback host only).".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(input: &str, registered: &[&str]) -> Result<ReturnUrl, String> {
        let registered: Vec<_> =
            registered.iter().map(|own| Origin::parse(own).expect("an origin")).collect();
        ReturnUrl::parse(input, &registered)
    }

    #[test]
    fn t40_a_return_url_must_have_a_registered_origin() {
        let registered = ["https://app.example.com", "http://localhost:3000"];
        for good in [
            "https://app.example.com/connected",
            "https://app.example.com/connected?tab=2#there",
            "https://app.example.com",
            "http://localhost:3000/back",
        ] {
            assert_eq!(parsed(good, &registered), Ok(ReturnUrl(good.into())), "{good}");
        }
        for bad in [
            "https://app.example.com.evil/connected",
            "https://app.example.com@evil/",
            "https://evil/https://app.example.com",
            "//app.example.com/",
            "/connected",
            "javascript:alert(1)//https://app.example.com",
            "data:text/html,x",
            "https://app.example.com:444/",
            "http://app.example.com/",
            "https://sub.app.example.com/",
            "https://app.example.com\\@evil/",
            "https://user@app.example.com/",
            "http://localhost:3001/",
            "",
            "https:\\\\app.example.com/",
            "https://app.example.com/\n",
            "http://localhost:3000.evil/",
        ] {
            assert!(parsed(bad, &registered).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn t41_a_return_url_that_already_carries_our_parameters_is_refused() {
        let registered = ["https://app.example.com"];
        for name in RESULT_PARAMETERS {
            let url = format!("https://app.example.com/x?{name}=1");
            assert!(parsed(&url, &registered).is_err_and(|e| e.contains(name)), "{name}");
        }
        let encoded = "https://app.example.com/x?grant%5Fid=1";
        assert!(parsed(encoded, &registered).is_err());
        assert!(parsed("https://app.example.com/x?tab=1", &registered).is_ok());
    }

    #[test]
    fn t40_the_result_comes_behind_the_addresss_own_query_and_before_its_fragment() {
        let with = |url: &str| {
            let result = [("alter_connect_success", "true"), ("scopes", "a b,c&d=#")];
            parsed(url, &["https://a.example"]).unwrap().with(result).unwrap().to_string()
        };
        let ours = "alter_connect_success=true&scopes=a+b%2Cc%26d%3D%23";
        for (given, before, after) in [
            ("https://a.example", "https://a.example/?", ""),
            ("https://a.example/x?", "https://a.example/x?", ""),
            ("https://a.example/x?tab=2&q=%20%2B+&q=", "https://a.example/x?tab=2&q=%20%2B+&q=&", ""),
            ("https://a.example/#/connected?tab=2", "https://a.example/?", "#/connected?tab=2"),
            ("https://a.example/ü?ü#ü", "https://a.example/%C3%BC?%C3%BC&", "#%C3%BC"),
        ] {
            assert_eq!(with(given), format!("{before}{ours}{after}"), "{given}");
        }
    }

    #[test]
    fn t40_a_stored_address_of_another_kind_leads_nowhere() {
        for stored in
            ["javascript:alert(1)", "//evil.example/", "http://evil.example/", "https://a@evil.example/"]
        {
            let read: ReturnUrl = serde_json::from_value(stored.into()).unwrap();
            assert_eq!(read.with([("a", "b")]), None, "{stored}");
        }
    }

    #[test]
    fn only_the_pages_own_origin_names_it() {
        let url = parsed("https://a.example/x?y", &["https://a.example"]).unwrap();
        assert!(url.is_named_by(Some("https://a.example")));
        for other in [None, Some("null"), Some(""), Some("https://a.example/"), Some("https://b.example")] {
            assert!(!url.is_named_by(other), "{other:?}");
        }
        let opaque: ReturnUrl = serde_json::from_value("data:text/html,x".into()).unwrap();
        assert!(!opaque.is_named_by(Some("https://a.example")));
    }

    #[test]
    fn t40_a_return_url_has_2048_bytes_at_most() {
        let of = |bytes: usize| parsed(&format!("{:x<bytes$}", "https://a.example/"), &["https://a.example"]);
        assert!(of(2048).is_ok());
        assert_eq!(of(2049), Err("return_url is longer than 2048 bytes.".into()));
    }
}
