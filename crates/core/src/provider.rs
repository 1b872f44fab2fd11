//! A provider: what is true of it (the recipe, data from the catalog or the operator) and what one app
//! configured of it (the configuration, with its own callback path).
//!
//! Not here: reading TOML files (`providers`), speaking OAuth (`oauth`). To add a fact about a provider, add a
//! documented field to [`Recipe`]; a quirk is a field with a name, never an `if` on the id.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AppId, Changed, ConfigId, Micros, StoreError};

/// Everything the flow needs to know about a provider. The TOML of `providers/catalog/*.toml` and of
/// `alter provider set --spec FILE` is this structure, field for field; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// `[a-z0-9-]{1,50}`: what apps write in `allowed_providers`.
    pub id: String,
    /// What people read: "Google".
    pub name: String,
    /// How the facts were obtained: `read` in the provider's documentation, `tried` against the provider, `recalled`
    /// from memory, or defined by the `operator`.
    #[serde(default)]
    pub status: Status,
    /// Where the facts were read (URLs).
    #[serde(default)]
    pub source: Vec<String>,
    /// The day the source was read, `YYYY-MM-DD`.
    #[serde(default)]
    pub checked: Option<String>,
    /// What a reader should doubt: which facts were read and which were not, in a sentence or two.
    #[serde(default)]
    pub note: Option<String>,
    /// One word for lists of providers: "calendar", "code", "crm".
    #[serde(default)]
    pub category: Option<String>,
    /// What it is, in one sentence, for lists of providers.
    #[serde(default)]
    pub description: Option<String>,
    /// Placeholders of its hosts (`{shop}`) that differ per configuration and are filled when an operator configures
    /// it, by [`Recipe::fill`]. Empty in a stored configuration.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,

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
    /// How `userinfo_url` is asked, where that is not a plain GET.
    #[serde(default)]
    pub userinfo: UserinfoRequest,
    /// RFC 7009, with the client authentication of the token endpoint; short for a `[revoke]` of nothing but this URL.
    #[serde(default)]
    pub revoke_url: Option<String>,
    /// Revocation that is no plain RFC 7009. Not together with `revoke_url`.
    #[serde(default)]
    pub revoke: Option<Revoke>,
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
    /// How the body of a token request is written. RFC 6749 says `form`.
    #[serde(default)]
    pub token_body: BodyFormat,
    /// Further parameters of every token request.
    #[serde(default)]
    pub token_params: BTreeMap<String, String>,

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
    /// What a scope means: words for the consent page, or a table with the words and more.
    #[serde(default)]
    pub scopes: BTreeMap<String, Scope>,
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
    /// The header in which its API wants the token.
    #[serde(default)]
    pub api_auth: ApiAuth,
    /// Whether and how access tokens are renewed.
    #[serde(default)]
    pub refresh: Refresh,
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
    /// Read in the provider's public documentation, but for what the recipe's `note` names.
    Read,
    /// Seen working against the provider itself.
    Tried,
    /// Facts that the flow needs are from memory and were not verified; the recipe's `note` says which were read.
    Recalled,
}

/// A placeholder of a recipe's hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What the operator has to give, in words.
    pub description: String,
    /// A value that could be right: "my-store".
    pub example: String,
}

/// How a request body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// One JSON object of strings.
    Json,
}

/// The request for `userinfo_url`. The token goes where [`ApiAuth`] says, never into the URL (T86).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserinfoRequest {
    /// Default `get`.
    pub method: UserinfoMethod,
    /// Further headers, with names in lower case (`notion-version`). Not the ones that the client sets itself.
    pub headers: BTreeMap<String, String>,
    /// The body of a POST, JSON, as it is sent (a GraphQL query). Without it a POST has no body and no content type.
    pub body: Option<String>,
}

/// HTTP methods for userinfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserinfoMethod {
    /// Reads.
    #[default]
    Get,
    /// Reads too, at providers whose whole API is POST.
    Post,
}

/// The header that carries an access token to the provider's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiAuth {
    /// Default `Authorization`.
    pub header: String,
    /// Its value, `{token}` once. Default `Bearer {token}`.
    pub format: String,
}

impl Default for ApiAuth {
    fn default() -> Self {
        Self { header: "Authorization".into(), format: "Bearer {token}".into() }
    }
}

/// Whether and how access tokens are renewed. `None` means that it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Refresh {
    /// Whether refresh tokens are issued (with the scopes and parameters of this recipe).
    pub supported: Option<bool>,
    /// Whether a refresh answers a new refresh token and ends the old one.
    pub rotates: Option<bool>,
    /// Seconds for which the old refresh token still works after a rotation; 0: not at all.
    pub reuse_window_seconds: Option<u32>,
    /// Days after which a refresh token that was not used ends.
    pub idle_expiry_days: Option<u32>,
    /// Where a refresh is asked for, where that is not `token_url`.
    pub url: Option<String>,
}

