//! An app's identity provider, which vouches for the app's users. A user token is valid when this issuer signed it for
//! this audience (S7); `oauth/user_token.rs` checks that.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    ConfigId,
    origin::is_loopback,
    text::{is_blank, is_hidden},
};

/// Longest issuer or URL, bytes.
const URL_MAX: usize = 2048;

/// Longest audience, authorized party or tenant, bytes.
const NAME_MAX: usize = 512;

/// Most tenants of one issuer that an operator can list.
const TENANTS_MAX: usize = 200;

/// The place of the tenant in an issuer.
const TENANT: &str = "{tenant}";

/// The operator's settings for it: the flags of `alter idp set`. Rows that older versions wrote must stay readable, so a
/// new field needs `#[serde(default)]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityProvider {
    /// `iss` of its tokens, compared byte by byte; `{tenant}` in it stands for the token's `tid` (Microsoft Entra).
    pub issuer: String,
    /// What `aud` of its tokens must be or contain; `None` = the operator passed `--any-audience` or
    /// `--authorized-party`.
    pub audience: Option<String>,
    /// What `azp` of its tokens, or without one `client_id`, must be: for issuers whose tokens have no `aud` (Amazon
    /// Cognito, Clerk).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorized_party: Option<String>,
    /// The URL of its signing keys; `None` = the one in the issuer's metadata.
    pub jwks_url: Option<String>,
    /// The tenants whose users are accepted; for an issuer with `{tenant}` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<String>,
    /// Users of any tenant are accepted: anybody can open a tenant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_tenant: bool,
    /// The client by which users sign in on our pages; `None` = they cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignInClient>,
}

/// Our client at the identity provider. Its secret, and where it is sent, are a provider configuration of their own
/// ([`crate::ProviderConfig::is_sign_in`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInClient {
    /// The configuration.
    pub config_id: ConfigId,
    /// The public client id: the audience of the id_tokens that it gets.
    pub client_id: String,
}

impl IdentityProvider {
    /// Checks the value of every field.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        match &self.jwks_url {
            Some(url) => {
                text_of("--issuer", &self.issuer, URL_MAX)?;
                web_url("--jwks-url", url)?;
            }
            None => self.has_metadata()?,
        }
        self.check_tenants()?;
        if self.audience.is_some() && self.authorized_party.is_some() {
            return Err("--audience and --authorized-party exclude each other.".into());
        }
        if self.audience.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(
                "--audience is empty. Give the audience of your users' tokens, or pass --any-audience."
                    .into(),
            );
        }
        for (flag, text) in [("--audience", &self.audience), ("--authorized-party", &self.authorized_party)] {
            if let Some(text) = text {
                name_of(flag, text)?;
            }
        }
        Ok(())
    }

    /// Without the URL of the keys, the issuer's metadata must say it, so the issuer must be where metadata can be.
    fn has_metadata(&self) -> Result<(), String> {
        let mend = "If that is how `iss` of its tokens reads, pass --jwks-url too.";
        let issuer = web_url("--issuer", &self.issuer).map_err(|why| format!("{why} {mend}"))?;
        if issuer.query().is_some() {
            return Err(format!("--issuer {} has a query, and metadata has none. {mend}", self.issuer));
        }
        if self.is_template() {
            return Err(
                "--issuer with {tenant} needs --jwks-url: each tenant has metadata of its own.".into()
            );
        }
        Ok(())
    }

    fn check_tenants(&self) -> Result<(), String> {
        let (listed, any) = (!self.tenants.is_empty(), self.any_tenant);
        match self.issuer.matches(TENANT).count() {
            0 if listed || any => {
                Err("--tenant and --any-tenant need an --issuer with {tenant} in it.".into())
            }
            0 => Ok(()),
            1 if listed == any => {
                Err("--issuer with {tenant} needs the tenants whose users you accept: --tenant ID, \
                                       once for each, or --any-tenant."
                    .into())
            }
            1 if self.tenants.len() > TENANTS_MAX => Err("--tenant may be given 200 times.".into()),
            1 => self.tenants.iter().try_for_each(|tenant| match is_tenant(tenant) {
                true => Ok(()),
                false => Err(format!(
                    "--tenant {tenant:?} must be 1 to 64 of the characters a-z, A-Z, 0-9 and `-`."
                )),
            }),
            _ => Err("--issuer has {tenant} more than once.".into()),
        }
    }

    /// Whether the issuer has a place for the tenant, so that it stands for many.
    pub fn is_template(&self) -> bool {
        self.issuer.contains(TENANT)
    }

    /// Whether a token with these claims is of this issuer. With a template it is the issuer of the token's own tenant,
    /// which the operator must accept.
    pub fn is_issuer(&self, iss: &str, tid: Option<&str>) -> bool {
        if !self.is_template() {
            return iss == self.issuer;
        }
        tid.is_some_and(|tid| {
            is_tenant(tid)
                && (self.any_tenant || self.tenants.iter().any(|known| known == tid))
                && iss == self.issuer.replace(TENANT, tid)
        })
    }
}

