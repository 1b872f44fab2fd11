//! A provider: what is true of it (the recipe, data from the catalogue or the operator) and what one app
//! configured of it (the configuration, with its own callback path).
//!
//! Not here: reading TOML files (`providers`), speaking OAuth (`oauth`). To add a fact about a provider, add a
//! documented field to [`Recipe`]; a quirk is a field with a name, never an `if` on the id.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AppId, ConfigId, Micros, StoreError};

/// Everything the flow needs to know about a provider. The TOML of `providers/catalog/*.toml` and of
/// `alter provider set --spec FILE` is this structure, field for field; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// `[a-z0-9-]{1,50}`: what apps write in `allowed_providers`.
    pub id: String,
    /// What people read: "Google".
    pub name: String,
    /// `read`: taken from the provider's documentation; `tried`: seen working; `operator`: defined by hand.
    #[serde(default)]
    pub status: Status,
    /// Where the facts were read (URLs).
    #[serde(default)]
    pub source: Vec<String>,
    /// The day the source was read, `YYYY-MM-DD`.
    #[serde(default)]
    pub checked: Option<String>,

    /// The `iss` of its id_tokens and, where it sends one, of its authorization responses (RFC 9207).
    #[serde(default)]
    pub issuer: Option<String>,
    /// An issuer that differs per tenant: `{tenant}` stands for the id_token's `tid` claim (Microsoft Entra).
    /// Used instead of `issuer` when checking id_tokens.
    #[serde(default)]
    pub issuer_template: Option<String>,
    /// RFC 6749 section 3.1.
    pub authorize_url: String,
    /// RFC 6749 section 3.2.
    pub token_url: String,
    /// OIDC userinfo, or whichever endpoint tells whose account it is.
    #[serde(default)]
    pub userinfo_url: Option<String>,
    /// RFC 7009.
    #[serde(default)]
    pub revoke_url: Option<String>,
    /// Keys that sign id_tokens (RFC 7517).
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Algorithms an id_token may be signed with. Never taken from the token.
    #[serde(default = "default_id_token_algs")]
    pub id_token_algs: Vec<String>,

    /// PKCE S256 (RFC 7636). False only where the provider breaks on it.
    #[serde(default = "yes")]
    pub pkce: bool,
    /// It advertises `authorization_response_iss_parameter_supported` (RFC 9207): a missing `iss` aborts.
    #[serde(default)]
    pub iss_parameter: bool,
    /// How our client authenticates at the token endpoint.
    #[serde(default)]
    pub client_auth: ClientAuth,

    /// Joins scopes in the authorization request.
    #[serde(default = "space")]
    pub scope_separator: String,
    /// The query parameter that carries the scopes (`user_scope` at Slack for user tokens).
    #[serde(default = "scope_parameter")]
    pub scope_parameter: String,
    /// Splits the scopes of a token response: any of these characters.
    #[serde(default = "scope_delimiters")]
    pub granted_scope_delimiters: String,
    /// Asked for when neither the operator nor the session says otherwise.
    #[serde(default)]
    pub default_scopes: Vec<String>,
    /// What a scope means, in words for the consent page.
    #[serde(default)]
    pub scopes: BTreeMap<String, String>,
    /// Further parameters of the authorization request (`access_type = "offline"`).
    #[serde(default)]
    pub authorize_params: BTreeMap<String, String>,

    /// Where the token response keeps its fields.
    #[serde(default)]
    pub token: TokenPaths,
    /// Where the account's identity is found.
    #[serde(default)]
    pub identity: IdentityPaths,

    /// Hosts that the credential may be sent to: exact lower-case host, optionally `:port` (none = 443), or
    /// `.example.com` for any host below it (label boundary).
    #[serde(default)]
    pub api_hosts: Vec<String>,
    /// What its pages do to the popup's opener (Cross-Origin-Opener-Policy).
    #[serde(default)]
    pub coop: Coop,
}

/// How a recipe's facts were obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Defined by the operator.
    #[default]
    Operator,
    /// Read in the provider's public documentation.
    Read,
    /// Seen working against the provider itself.
    Tried,
}

/// Client authentication at the token endpoint (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// `Authorization: Basic`, both parts form-encoded first.
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the body.
    Post,
    /// A public client: `client_id` alone.
    None,
}

/// Whether the provider's pages sever the opener. Decides what a closed popup means (protocol section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coop {
    /// Not known: a closed popup says nothing while the user is there.
    #[default]
    Unknown,
    /// Checked: its pages do not sever. A closed popup is a closed popup.
    Keeps,
    /// Its pages sever the opener.
    Severs,
}