/// How a grant is ended at the provider. Every default together is RFC 7009.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// Where. `{client_id}` in its path stands for our client's id, percent-encoded.
    pub url: String,
    /// Default `post`.
    #[serde(default)]
    pub method: RevokeMethod,
    /// Who the request authenticates as. Default `client`.
    #[serde(default)]
    pub auth: RevokeAuth,
    /// The client authentication, where it is not the token endpoint's.
    #[serde(default)]
    pub client_auth: Option<ClientAuth>,
    /// Which token is to be ended. Default `strongest`.
    #[serde(default)]
    pub token: RevokeToken,
    /// How the body is written. Default `form`.
    #[serde(default)]
    pub body: BodyFormat,
    /// The body's field for the token. Default `token`; empty: the body does not have it (the header has, or nothing
    /// needs it).
    #[serde(default = "token_field")]
    pub token_field: String,
    /// Whether to send `token_type_hint` (RFC 7009 section 2.1). Default true.
    #[serde(default = "yes")]
    pub hint: bool,
    /// Further fields of the body. `{client_id}` in a value is our client's id, `{subject}` the grant's subject.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// What it ends. Default `grant`.
    #[serde(default)]
    pub ends: RevokeEnds,
}

/// HTTP methods for revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeMethod {
    /// As RFC 7009.
    #[default]
    Post,
    /// The grant is a resource (GitHub).
    Delete,
}

/// Who a revocation authenticates as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeAuth {
    /// Our client, as at the token endpoint.
    #[default]
    Client,
    /// Whoever holds the token: it goes into the header of [`ApiAuth`] (Slack, Dropbox).
    Token,
}

/// Which token a revocation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeToken {
    /// The refresh token where there is one, else the access token.
    #[default]
    Strongest,
    /// The access token.
    Access,
    /// The refresh token; nothing can be revoked without one.
    Refresh,
}

/// What is over after a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeEnds {
    /// Everything that the user gave our client.
    #[default]
    Grant,
    /// The named token and what was made from it; the account's other grants live on.
    Token,
}

impl Revoke {
    /// RFC 7009 at this URL.
    pub fn rfc7009(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: RevokeMethod::default(),
            auth: RevokeAuth::default(),
            client_auth: None,
            token: RevokeToken::default(),
            body: BodyFormat::default(),
            token_field: token_field(),
            hint: true,
            params: BTreeMap::new(),
            ends: RevokeEnds::default(),
        }
    }
}

/// What a scope allows, and how it stands to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ScopeForm")]
pub struct Scope {
    /// Words for the consent page.
    pub description: String,
    /// The provider refuses, or the account cannot be told, without it.
    pub required: bool,
    /// Scopes without which this one is refused.
    pub requires: Vec<String>,
}

impl From<&str> for Scope {
    fn from(words: &str) -> Self {
        Self { description: words.into(), required: false, requires: Vec::new() }
    }
}

/// Words alone, as recipes had them first, or the table.
#[derive(Deserialize)]
#[serde(untagged)]
enum ScopeForm {
    Words(String),
    Table(ScopeTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeTable {
    description: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    requires: Vec<String>,
}

impl From<ScopeForm> for Scope {
    fn from(form: ScopeForm) -> Self {
        match form {
            ScopeForm::Words(words) => words.as_str().into(),
            ScopeForm::Table(ScopeTable { description, required, requires }) => {
                Self { description, required, requires }
            }
        }
    }
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

/// Whether the provider's pages sever the opener. Decides what a closed popup means (protocol 5).
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
    /// What `subject` is unique within, where that is not the whole provider (the workspace's id): put before it,
    /// joined by `/`. All of them must be there.
    pub subject_within: Vec<String>,
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
            subject_within: Vec::new(),
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

fn token_field() -> String {
    "token".into()
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
        let own = self.scopes.get(scope).map(|known| known.description.as_str());
        own.or_else(|| {
            standard_words(scope).filter(|_| self.issuer.is_some() || self.issuer_template.is_some())
        })
    }

    /// How a grant is ended at the provider, whichever way the recipe says it; `None` where it offers nothing.
    pub fn revocation(&self) -> Option<Revoke> {
        self.revoke.clone().or_else(|| self.revoke_url.as_deref().map(Revoke::rfc7009))
    }

    /// Puts a value for a placeholder into every URL and host that has it, and strikes the parameter off.
    ///
    /// The value is one host label (RFC 1123) and nothing else: no dot, no slash, no `@`. It can choose which of the
    /// provider's hosts is meant, and never a host of somebody else.
    ///
    /// # Errors
    /// [`BadParameter`]; nothing was changed.
    pub fn fill(&mut self, name: &str, value: &str) -> Result<(), BadParameter> {
        let Some(parameter) = self.parameters.get(name) else {
            return Err(BadParameter::Unknown(name.to_owned()));
        };
        if !is_host_label(value) {
            let example = parameter.example.clone();
            return Err(BadParameter::Value { name: name.to_owned(), example });
        }
        self.parameters.remove(name);
        let placeholder = format!("{{{name}}}");
        self.placed().for_each(|text| *text = text.replace(&placeholder, value));
        Ok(())
    }

    /// Where placeholders may stand.
    fn placed(&mut self) -> impl Iterator<Item = &mut String> {
        [&mut self.authorize_url, &mut self.token_url]
            .into_iter()
            .chain(self.userinfo_url.as_mut())
            .chain(self.revoke_url.as_mut())
            .chain(self.revoke.as_mut().map(|revoke| &mut revoke.url))
            .chain(self.refresh.url.as_mut())
            .chain(self.api_hosts.iter_mut())
    }
}

/// Why a placeholder was not filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameter {
    /// The recipe has no such placeholder, or it was filled already.
    #[error("the provider has no parameter \"{0}\"")]
    Unknown(String),
    /// Not one host label.
    #[error(
        "the parameter \"{name}\" must be 1 to 63 of the characters a-z, 0-9 and `-`, without a `-` at either end, like \
         \"{example}\"; no dots, no URL"
    )]
    Value {
        /// Which.
        name: String,
        /// One that would do.
        example: String,
    },
}

