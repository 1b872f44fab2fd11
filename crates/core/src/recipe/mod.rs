//! Facts about a provider: data from the catalog or from the operator.
//!
//! Not here: reading TOML files (`providers`), speaking OAuth (`oauth`), what one app configured (`provider`). To add a
//! fact about a provider, add a documented field here or in the part it belongs to; a quirk is a field with a name, never
//! an `if` on the id.

mod brought;
mod destination;
mod identity;
mod metadata;
mod parameter;
mod refresh;
mod request;
mod revoke;
mod scope;
mod scope_names;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use brought::CallbackNames;
pub use identity::{IdentityPaths, IdentitySource, TokenPaths, Verified};
pub use metadata::{FACTS_MAX, Fact, Facts, fact_text, is_fact_name};
pub use parameter::{BadParameter, Filled, FilledBy, Parameter, ParameterKind};
pub use refresh::Refresh;
pub use request::{ApiAuth, BodyFormat, ClientAuth, Names, UserinfoMethod, UserinfoRequest, with_client_id};
pub use revoke::{Revoke, RevokeAuth, RevokeEnds, RevokeMethod, RevokeToken};
pub use scope::{BadScope, Scope, is_scope_token};
pub use scope_names::ScopeNames;

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
    /// Placeholders in its URLs (`{shop}`). [`Recipe::fill`] fills those of the operator when the provider is configured; a
    /// stored configuration has only those that each customer fills.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,

    /// The `iss` of its id_tokens and, where it sends one, of its authorization responses (RFC 9207).
    #[serde(default)]
    pub issuer: Option<String>,
    /// Other spellings of `iss` that mean the same issuer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuer_aliases: Vec<String>,
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
    /// RFC 7009, with the client authentication of the token endpoint; short for a `[revoke]` with only this URL.
    #[serde(default)]
    pub revoke_url: Option<String>,
    /// Revocation that is not plain RFC 7009. Not together with `revoke_url`.
    #[serde(default)]
    pub revoke: Option<Revoke>,
    /// Keys that sign id_tokens (RFC 7517).
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Algorithms an id_token may be signed with, of [`SIGNATURE_ALGS`]. Never taken from the token.
    #[serde(default = "default_id_token_algs")]
    pub id_token_algs: Vec<String>,
    /// Audiences that an id_token may name besides our client. Others are accepted only if `azp` is our client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_audiences: Vec<String>,

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
    /// Additional parameters of every token request.
    #[serde(default)]
    pub token_params: BTreeMap<String, String>,
    /// Additional headers of every token request, with names in lower case. `{client_id}` in a value is our client's id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_headers: BTreeMap<String, String>,
    /// What the provider calls parameters of ours that have names of their own there.
    #[serde(default, skip_serializing_if = "Names::is_standard")]
    pub names: Names,

    /// Joins scopes in the authorization request.
    #[serde(default = "space")]
    pub scope_separator: String,
    /// The query parameter that carries the scopes (`user_scope` at Slack for user tokens).
    #[serde(default = "scope_parameter")]
    pub scope_parameter: String,
    /// Splits the scopes of a token response: any of these characters.
    #[serde(default = "scope_delimiters")]
    pub granted_scope_delimiters: String,
    /// The scopes asked for when the operator configures none.
    #[serde(default)]
    pub default_scopes: Vec<String>,
    /// What a scope means: words for the consent page, or a table with the words and more.
    #[serde(default)]
    pub scopes: BTreeMap<String, Scope>,
    /// The spellings that mean one scope.
    #[serde(default, skip_serializing_if = "ScopeNames::is_plain")]
    pub scope_names: ScopeNames,
    /// Scopes that the provider grants without being asked, and that allow nothing beyond knowing whose account it is: an
    /// agent needs no approval for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub harmless_scopes: Vec<String>,
    /// Additional parameters of the authorization request (`access_type = "offline"`).
    #[serde(default)]
    pub authorize_params: BTreeMap<String, String>,

    /// What it sends back with the browser, besides the standard's `state`, `code` and `error`.
    #[serde(default, skip_serializing_if = "CallbackNames::is_standard")]
    pub callback: CallbackNames,
    /// Where the token response keeps its fields.
    #[serde(default)]
    pub token: TokenPaths,
    /// Fields beside the token that are kept with the grant: a name, and the JSON pointer into the token response.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Where the account's identity is found.
    #[serde(default)]
    pub identity: IdentityPaths,

    /// Hosts that the credential may be sent to: exact lower-case host, optionally `:port` (none = 443), or
    /// `.example.com` for any host below it (label boundary).
    #[serde(default)]
    pub api_hosts: Vec<String>,
    /// The header in which the provider's API expects the token.
    #[serde(default)]
    pub api_auth: ApiAuth,
    /// Further headers of every call of the provider's API (`Client-Id`). `{client_id}` in a value is our client's id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub api_headers: BTreeMap<String, String>,
    /// Whether and how access tokens are renewed.
    #[serde(default)]
    pub refresh: Refresh,
    /// What its pages do to the popup's opener (Cross-Origin-Opener-Policy).
    #[serde(default)]
    pub coop: Coop,
    /// It shows no sign-in in a browser that is a part of another app (a webview).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses_webviews: bool,
    /// Facts that the operator chose by a flag, as `identity.subject`: what the catalog learns does not replace them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub chosen: BTreeSet<String>,
}

impl Recipe {
    /// Whether `iss` is this provider's issuer, in one of its spellings. A template is not looked at.
    pub fn is_issuer(&self, iss: &str) -> bool {
        self.issuer.as_deref() == Some(iss) || self.issuer_aliases.iter().any(|alias| alias == iss)
    }
}

/// The signature algorithms that are verified: RFC 7518 and, for Ed25519, its names in RFC 8037 and RFC 9864. None uses a
/// shared secret. ES512 (P-521) is missing because the library that verifies does not know it.
pub const SIGNATURE_ALGS: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];

/// How a recipe's facts were obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Defined by the operator.
    #[default]
    Operator,
    /// Read in the provider's public documentation, except what the recipe's `note` names.
    Read,
    /// Seen working against the provider itself.
    Tried,
    /// Facts that the flow needs are from memory and were not verified; the recipe's `note` says which were read.
    Recalled,
}

/// Whether the provider's pages sever the opener. Decides what a closed popup means (protocol 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coop {
    /// Not known: a closed popup says nothing while the user is at the provider.
    #[default]
    Unknown,
    /// Checked: its pages do not sever the opener, so a popup that looks closed is closed.
    Keeps,
    /// Its pages sever the opener.
    Severs,
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_a_recipe_leaves_out_is_as_the_standards_have_it() {
        let least =
            serde_json::json!({"id":"x","name":"X","authorize_url":"https://x/a","token_url":"https://x/t"});
        let recipe: Recipe = serde_json::from_value(least).expect("a recipe needs no more");
        assert!(recipe.pkce);
        assert_eq!((recipe.scope_separator.as_str(), recipe.scope_parameter.as_str()), (" ", "scope"));
        assert_eq!(recipe.granted_scope_delimiters, " ,");
        assert_eq!(recipe.id_token_algs, ["RS256", "ES256", "PS256", "EdDSA"]);
    }
}