fn is_tenant(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Requires a text that can be compared and shown as it is.
fn text_of(flag: &str, text: &str, max: usize) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{flag} is empty."));
    }
    if text.len() > max {
        return Err(format!("{flag} is longer than {max} bytes."));
    }
    if text.chars().any(|c| is_blank(c) || is_hidden(c)) {
        return Err(format!("{flag} contains white space, or a character that people do not see."));
    }
    Ok(())
}

fn name_of(flag: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.len() > NAME_MAX || text.chars().any(is_hidden) {
        return Err(format!("{flag} must have 1 to 512 bytes and no character that people do not see."));
    }
    Ok(())
}

/// Requires https, or http on a loopback host: over plain http, an attacker on the network could replace the keys.
fn web_url(flag: &str, text: &str) -> Result<Url, String> {
    // The URL parser accepts blanks, but an issuer is compared exactly as written.
    text_of(flag, text, URL_MAX)?;
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
        IdentityProvider { issuer: issuer.into(), audience: Some("my-app".into()), ..Default::default() }
    }

    #[test]
    fn an_issuer_may_be_any_text_where_its_keys_are_named() {
        let keys = Some("https://test.stytch.example/v1/sessions/jwks/project-live-1234".to_owned());
        for issuer in
            ["project-live-1234", "urn:example:issuer", "https://id.example?t=1", "http://id.example"]
        {
            assert!(idp(issuer).check().is_err_and(|why| why.contains("--jwks-url")), "{issuer}");
            assert_eq!(
                IdentityProvider { jwks_url: keys.clone(), ..idp(issuer) }.check(),
                Ok(()),
                "{issuer}"
            );
        }
        for bad in ["", "a b", "a\u{202e}b", &"a".repeat(2049)] {
            let why = IdentityProvider { jwks_url: keys.clone(), ..idp(bad) }.check();
            assert!(why.is_err_and(|why| why.starts_with("--issuer")), "{bad:.20}");
        }
    }

    #[test]
    fn t15_a_template_fits_the_tenants_that_the_operator_accepts() {
        let template = |tenants: &[&str], any_tenant| IdentityProvider {
            jwks_url: Some("https://login.example/keys".into()),
            tenants: tenants.iter().map(|t| (*t).to_owned()).collect(),
            any_tenant,
            ..idp("https://login.example/{tenant}/v2.0")
        };
        for bad in
            [template(&[], false), template(&["a"], true), template(&["a/b"], false), template(&[""], false)]
        {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        let without = IdentityProvider { jwks_url: None, ..template(&["a"], false) };
        assert!(without.check().is_err_and(|why| why.contains("--jwks-url")));
        let fixed = IdentityProvider { tenants: vec!["a".into()], ..idp("https://id.example") };
        assert!(fixed.check().is_err_and(|why| why.contains("{tenant}")));

        let (one, any) = (template(&["8a-1"], false), template(&[], true));
        assert_eq!((one.check(), any.check()), (Ok(()), Ok(())));
        for (iss, tid, of_one, of_any) in [
            ("https://login.example/8a-1/v2.0", Some("8a-1"), true, true),
            ("https://login.example/8a-2/v2.0", Some("8a-2"), false, true),
            ("https://login.example/8a-1/v2.0", Some("8a-2"), false, false),
            ("https://login.example/8a-1/v2.0", None, false, false),
            ("https://login.example/{tenant}/v2.0", Some("{tenant}"), false, false),
            ("https://login.example/a/b/v2.0", Some("a/b"), false, false),
            ("https://login.example//v2.0", Some(""), false, false),
        ] {
            assert_eq!((one.is_issuer(iss, tid), any.is_issuer(iss, tid)), (of_one, of_any), "{iss} {tid:?}");
        }
    }

    #[test]
    fn an_authorized_party_stands_in_place_of_an_audience() {
        let party = |audience: Option<&str>, party: &str| IdentityProvider {
            audience: audience.map(Into::into),
            authorized_party: Some(party.into()),
            ..idp("https://id.example")
        };
        assert_eq!(party(None, "client-1").check(), Ok(()));
        assert!(party(Some("a"), "client-1").check().is_err());
        for bad in ["", " ", "a\u{0}"] {
            assert!(
                party(None, bad).check().is_err_and(|why| why.starts_with("--authorized-party")),
                "{bad:?}"
            );
        }
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
