//! A record of the requests that arrived, for assertions ("the evil token endpoint saw no code").

use axum::http::{HeaderMap, Method, Uri};

/// How many requests are kept per endpoint; older ones are dropped, so that a demo that is left running does not grow.
const KEPT: usize = 10_000;

/// One request as it arrived, before anything judged it.
///
/// It holds credentials in clear, because tests assert on them; its `Debug` shows only their names.
#[derive(Clone, Default)]
pub struct Recorded {
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The decoded query, in order, duplicates included.
    pub query: Vec<(String, String)>,
    /// The headers, with names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The decoded fields of a form-encoded body, in order, or the string members of a JSON object; empty for any other
    /// content type.
    pub form: Vec<(String, String)>,
    /// The whole body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Recorded {
    pub(crate) fn new(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Self {
        let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        Self {
            method: method.to_string(),
            path: uri.path().to_owned(),
            query: pairs(uri.query().unwrap_or_default().as_bytes()),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect(),
            form: if is_form { pairs(body) } else { json_fields(kind, body) },
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }

    /// Returns the first value of a form field.
    pub fn field(&self, name: &str) -> Option<&str> {
        first(&self.form, name)
    }

    /// Returns the first value of a query parameter.
    pub fn query_param(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// Returns the first value of a header. `name` must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    pub fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }
}

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |list: &[(String, String)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("Recorded")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &names(&self.query))
            .field("form", &names(&self.form))
            .field("headers", &names(&self.headers))
            .finish_non_exhaustive()
    }
}

/// The requests that have arrived, by endpoint, oldest first; the newest 10,000 of each.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Reads of either metadata document.
    pub discovery: Vec<Recorded>,
    /// Reads of the key set.
    pub jwks: Vec<Recorded>,
    pub authorize: Vec<Recorded>,
    /// Decisions sent from the consent page.
    pub decide: Vec<Recorded>,
    /// Token requests of every `grant_type`.
    pub token: Vec<Recorded>,
    /// Requests at the refresh endpoint of its own.
    pub refresh: Vec<Recorded>,
    pub userinfo: Vec<Recorded>,
    /// Calls of anything under `/api/`.
    pub api: Vec<Recorded>,
    pub revoke: Vec<Recorded>,
    /// Everything else, wrong paths included.
    pub other: Vec<Recorded>,
}

impl Seen {
    /// Returns the token requests with this `grant_type`.
    pub fn token_by_grant_type(&self, grant_type: &str) -> Vec<&Recorded> {
        self.token.iter().filter(|request| request.field("grant_type") == Some(grant_type)).collect()
    }

    pub(crate) fn push(&mut self, request: Recorded) {
        let list = match request.path.as_str() {
            path if path.starts_with("/.well-known/") => &mut self.discovery,
            "/jwks" => &mut self.jwks,
            "/authorize" => &mut self.authorize,
            "/authorize/decide" => &mut self.decide,
            "/token" => &mut self.token,
            "/refresh" => &mut self.refresh,
            "/userinfo" => &mut self.userinfo,
            "/revoke" => &mut self.revoke,
            path if path.starts_with("/api/") => &mut self.api,
            _ => &mut self.other,
        };
        if list.len() == KEPT {
            list.remove(0);
        }
        list.push(request);
    }
}

/// Returns the string members of a JSON object, for clients that send JSON instead of a form.
pub(crate) fn json_fields(kind: &str, body: &[u8]) -> Vec<(String, String)> {
    let object = kind.starts_with("application/json").then(|| serde_json::from_slice(body).ok()).flatten();
    let members = object.unwrap_or(serde_json::Map::new());
    let text = |(name, value): (String, serde_json::Value)| Some((name, value.as_str()?.to_owned()));
    members.into_iter().filter_map(text).collect()
}

pub(crate) fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn first<'a>(list: &'a [(String, String)], name: &str) -> Option<&'a str> {
    list.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
