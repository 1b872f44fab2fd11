//! Our cookies in the browser: one browser key per session, in `__Host-cs_{sid}` on https and `cs_{sid}` on http loopback
//! (where WebKit drops Secure cookies).

use std::convert::Infallible;

use alter_core::SessionId;
use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{Shared, Site};

/// The browser keys that came with a request.
#[derive(Debug)]
pub(crate) struct Browser {
    keys: Vec<(SessionId, SecretString)>,
}

impl FromRequestParts<Shared> for Browser {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        let prefix = prefix(&shared.site);
        let headers = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let keys = headers
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter_map(|(name, value)| {
                let sid = SessionId::parse(name.strip_prefix(prefix)?)?;
                (value.len() == 43).then(|| (sid, SecretString::from(value.to_owned())))
            })
            .collect();
        Ok(Self { keys })
    }
}

impl Browser {
    /// The key for one session. Two cookies with the same name (one set by another site) count as none.
    pub(crate) fn key(&self, sid: &SessionId) -> Option<SecretString> {
        let mut found = self.keys.iter().filter(|(id, _)| id == sid);
        match (found.next(), found.next()) {
            (Some((_, key)), None) => Some(key.clone()),
            _ => None,
        }
    }

    /// All sessions that the browser holds a key for.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        self.keys.iter().map(|(sid, _)| sid.clone()).collect()
    }
}

fn prefix(site: &Site) -> &'static str {
    if site.secure { "__Host-cs_" } else { "cs_" }
}

/// The `Set-Cookie` header that gives a browser its key.
pub(crate) fn set_cookie(
    site: &Site,
    sid: &SessionId,
    key: &SecretString,
    max_age: i64,
) -> Option<HeaderValue> {
    cookie(site, sid, key.expose_secret(), max_age.max(0))
}

/// The `Set-Cookie` header that removes it.
pub(crate) fn clear_cookie(site: &Site, sid: &SessionId) -> Option<HeaderValue> {
    cookie(site, sid, "", 0)
}

fn cookie(site: &Site, sid: &SessionId, value: &str, max_age: i64) -> Option<HeaderValue> {
    let secure = if site.secure { "; Secure" } else { "" };
    let text =
        format!("{}{sid}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}", prefix(site));
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
