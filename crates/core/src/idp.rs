//! An app's identity provider, which vouches for the app's users. A user token is valid when this issuer signed it for
//! this audience (S7); `oauth/user_token.rs` checks that.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    origin::is_loopback,
    text::{is_blank, is_hidden},
};

/// Longest issuer or URL, bytes.
const URL_MAX: usize = 2048;

/// Longest audience, bytes.
const AUDIENCE_MAX: usize = 512;

/// The operator's settings for it: the flags of `alter idp set`. Rows that older versions wrote must stay readable, so a
/// new field needs `#[serde(default)]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityProvider {
    /// `iss` of its tokens, compared byte by byte.
    pub issuer: String,
    /// What `aud` of its tokens must be or contain; `None` = the operator passed `--any-audience`.
    pub audience: Option<String>,
    /// The URL of its signing keys; `None` = the one in the issuer's metadata.
    pub jwks_url: Option<String>,
}

impl IdentityProvider {
    /// Checks the value of every field.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        let issuer = web_url("--issuer", &self.issuer)?;
        if issuer.query().is_some() {
            return Err(format!("--issuer {} has a query; an issuer has none.", self.issuer));
        }
        if let Some(url) = &self.jwks_url {
            web_url("--jwks-url", url)?;
        }
        match &self.audience {
            Some(text) if text.trim().is_empty() => {
                Err("--audience is empty. Give the audience of your users' tokens, or pass --any-audience."
                    .into())
            }
            Some(text) if text.len() > AUDIENCE_MAX || text.chars().any(is_hidden) => {
                Err("--audience must have at most 512 bytes and no character that people do not see.".into())
            }
            _ => Ok(()),
        }
    }
}

/// Requires https, or http on a loopback host: over plain http, an attacker on the network could replace the keys.
fn web_url(flag: &str, text: &str) -> Result<Url, String> {
    if text.len() > URL_MAX {
        return Err(format!("{flag} is longer than 2048 bytes."));
    }
    // The URL parser accepts these characters, but an issuer is compared exactly as written.
    if text.chars().any(|c| is_blank(c) || is_hidden(c)) {
        return Err(format!("{flag} contains white space, or a character that people do not see."));
    }
    let url = Url::parse(text).map_err(|_| format!("{flag} {text} is not a URL."))?;
    let fit = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url.host_str().unwrap_or_default()),
        _ => false,
    };
    if !fit {
        return Err(format!("{flag} {text} must be https (http is allowed on a loopback host only)."));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{flag} has a user name or password in it; it must have none."));
    }
    if url.fragment().is_some() {
        return Err(format!("{flag} {text} has a fragment; it must have none."));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idp(issuer: &str) -> IdentityProvider {
        IdentityProvider { issuer: issuer.into(), audience: Some("my-app".into()), jwks_url: None }
    }

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for good in
            ["https://id.example", "https://id.example/", "https://id.example/t/1", "http://127.0.0.1:8702"]
        {
            assert_eq!(idp(good).check(), Ok(()), "{good}");
        }
        for bad in [
            "",
            "id.example",
            "http://id.example",
            "ftp://id.example",
            "javascript:alert(1)",
            "https://id.example?tenant=1",
            "https://id.example#x",
            "https://user@id.example",
            "https://:pw@id.example",
            " https://id.example",
            "https://id.exa\nmple",
            "https://id.example\u{0}",
            "https://id.example/\u{202e}t",
            "https://id.example/\u{2800}",
        ] {
            assert!(idp(bad).check().is_err_and(|text| text.starts_with("--issuer")), "{bad:?}");
        }
        let long = |bytes: usize| idp(&format!("{:x<bytes$}", "https://id.example/")).check();
        assert_eq!(long(2048), Ok(()));
        assert!(long(2049).is_err_and(|text| text.contains("2048")));
    }

    #[test]
    fn keys_are_read_from_https_or_from_this_machine_and_may_have_a_query() {
        let keys = |url: &str| IdentityProvider { jwks_url: Some(url.into()), ..idp("https://id.example") };
        assert_eq!(keys("https://id.example/jwks?app=1").check(), Ok(()));
        for bad in ["http://id.example/jwks", "file:///etc/passwd", "/jwks", "https://u:p@id.example/jwks"] {
            assert!(keys(bad).check().is_err_and(|text| text.starts_with("--jwks-url")), "{bad}");
        }
    }

    #[test]
    fn an_audience_is_something_or_is_waived_aloud() {
        let for_audience = |audience: Option<&str>| IdentityProvider {
            audience: audience.map(Into::into),
            ..idp("https://id.example")
        };
        assert_eq!(for_audience(None).check(), Ok(()));
        assert_eq!(for_audience(Some("https://api.example")).check(), Ok(()));
        assert_eq!(for_audience(Some(&"a".repeat(512))).check(), Ok(()));
        for bad in ["", "  ", "a\u{0}b", "a\u{202e}b", "a\u{e0041}b", &"a".repeat(513)] {
            assert!(for_audience(Some(bad)).check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_app_of_an_older_version_has_no_identity_provider() {
        let mut stored = serde_json::to_value(crate::AppSettings::named("Old")).expect("settings are JSON");
        stored.as_object_mut().expect("an object").remove("identity_provider").expect("it was written");
        let read: crate::AppSettings = serde_json::from_value(stored).expect("an older row is read");
        assert_eq!(read, crate::AppSettings::named("Old"));
        let with = crate::AppSettings { identity_provider: Some(idp("http://id.example")), ..read };
        assert!(with.check().is_err(), "what the command checks, every writer of settings checks");
    }
}
