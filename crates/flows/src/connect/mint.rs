//! Minting a session (S1-S8): the app's backend asks, and gets a token to pass to the browser.
//!
//! 1. The key is the app's own, the call is no replay, and the app's share of this minute is not used up (T56).
//! 2. The session's binding level is L3 for a session with a challenge, else the app's.
//! 3. The origin is given, or is the app's website; a session for a link needs none.
//! 4. The return URL is registered.
//! 5. The providers are configured.
//! 6. The user token is valid, the user's share is not used up, and the agent is the app's and active. At L3 there is a user
//!    or a challenge.
//! 7. Store session and nonce in one commit.

use std::collections::BTreeMap;

use alter_core::{
    Agent, AgentId, App, CallNonce, Filled, Hash, Level, Micros, Origin, ReturnUrl, Session, SessionAgent,
    SessionData, SessionId, SessionUser, origin::OriginError, provider::SIGN_IN, secret, token,
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    AppKeyRequired, Caller, Flows, UserTokenError,
    callers::caller::{Refusal, Spent, ours},
    callers::user_token::ensure_user,
    fault::FlowFault,
    quota::{Quota, Taken},
};

/// What the backend asks for.
#[derive(Debug, Default)]
pub struct MintRequest {
    /// Provider ids; `None` = all that are configured.
    pub allowed_providers: Option<Vec<String>>,
    /// The one origin that may read the result; `None` = the origin of the app's website.
    pub allowed_origin: Option<String>,
    /// Where a redirect would return to.
    pub return_url: Option<String>,
    /// The user who will own the grants; `None` = the app itself.
    pub user_token: Option<SecretString>,
    /// The id or name of the agent that the grants will be delegated to.
    pub agent: Option<String>,
    /// The label that the grants will have.
    pub label: Option<String>,
    /// What the app fills in for placeholders of its providers' hosts, by provider id.
    pub connection_config: BTreeMap<String, Filled>,
    /// base64url of the SHA-256 of the verifier by which the app's backend will confirm.
    pub code_challenge: Option<String>,
    /// `S256`, with every challenge.
    pub code_challenge_method: Option<String>,
}

/// A session just minted.
#[derive(Debug)]
pub struct Minted {
    /// The session token, shown only once.
    pub token: SecretString,
    /// `{public_url}/sdk/oauth/connect#session={token}`; a secret because it contains the token.
    pub connect_url: SecretString,
    /// The session can be claimed until then.
    pub expires_at: Micros,
    /// Seconds until `expires_at`.
    pub expires_in: u32,
    /// The session has only one provider, so there is no picker.
    pub single_provider: bool,
}