/// JSON pointers (RFC 6901) into the token response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenPaths {
    /// Default `/access_token`.
    pub access_token: String,
    /// Default `/refresh_token`.
    pub refresh_token: String,
    /// Seconds, number or string. Default `/expires_in`.
    pub expires_in: String,
    /// String or array. Default `/scope`.
    pub scope: String,
    /// Default `/token_type`.
    pub token_type: String,
    /// Default `/id_token`.
    pub id_token: String,
    /// An error code in a 200 answer. Default `/error`.
    pub error: String,
    /// Its description. Default `/error_description`.
    pub error_description: String,
    /// A boolean that is `false` on failure (`/ok` at Slack).
    pub ok: Option<String>,
}

impl Default for TokenPaths {
    fn default() -> Self {
        let path = |name: &str| format!("/{name}");
        Self {
            access_token: path("access_token"),
            refresh_token: path("refresh_token"),
            expires_in: path("expires_in"),
            scope: path("scope"),
            token_type: path("token_type"),
            id_token: path("id_token"),
            error: path("error"),
            error_description: path("error_description"),
            ok: None,
        }
    }
}

/// JSON pointers into the id_token's claims, the userinfo answer or the token response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityPaths {
    /// Which document tells whose account it is.
    pub from: IdentitySource,
    /// The provider's stable id of the account (string or number). Default `/sub`.
    pub subject: String,
    /// What the user knows the account by; the first that is a non-empty string. Default `/email`,
    /// `/preferred_username`, `/sub`.
    pub account: Vec<String>,
    /// A display name; the first that is there. Default `/name`.
    pub display_name: Vec<String>,
}

impl Default for IdentityPaths {
    fn default() -> Self {
        Self {
            from: IdentitySource::default(),
            subject: "/sub".into(),
            account: vec!["/email".into(), "/preferred_username".into(), "/sub".into()],
            display_name: vec!["/name".into()],
        }
    }
}

/// Which document carries the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentitySource {
    /// The verified id_token; fields that it lacks are looked up in userinfo where there is one.
    #[default]
    IdToken,
    /// The userinfo answer alone.
    Userinfo,
    /// The token response itself.
    TokenResponse,
}

fn yes() -> bool {
    true
}
fn space() -> String {
    " ".into()
}
fn scope_parameter() -> String {
    "scope".into()
}
fn scope_delimiters() -> String {
    " ,".into()
}
fn default_id_token_algs() -> Vec<String> {
    ["RS256", "ES256", "PS256", "EdDSA"].map(String::from).into()
}

impl Recipe {
    /// The URL that a caller wrote, if a credential of this provider may be sent there (T81): as
    /// [`Self::allows_api_url`], and the text itself has one reading. Other parsers (the published client's among them)
    /// dial another host than a browser's parser for `https://api.example\\@evil.example/`.
    pub fn api_url(&self, text: &str) -> Option<url::Url> {
        url::Url::parse(text).ok().filter(|url| self.allows_api_url(url) && reads_one_way(text, url))
    }

    /// Whether a credential of this provider may be sent to `url` (T81): https (http only where an API host is a
    /// loopback address), no userinfo, and host and port on the list. Compares the parsed value, the one dialled.
    fn allows_api_url(&self, url: &url::Url) -> bool {
        if !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        let scheme_ok =
            url.scheme() == "https" || (url.scheme() == "http" && crate::origin::is_loopback(host));
        scheme_ok && self.api_hosts.iter().any(|entry| host_matches(entry, host, port, url.scheme()))
    }

    /// The words for a scope: the recipe's own, or at an OpenID provider those of the standard's scopes.
    pub fn scope_words(&self, scope: &str) -> Option<&str> {
        let own = self.scopes.get(scope).map(String::as_str);
        own.or_else(|| {
            standard_words(scope).filter(|_| self.issuer.is_some() || self.issuer_template.is_some())
        })
    }
}

/// OpenID Connect Core sections 3.1.2.1, 5.4 and 11.
fn standard_words(scope: &str) -> Option<&'static str> {
    Some(match scope {
        "openid" => "Know which account this is",
        "profile" => "See your name and your profile",
        "email" => "See your e-mail address",
        "address" => "See your postal address",
        "phone" => "See your telephone number",
        "offline_access" => "Keep working while you are away",
        _ => return None,
    })
}