/// One label of a host name, in lower case. No punycode: nobody reads what it stands for.
fn is_host_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.starts_with("xn--")
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
    /// Provider ids of all of an app, in their order. Minting needs no more, and reading seventeen recipes beside made a mint
    /// two thirds dearer.
    async fn list_provider_ids(&self, app: AppId) -> Result<Vec<String>, StoreError>;
    /// All of an app, by provider id.
    async fn list_providers(&self, app: AppId) -> Result<Vec<ProviderConfig>, StoreError>;
    /// Removes it.
    async fn delete_provider(&self, app: AppId, provider: &str) -> Result<Changed, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Recipe {
        serde_json::from_value(serde_json::json!({"id": "shop", "name": "Shop",
            "authorize_url": "https://{shop}.shops.example/authorize", "token_url": "https://{shop}.shops.example/token",
            "userinfo_url": "https://{shop}.shops.example/shop.json", "api_hosts": ["{shop}.shops.example"],
            "parameters": {"shop": {"description": "The shop", "example": "my-store"}}}))
        .expect("a recipe")
    }

    #[test]
    fn t81_a_placeholder_takes_one_host_label_and_nothing_that_could_be_another_host() {
        let mut good = shop();
        good.fill("shop", "my-store").expect("a label");
        assert_eq!(good.token_url, "https://my-store.shops.example/token");
        assert_eq!(good.userinfo_url.as_deref(), Some("https://my-store.shops.example/shop.json"));
        assert!(good.parameters.is_empty());
        assert!(good.api_url("https://my-store.shops.example/x").is_some());
        assert!(good.api_url("https://other.shops.example/x").is_none());
        assert_eq!(good.fill("shop", "again"), Err(BadParameter::Unknown("shop".into())));
        let long = "a".repeat(64);
        for bad in [
            "",
            "evil.example",
            "evil.example/",
            "evil.example#",
            "evil.example?x=",
            "user@evil",
            "a:443",
            "a/b",
            "a\\b",
            "-a",
            "a-",
            "My-Store",
            "a b",
            "a\n",
            "{shop}",
            "bücher",
            "xn--bcher-kva",
            "%2e",
            &long,
        ] {
            let mut recipe = shop();
            assert!(matches!(recipe.fill("shop", bad), Err(BadParameter::Value { .. })), "{bad:?}");
            assert_eq!(recipe, shop(), "nothing is changed");
        }
    }

    #[test]
    fn a_host_whose_placeholder_was_not_filled_is_nowhere() {
        assert!(shop().api_url("https://my-store.shops.example/x").is_none());
    }

    #[test]
    fn a_recipe_stored_by_an_older_version_is_read_as_it_was_meant() {
        let old = serde_json::json!({"id":"x","name":"X","authorize_url":"https://x/a","token_url":"https://x/t",
            "revoke_url":"https://x/r","scopes":{"read":"Read things"}});
        let recipe: Recipe = serde_json::from_value(old).expect("every new field has a default");
        assert_eq!(recipe.scopes["read"], Scope::from("Read things"));
        assert_eq!(recipe.revocation(), Some(Revoke::rfc7009("https://x/r")));
        assert_eq!((recipe.token_body, recipe.userinfo.method), (BodyFormat::Form, UserinfoMethod::Get));
        let again: Recipe =
            serde_json::from_value(serde_json::to_value(&recipe).expect("JSON")).expect("same");
        assert_eq!(again, recipe);
        let unknown = serde_json::json!({"description": "Read things", "requird": true});
        assert!(serde_json::from_value::<Scope>(unknown).is_err(), "unknown keys stay refused");
    }

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