/// Why no session was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    /// The app, or the user, has used up its share of this minute.
    #[error("too many sessions: try again in {retry_after} s")]
    TooMany {
        quota: Quota,
        /// Sessions per minute.
        limit: u32,
        /// Seconds.
        retry_after: u32,
    },
    /// The request names an agent but no user, so nobody could delegate.
    #[error("agent needs user_token: only a user can delegate")]
    AgentRequiresUserToken,
    #[error("the app has no active agent with this id or name")]
    AgentNotFound,
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// The challenge is no hash of a verifier, or its method is not ours; the caller is shown this sentence.
    #[error("{0}")]
    BadChallenge(&'static str),
    /// The app has the last word, and could prove nothing.
    #[error("a session at L3 needs user_token or code_challenge")]
    ProofRequired,
    /// A session at L3 for a link alone, whose browser could not go back to the app.
    #[error("a session at L3 without allowed_origin needs return_url")]
    ReturnUrlRequired,
    /// A session for a link alone, and nobody to sign in for it.
    #[error("a session for a link needs user_token")]
    UserRequired,
    #[error(transparent)]
    InvalidOrigin(OriginError),
    #[error("allowed_origin is missing and the app has no website_url")]
    AllowedOriginRequired,
    /// `return_url` is refused; the caller is shown this sentence.
    #[error("{0}")]
    InvalidReturnUrl(String),
    #[error("allowed_providers must be null or a list of provider ids without blank entries")]
    InvalidProviders,
    /// None of `allowed_providers` is configured, or the app has no provider at all.
    #[error("no allowed provider is configured on this app")]
    NoProviders {
        /// The ids of the providers that are configured.
        configured: Vec<String>,
    },
    /// `connection_config` does not fit; the caller is shown this sentence.
    #[error("connection_config.{provider}: {why}")]
    BadConnectionConfig {
        /// Provider id, as it was given.
        provider: String,
        /// What is wrong.
        why: String,
    },
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { MintError: User; }

/// Mints a session.
///
/// # Errors
/// [`MintError`]; nothing was stored.
pub async fn mint(flows: &Flows, caller: &Caller, request: MintRequest) -> Result<Minted, MintError> {
    let mut taken = Taken::default();
    let shares = &mut taken;
    let minted = flows.once(caller, move |nonce| try_mint(flows, caller, nonce, request, shares)).await;
    if minted.as_ref().is_err_and(Refusal::is_replay) {
        // Of two equal calls at the same moment, one is found a replay only by the commit.
        flows.inner.quotas.give_back(taken);
    }
    minted
}

async fn try_mint(
    flows: &Flows,
    caller: &Caller,
    nonce: Option<CallNonce>,
    request: MintRequest,
    taken: &mut Taken,
) -> Result<Spent<Minted>, MintError> {
    let app = &caller.app;
    caller.app_only()?;
    flows.refuse_replay(caller).await?;
    spend_quota(flows, taken, Quota::App(app.id), app.settings.sessions_per_minute)?;
    let challenge = challenge(request.code_challenge.as_deref(), request.code_challenge_method.as_deref());
    let challenge = challenge.map_err(MintError::BadChallenge)?;
    let min_binding = match app.min_binding() {
        _ if challenge.is_some() => Level::L3,
        level => level,
    };
    let allowed_origin = match request.allowed_origin {
        Some(origin) => Some(Origin::parse(&origin).map_err(MintError::InvalidOrigin)?),
        None => app.website_origin(),
    };
    if allowed_origin.is_none() && !app.is_for_links() {
        return Err(MintError::AllowedOriginRequired);
    }
    let registered = app.settings.return_origins.iter().chain(&allowed_origin);
    let return_url = request.return_url.map(|url| ReturnUrl::parse(&url, registered)).transpose();
    let return_url = return_url.map_err(MintError::InvalidReturnUrl)?;
    let mut configured = flows.store().list_provider_ids(app.id).await?;
    configured.retain(|id| id != SIGN_IN);
    let providers = choose_providers(request.allowed_providers, configured)?;
    check_connection_config(flows, app, &providers, &request.connection_config).await?;
    if request.agent.is_some() && request.user_token.is_none() {
        return Err(MintError::AgentRequiresUserToken);
    }
    if min_binding == Level::L3 && request.user_token.is_none() && challenge.is_none() {
        return Err(MintError::ProofRequired);
    }
    // The app's word at the end comes by the return URL, or from the page that opened the window: no browser is let in
    // that has neither.
    if allowed_origin.is_none() && min_binding == Level::L3 && return_url.is_none() {
        return Err(MintError::ReturnUrlRequired);
    }
    if allowed_origin.is_none() && min_binding < Level::L3 && !may_be_opened(app, request.user_token.as_ref())
    {
        return Err(MintError::UserRequired);
    }
    let user = session_user(flows, app, request.user_token.as_ref(), taken).await?;
    let agent = session_agent(flows, app, request.agent.as_deref()).await?;

    let now = flows.now();
    let token = token::mint_session_token(flows.random());
    let expires_in = app.settings.session_ttl;
    let expires_at = now.plus_seconds(i64::from(expires_in));
    let single_provider = providers.len() == 1;
    let mut data = SessionData::new(allowed_origin, providers, min_binding);
    (data.return_url, data.user, data.agent, data.label) = (return_url, user, agent, request.label);
    (data.filled, data.challenge) = (request.connection_config, challenge);
    let session = Session {
        sid: SessionId::new(flows.random()),
        app_id: app.id,
        token_hash: token::hash_of(&token),
        created_at: now,
        expires_at,
        data,
        version: 0,
    };
    flows.store().insert_session(nonce, session).await?;
    crate::metrics::minted();
    let url = format!("{}/sdk/oauth/connect#session={}", flows.public_url(), token.expose_secret());
    let connect_url = SecretString::from(url);
    Ok(Spent::InCommit(Minted { token, connect_url, expires_at, expires_in, single_provider }))
}

/// Whether any browser could open a session for a link: its user can sign in, or nobody has to.
fn may_be_opened(app: &App, user_token: Option<&SecretString>) -> bool {
    app.settings.allow_unverified_links || user_token.is_some()
}

/// RFC 7636 section 4.2, with S256 alone: what can be read out of the session's row must not open it.
fn challenge(given: Option<&str>, method: Option<&str>) -> Result<Option<Hash>, &'static str> {
    let Some(given) = given else {
        return if method.is_none() {
            Ok(None)
        } else {
            Err("code_challenge_method came without code_challenge")
        };
    };
    if method != Some("S256") {
        return Err("code_challenge_method must be S256");
    }
    let hash = secret::from_base64url(given).and_then(|bytes| Hash::try_from(bytes).ok());
    hash.map(Some).ok_or("code_challenge must be the base64url of a SHA-256: 43 characters, without padding")
}