/// Visible ASCII, no backslash, the same scheme and authority as the parsed URL (a default port may be written out), and
/// no dot segments that one reader resolves and another sends.
fn reads_one_way(text: &str, url: &url::Url) -> bool {
    let head = &url[..url::Position::BeforePath];
    let Some(written) = text.get(..head.len()) else { return false };
    let default_port = if url.scheme() == "http" { ":80" } else { ":443" };
    let rest = &text[head.len()..];
    let rest = rest.strip_prefix(default_port).filter(|_| url.port().is_none()).unwrap_or(rest);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let dots =
        path.split('/').any(|s| matches!(s.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."));
    text.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'\\')
        && written.eq_ignore_ascii_case(head)
        && (rest.is_empty() || rest.starts_with(['/', '?', '#']))
        && !dots
}

fn host_matches(entry: &str, host: &str, port: u16, scheme: &str) -> bool {
    let (entry_host, entry_port) = match entry.rsplit_once(':') {
        Some((name, digits)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            (name, digits.parse::<u16>().ok())
        }
        _ => (entry, Some(if scheme == "http" { 80 } else { 443 })),
    };
    if entry_port != Some(port) {
        return false;
    }
    match entry_host.strip_prefix('.') {
        Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => host == entry_host,
    }
}

/// One provider as one app uses it. The callback path `/oauth/callback/{config_id}` is its own (T09).
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Globally unique, `pc_` and 26 characters; kept when the operator configures the provider again.
    pub config_id: ConfigId,
    /// Whose it is.
    pub app_id: AppId,
    /// The facts, pinned at configuration: a discovery document that changes later changes nothing (T20).
    pub recipe: Recipe,
    /// Public identifier of our client at the provider.
    pub client_id: String,
    /// Sealed; `None` for a public client.
    pub client_secret: Option<Vec<u8>>,
    /// Counts the secrets that this row has held: part of the sealed value's place.
    pub generation: u64,
    /// Asked for in every flow.
    pub scopes: Vec<String>,
    /// When it was configured first.
    pub created_at: Micros,
    /// When it was configured last.
    pub updated_at: Micros,
}

/// What storage must be able to do for provider configurations.
#[async_trait]
pub trait ProviderStore: Send + Sync {
    /// Inserts, or replaces everything but `config_id` and `created_at` of the row with the same app and provider
    /// id. Answers the row as stored.
    async fn save_provider(&self, config: ProviderConfig) -> Result<ProviderConfig, StoreError>;
    /// By its id, of any app: the callback knows nothing else.
    async fn get_provider(&self, config_id: &ConfigId) -> Result<Option<ProviderConfig>, StoreError>;
    /// All of an app, by provider id.
    async fn list_providers(&self, app: AppId) -> Result<Vec<ProviderConfig>, StoreError>;
    /// Removes it; `false` when there was none.
    async fn delete_provider(&self, app: AppId, provider: &str) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(hosts: &[&str]) -> Recipe {
        let text = serde_json::json!({"id":"x","name":"X","authorize_url":"https://x/a","token_url":"https://x/t","api_hosts":hosts});
        serde_json::from_value(text).expect("a recipe needs no more than this")
    }

    #[test]
    fn standard_scopes_have_words_at_openid_providers_and_the_recipes_own_words_win() {
        let mut r = recipe(&[]);
        assert_eq!(r.scope_words("email"), None, "another protocol may mean anything by it");
        r.issuer = Some("https://x".into());
        assert_eq!(r.scope_words("email"), Some("See your e-mail address"));
        assert_eq!(r.scope_words("notes.read"), None);
        r.scopes.insert("email".into(), "Know your address".into());
        assert_eq!(r.scope_words("email"), Some("Know your address"));
    }

    #[test]
    fn t81_a_credential_goes_to_the_providers_api_hosts_alone() {
        let r = recipe(&["api.provider.com", ".wild.example", "127.0.0.1:9000"]);
        let ok = |u: &str| r.api_url(u).is_some();
        for good in [
            "https://api.provider.com",
            "https://api.provider.com?x=1",
            "https://api.provider.com:443",
            "https://api.provider.com/v1",
            "https://api.provider.com/v1?next=../x#y",
            "https://api.provider.com/a@b:c",
            "https://API.provider.com:443/v1",
            "https://a.wild.example/",
            "http://127.0.0.1:9000/me",
        ] {
            assert!(ok(good), "{good}");
        }
        for bad in [
            "http://api.provider.com/v1",
            "https://api.provider.com.evil/v1",
            "https://api.provider.com@evil/v1",
            "https://evil\\@api.provider.com/",
            "https://evil#@api.provider.com/",
            "https://api.provider.com:8443/",
            "https://user@api.provider.com/",
            "https://api.provider.com./",
            "https://wild.example/",
            "https://evilwild.example/",
            "https://a.wild.example.evil/",
            "https://xn--api-provider-com/",
            "http://127.0.0.1:9001/me",
            "https://127.0.0.2:9000/",
            "https://api.provider.com\\@evil.example/x",
            "https://api.provider.com\\.evil.example/x",
            "https:api.provider.com/",
            "https:/api.provider.com/",
            "https:\\\\api.provider.com/",
            "https:///api.provider.com/",
            " https://api.provider.com/",
            "https://api.provider.com/ ",
            "https://api.provider.com/\tx",
            "https://api.pro\nvider.com/",
            "https://api.provider.com:0443/",
            "https://api.provider.com:/",
            "https://@api.provider.com/",
            "https://api%2Eprovider.com/",
            "https://api.provider.com/v1/../admin",
            "https://api.provider.com/v1/%2e%2E/admin",
            "https://api.provider.com/./v1",
            "ftp://api.provider.com/",
            "data:text/plain,x",
        ] {
            assert!(!ok(bad), "{bad}");
        }
    }
}
