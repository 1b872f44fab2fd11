//! What takes a permission away: the one list of it, for a restore, for sessions under way, and for releases.
//!
//! A backup is from before: what was tightened since would be loose again after its restore. The functions here join what
//! the backup has with what there is today, and the result is never looser than today. Where two values have no order (an
//! identity provider, a client, a URL), today's stays.
//!
//! To add something that can be taken away: a row in the list, its field in one of the functions, a case in
//! `cli/tests/data/restore.rs`.

use std::collections::BTreeMap;

use crate::{Agent, AgentStatus, App, AppSettings, ProviderConfig};

macro_rules! tightenings {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $sentence:literal;)*) => {
        /// Something that was taken away.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Tightening { $($(#[$doc])* $name,)* }

        impl Tightening {
            /// The whole list.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word in audit entries and in the command's JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What happened, for the operator.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

tightenings! {
    /// Everything of the app is gone. A session under way ends where it next needs the app.
    AppDeleted = "app_deleted", "the app was deleted";
    /// A release is refused. A session under way goes on: connecting again makes a new grant.
    GrantRevoked = "grant_revoked", "the grant was revoked";
    /// [`crate::Grant::ends_at`]. A release is refused from then on.
    GrantEndsEarlier = "grant_ends_earlier", "the grant ends earlier";
    /// The user connected again and allowed less. A restore cannot carry that over: the backup has the older credential.
    GrantScopes = "grant_scopes", "the user has allowed less since, and the credential of the backup still has it";
    /// A release to the agent is refused. A session under way goes on: the user approves again.
    DelegationRevoked = "delegation_revoked", "the delegation was revoked";
    /// A release to the agent is refused where the token has more.
    DelegationScopes = "delegation_scopes", "the delegation has fewer scopes";
    /// Every call with the key is refused.
    KeyRevoked = "key_revoked", "the API key was revoked";
    /// A session under way for the agent ends; its calls are refused.
    AgentDeleted = "agent_deleted", "the agent was deleted";
    /// A session under way for the agent ends; its calls are refused.
    AgentSuspended = "agent_suspended", "the agent was suspended";
    /// A consent page is shown again; a release to the agent is refused where the token has more.
    AgentScopes = "agent_scopes", "the agent may use fewer scopes";
    /// A session under way ends when it comes to the provider; a release is refused.
    ProviderRemoved = "provider_removed", "the provider was removed";
    /// A consent page is shown again. Grants keep what users approved.
    ProviderScopes = "provider_scopes", "the provider is asked for fewer scopes";
    /// Client, URLs, API hosts and the rest of the recipe. A consent page is shown again; a release goes to today's hosts.
    ProviderChanged = "provider_changed", "the provider has another client or recipe";
    /// User tokens are refused.
    IdentityProviderRemoved = "identity_provider_removed", "the identity provider was removed";
    /// Only user tokens of the new one are believed.
    IdentityProviderChanged = "identity_provider_changed", "the app has another identity provider";
    /// A release without a user token is refused.
    UserTokenRequired = "user_token_required", "a user token is required";
    /// A call without a signature is refused.
    BearerRefused = "bearer_refused", "calls without a signature are refused";
    /// Nothing is minted for the published client. A session under way has its level since the mint (T08).
    LegacyClientsRefused = "legacy_clients_refused", "the published client is refused";
    /// Nothing is minted below it. A session under way has its level since the mint (T08).
    BindingRaised = "binding_raised", "sessions are bound more tightly";
    /// A link without proof is refused. A session that a browser has opened goes on, at its level.
    LinksRefused = "links_refused", "links without proof are refused";
    /// No auth session is started, and none releases a token; the sign-in client's tokens are no user tokens.
    AuthSessionsRefused = "auth_sessions_refused", "auth sessions are refused";
    /// It is no longer the default of `allowed_origin`.
    WebsiteChanged = "website_changed", "the website has another origin";
    /// No session is minted for it any more.
    ReturnOriginRemoved = "return_origin_removed", "an origin of return URLs was removed";
    /// A session is over sooner.
    SessionShortened = "session_shortened", "sessions are shorter";
    /// Fewer sessions are minted.
    QuotaLowered = "quota_lowered", "fewer sessions are minted per minute";
}

/// Joins an app's settings of before with today's.
pub fn settings(before: &App, today: &App) -> (AppSettings, Vec<Tightening>) {
    use Tightening as T;
    let (mut joined, now, mut found) = (before.settings.clone(), &today.settings, Vec::new());
    let mut off = |here: &mut bool, there: bool, what| {
        if *here && !there {
            *here = false;
            found.push(what);
        }
    };
    off(&mut joined.legacy_clients, now.legacy_clients, T::LegacyClientsRefused);
    off(&mut joined.allow_unverified_links, now.allow_unverified_links, T::LinksRefused);
    off(&mut joined.allow_auth_sessions, now.allow_auth_sessions, T::AuthSessionsRefused);
    off(&mut joined.allow_bearer, now.allow_bearer, T::BearerRefused);
    let mut on = |here: &mut bool, there: bool, what| {
        if !*here && there {
            *here = true;
            found.push(what);
        }
    };
    on(&mut joined.require_user_token, now.require_user_token, T::UserTokenRequired);
    found.extend(origins(&mut joined, before, today));
    found.extend(numbers(&mut joined, now));
    found.extend(identity_provider(&mut joined, now));
    // Last: the level depends on what was joined above, and must not fall by it.
    found.extend(binding(&mut joined, before, today));
    (joined, found)
}

fn origins(joined: &mut AppSettings, before: &App, today: &App) -> Vec<Tightening> {
    let mut found = Vec::new();
    if joined.website_url.is_some() && before.website_origin() != today.website_origin() {
        joined.website_url.clone_from(&today.settings.website_url);
        found.push(Tightening::WebsiteChanged);
    }
    let all = joined.return_origins.len();
    joined.return_origins.retain(|origin| today.settings.return_origins.contains(origin));
    if joined.return_origins.len() < all {
        found.push(Tightening::ReturnOriginRemoved);
    }
    found
}

fn numbers(joined: &mut AppSettings, now: &AppSettings) -> Vec<Tightening> {
    let mut found = Vec::new();
    if now.session_ttl < joined.session_ttl {
        joined.session_ttl = now.session_ttl;
        found.push(Tightening::SessionShortened);
    }
    // 0 = no limit.
    let lower = |here: u32, there: u32| there > 0 && (here == 0 || there < here);
    for (here, there) in [
        (&mut joined.sessions_per_minute, now.sessions_per_minute),
        (&mut joined.sessions_per_minute_and_user, now.sessions_per_minute_and_user),
    ] {
        if lower(*here, there) {
            *here = there;
            found.push(Tightening::QuotaLowered);
        }
    }
    found.dedup();
    found
}

fn identity_provider(joined: &mut AppSettings, now: &AppSettings) -> Option<Tightening> {
    let what = match (&joined.identity_provider, &now.identity_provider) {
        (Some(_), None) => Tightening::IdentityProviderRemoved,
        (Some(before), Some(today)) if before != today => Tightening::IdentityProviderChanged,
        _ => return None,
    };
    joined.identity_provider.clone_from(&now.identity_provider);
    Some(what)
}

fn binding(joined: &mut AppSettings, before: &App, today: &App) -> Option<Tightening> {
    let least = before.min_binding().max(today.min_binding());
    let level = App { settings: joined.clone(), ..before.clone() }.min_binding();
    if level < least {
        joined.min_binding = Some(least);
    }
    (today.min_binding() > before.min_binding()).then_some(Tightening::BindingRaised)
}

/// Joins an agent of before with today's.
pub fn agent(before: &Agent, today: &Agent) -> (Agent, Vec<Tightening>) {
    let (mut joined, mut found) = (before.clone(), Vec::new());
    match (before.status, today.status) {
        (AgentStatus::Active | AgentStatus::Inactive, AgentStatus::Revoked) => {
            joined.status = AgentStatus::Revoked;
            found.push(Tightening::AgentDeleted);
        }
        (AgentStatus::Active, AgentStatus::Inactive) => {
            joined.status = AgentStatus::Inactive;
            found.push(Tightening::AgentSuspended);
        }
        _ => {}
    }
    let limit = limits(before.data.scopes.as_ref(), today.data.scopes.as_ref());
    if limit != before.data.scopes {
        joined.data.scopes = limit;
        found.push(Tightening::AgentScopes);
    }
    // A change that was meant for a version of either must not fit.
    joined.version = before.version.max(today.version) + 1;
    (joined, found)
}

type Limits = BTreeMap<String, Vec<String>>;

fn limits(before: Option<&Limits>, today: Option<&Limits>) -> Option<Limits> {
    let (before, today) = match (before, today) {
        (before, None) => return before.cloned(),
        (None, Some(today)) => return Some(today.clone()),
        (Some(before), Some(today)) => (before, today),
    };
    let nothing = Vec::new();
    let joined = before.iter().map(|(provider, scopes)| {
        (provider.clone(), in_both(scopes, today.get(provider).unwrap_or(&nothing)))
    });
    Some(joined.collect())
}

/// Returns those scopes of `before` that there are today, in their order.
pub fn in_both(before: &[String], today: &[String]) -> Vec<String> {
    before.iter().filter(|scope| today.contains(scope)).cloned().collect()
}

/// Joins a provider's configuration of before with today's, which has the same id.
pub fn provider(before: &ProviderConfig, today: &ProviderConfig) -> (ProviderConfig, Vec<Tightening>) {
    let mut found = Vec::new();
    let same = before.config_id == today.config_id
        && before.recipe == today.recipe
        && before.client_id == today.client_id
        && before.client_secret.is_some() == today.client_secret.is_some();
    let mut joined = if same { before.clone() } else { today.clone() };
    if !same {
        found.push(Tightening::ProviderChanged);
    }
    joined.scopes = in_both(&before.scopes, &today.scopes);
    if joined.scopes.len() < before.scopes.len() {
        found.push(Tightening::ProviderScopes);
    }
    (joined, found)
}

#[cfg(test)]
#[path = "tightening_tests.rs"]
mod tests;