async fn session_user(
    flows: &Flows,
    app: &App,
    token: Option<&SecretString>,
    taken: &mut Taken,
) -> Result<Option<SessionUser>, MintError> {
    let Some(token) = token else { return Ok(None) };
    let user = ensure_user(flows, app, token).await?;
    spend_quota(flows, taken, Quota::User(user.id), app.settings.sessions_per_minute_and_user)?;
    Ok(Some(SessionUser { id: user.id, label: user.label }))
}

async fn session_agent(
    flows: &Flows,
    app: &App,
    named: Option<&str>,
) -> Result<Option<SessionAgent>, MintError> {
    let Some(named) = named else { return Ok(None) };
    let found = match AgentId::parse(named) {
        Some(id) => flows.store().get_agent(app.id, id).await?,
        None => flows.store().find_agent(app.id, named).await?,
    };
    let agent = Agent::active(found).map_err(|_| MintError::AgentNotFound)?;
    Ok(Some(SessionAgent { id: agent.id, name: agent.shown_name().to_owned() }))
}

/// A value must be one label of a placeholder that customers fill: an app cannot name a host either (T81).
async fn check_connection_config(
    flows: &Flows,
    app: &App,
    providers: &[String],
    given: &BTreeMap<String, Filled>,
) -> Result<(), MintError> {
    for (provider, filled) in given {
        let bad = |why: String| MintError::BadConnectionConfig { provider: provider.clone(), why };
        if !providers.contains(provider) {
            return Err(bad("the session does not offer this provider".into()));
        }
        let config = flows.store().find_provider(app.id, provider).await?;
        let config = config.ok_or_else(|| bad("the provider is not configured".into()))?;
        for (name, value) in filled {
            config.recipe.may_fill(name, value).map_err(|error| bad(error.to_string()))?;
        }
    }
    Ok(())
}

/// `per_minute` = 0: no limit.
fn spend_quota(flows: &Flows, taken: &mut Taken, quota: Quota, per_minute: u32) -> Result<(), MintError> {
    match flows.inner.quotas.spend(taken, quota, per_minute, flows.now()) {
        None => Ok(()),
        Some(retry_after) => Err(MintError::TooMany { quota, limit: per_minute, retry_after }),
    }
}

/// Trims and lower-cases the ids, and drops duplicates and unknown ones (S6).
fn choose_providers(asked: Option<Vec<String>>, configured: Vec<String>) -> Result<Vec<String>, MintError> {
    let chosen = match asked {
        None => configured.clone(),
        Some(list) => {
            let cleaned: Vec<String> = list.iter().map(|p| p.trim().to_lowercase()).collect();
            if cleaned.is_empty() || cleaned.iter().any(String::is_empty) {
                return Err(MintError::InvalidProviders);
            }
            let mut chosen = Vec::new();
            for provider in cleaned {
                if configured.contains(&provider) && !chosen.contains(&provider) {
                    chosen.push(provider);
                }
            }
            chosen
        }
    };
    if chosen.is_empty() { Err(MintError::NoProviders { configured }) } else { Ok(chosen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn a_challenge_is_the_s256_of_a_verifier_and_nothing_else() {
        let good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let hash = secret::sha256(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(Some(good), Some("S256")), Ok(Some(hash)), "RFC 7636 appendix B");
        assert_eq!(challenge(None, None), Ok(None));
        for (given, method) in [
            (Some(good), None),
            (Some(good), Some("plain")),
            (Some(good), Some("s256")),
            (None, Some("S256")),
            (Some(""), Some("S256")),
            (Some(&good[1..]), Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="), Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), Some("S256")),
            (Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXkdBjftJeZ4CVP"), Some("S256")),
        ] {
            assert!(challenge(given, method).is_err(), "{given:?} {method:?}");
        }
    }

    #[test]
    fn providers_are_cleaned_and_unknown_ones_dropped() {
        let configured = texts(&["github", "google"]);
        let chosen = choose_providers(Some(texts(&[" GitHub ", "github", "nope"])), configured.clone());
        assert_eq!(chosen.unwrap(), texts(&["github"]));
        assert_eq!(choose_providers(None, configured.clone()).unwrap(), configured);
        assert!(matches!(
            choose_providers(Some(texts(&["nope"])), configured.clone()),
            Err(MintError::NoProviders { .. })
        ));
        assert!(matches!(choose_providers(None, vec![]), Err(MintError::NoProviders { .. })));
        assert!(matches!(
            choose_providers(Some(texts(&[" "])), configured.clone()),
            Err(MintError::InvalidProviders)
        ));
        assert!(matches!(choose_providers(Some(vec![]), configured), Err(MintError::InvalidProviders)));
    }
}
