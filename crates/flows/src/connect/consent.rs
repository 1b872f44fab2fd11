//! Approving a provider on the consent page.
//!
//! 1. The session may start an attempt.
//! 2. The app page has contacted this server (otherwise the SDK could never learn the result).
//! 3. The provider is still configured, and the session's agent may act; otherwise the flow ends.
//! 4. What would be asked for is what the page showed.
//! 5. This server may ask the provider's endpoints; otherwise the flow ends before the user is sent away.
//! 6. Make state, nonce and PKCE verifier.
//! 7. Store attempt and session in one commit, with the customer whose host the user is sent to.
//! 8. Return the authorization URL for the browser.

use alter_core::{
    App, Attempt, AttemptId, AttemptSecret, AttemptStatus, Brought, Cause, Failure, Filled, Hash, Micros,
    ProviderConfig, Saved, Session, SessionId, StoreError, Underway, secret,
    session::{ATTEMPT_TTL, STATUS_WAIT},
};
use alter_oauth::{AuthorizationRequest, Pkce};
use secrecy::ExposeSecret;

use super::{
    askable::why_not_askable,
    offer::{Offer, log_stopped},
    opener::coop_of,
    steps::StepError,
};
use crate::{Flows, fault::FlowFault, rounds::Rounds};

/// How many times an approval is tried.
const ROUNDS: usize = 8;

/// Why an approval does not lead to the provider.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    #[error(transparent)]
    Step(#[from] StepError),
    /// The app page has not contacted this server yet: try again in half a second.
    #[error("the app page has not asked for the status yet")]
    WaitingForApp,
    /// The app page did not contact this server in time; most likely its CSP `connect-src` forbids it.
    #[error("the app page cannot reach this server")]
    AppUnreachable,
    /// The operator removed the provider in the meantime.
    #[error("the provider is no longer configured")]
    ProviderGone,
}

impl From<StoreError> for ApproveError {
    fn from(error: StoreError) -> Self {
        Self::Step(error.into())
    }
}

impl From<FlowFault> for ApproveError {
    fn from(fault: FlowFault) -> Self {
        Self::Step(fault.into())
    }
}

/// Approves a provider, and returns the authorization URL to send the browser to. `shown` is what the page carries; `None`
/// (a page with an older script) = what the newest page showed.
///
/// # Errors
/// [`ApproveError`].
pub async fn approve(
    flows: &Flows,
    sid: &SessionId,
    browser: &Hash,
    provider: &str,
    shown: Option<&str>,
) -> Result<url::Url, ApproveError> {
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let session = flows.store().get_session(sid).await?.ok_or(StepError::NotYours)?;
        if let Some(location) = try_approve(flows, session, browser, (provider, shown)).await? {
            return Ok(location);
        }
    }
}

/// Returns `None` when another write came first.
async fn try_approve(
    flows: &Flows,
    mut session: Session,
    browser: &Hash,
    (provider, shown): (&str, Option<&str>),
) -> Result<Option<url::Url>, ApproveError> {
    let now = flows.now();
    may_approve(&session, browser, provider, now)?;
    let offer = Offer::read(flows, &session).await?;
    let config = match (offer.stop(provider), offer.provider(provider)) {
        (None, Some(config)) => config,
        (Some(failure), _) => return Err(end(flows, session, failure, now).await?),
        (None, None) => return Err(ApproveError::ProviderGone),
    };
    let filled = session.data.filled_for(provider);
    let Ok(own) = config.clone().for_customer(&filled) else { return Err(StepError::Moved.into()) };
    if !is_as_shown(&session, &offer, provider, shown) {
        return Err(StepError::Moved.into());
    }
    let misconfigured = || {
        let provider = Some(provider.to_owned());
        Failure { cause: Cause::ProviderMisconfigured, provider, request_id: None, said: None }
    };
    match is_proven(flows, config).await {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(fault) if fault.is_unproven() => {
            tracing::error!(sid = %session.sid, provider, error = %fault, "a user is not sent to a provider");
            return Err(end(flows, session, misconfigured(), now).await?);
        }
        Err(fault) => return Err(fault.into()),
    }
    if let Some((endpoint, error)) = why_not_askable(flows, &own).await {
        tracing::warn!(sid = %session.sid, provider, endpoint, %error, "a user is not sent to a provider that cannot be asked");
        return Err(end(flows, session, misconfigured(), now).await?);
    }
    let (attempt, location) = new_attempt(flows, &session, &offer.app, &own, filled, now)?;
    session.start(Underway {
        attempt: attempt.id,
        provider: provider.to_owned(),
        coop: coop_of(flows, config).await?,
        started_at: now,
        expires_at: attempt.expires_at,
        exchanging: false,
        config: Some(config.config_id.clone()),
        page: Some(session.data.signals.page_instance),
    });
    match flows.store().start_attempt(&session, attempt).await {
        Ok(Saved::Done) => {
            flows.waiting().tell(&session.sid);
            Ok(Some(location))
        }
        Ok(Saved::Moved) => Ok(None),
        // The app's data key was replaced at this moment.
        Err(StoreError::KeyRetired) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Nothing can be connected: the attempt ends before it began, and the page that reloads says why.
async fn end(
    flows: &Flows,
    session: Session,
    failure: Failure,
    now: Micros,
) -> Result<ApproveError, ApproveError> {
    let ended = flows.update_session(session, |session| {
        let still = session.can_start(now) && session.data.selected == failure.provider;
        if still {
            session.attempt_failed(failure.clone(), now);
        }
        Ok::<_, ApproveError>((still, still))
    });
    if let Some((session, true)) = ended.await? {
        log_stopped(&session.sid, &failure);
    }
    Ok(match failure.cause {
        Cause::ProviderNotConfigured => ApproveError::ProviderGone,
        _ => StepError::Moved.into(),
    })
}

/// A session of which no page was ever shown has nothing to compare with: no browser is on its way to a provider.
fn is_as_shown(session: &Session, offer: &Offer, provider: &str, shown: Option<&str>) -> bool {
    let shown = shown.or(session.data.shown.as_deref());
    shown.is_none_or(|shown| offer.shown(session, provider).as_deref() == Some(shown))
}

/// Whether the row is still the one that was read, and as somebody with the root key wrote it: no user is sent to an address
/// that somebody else put there.
async fn is_proven(flows: &Flows, config: &ProviderConfig) -> Result<bool, FlowFault> {
    match flows.provider(config.app_id, &config.config_id).await {
        Err(fault) if fault.is_overtaken() => Ok(false),
        found => Ok(found?.is_some_and(|found| found.digest() == config.digest())),
    }
}

fn may_approve(session: &Session, browser: &Hash, provider: &str, now: Micros) -> Result<(), ApproveError> {
    if !session.is_browser(browser) {
        return Err(StepError::NotYours.into());
    }
    if !session.can_start(now) || session.data.selected.as_deref() != Some(provider) {
        return Err(StepError::Moved.into());
    }
    match app_reach(session, now) {
        AppReach::Heard => Ok(()),
        AppReach::Waiting => Err(ApproveError::WaitingForApp),
        AppReach::Unreachable => Err(ApproveError::AppUnreachable),
    }
}

fn new_attempt(
    flows: &Flows,
    session: &Session,
    app: &App,
    config: &ProviderConfig,
    filled: Filled,
    now: Micros,
) -> Result<(Attempt, url::Url), FlowFault> {
    let (state, nonce, pkce) = (flows.fresh_secret(), flows.fresh_secret(), Pkce::new(flows.random()));
    let id = AttemptId::new(flows.random());
    let redirect_uri = callback_url(flows, config);
    let location = alter_oauth::authorize_url(&AuthorizationRequest {
        recipe: &config.recipe,
        client_id: &config.client_id,
        redirect_uri: &redirect_uri,
        scopes: &config.scopes,
        state: state.expose_secret(),
        nonce: nonce.expose_secret(),
        challenge: &pkce.challenge,
    })
    .map_err(|_| FlowFault::Broken("a stored provider configuration has no usable authorize_url"))?;
    let place = Attempt::place_of(app.id, id, AttemptSecret::Verifier, &filled);
    let verifier = flows.sealer().seal_text(&flows.sealer().data_key(app)?, &place, &pkce.verifier)?;
    let attempt = Attempt {
        id,
        sid: session.sid.clone(),
        app_id: app.id,
        config_id: config.config_id.clone(),
        state_hash: secret::sha256(state.expose_secret().as_bytes()),
        verifier,
        nonce: nonce.expose_secret().to_owned(),
        redirect_uri,
        scopes: config.scopes.clone(),
        created_at: now,
        expires_at: now.plus_seconds(ATTEMPT_TTL),
        status: AttemptStatus::Started,
        status_at: now,
        body: None,
        filled,
        brought: Brought::default(),
        staged: None,
    };
    Ok((attempt, location))
}

/// `/oauth/callback/{config_id}`: one path per configuration (T09), and the same bytes in the authorization request and
/// the token request (T30).
pub fn callback_url(flows: &Flows, config: &ProviderConfig) -> String {
    format!("{}/oauth/callback/{}", flows.public_url(), config.config_id)
}

/// Whether the app page's SDK has asked for the status (protocol 3). The published client never asks, so for it (a
/// claim without `cb`) the app page counts as heard; and in a redirect flow there is no app page to wait for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AppReach {
    Heard,
    Waiting,
    Unreachable,
}

pub(crate) fn app_reach(session: &Session, now: Micros) -> AppReach {
    let Some(claim) = session.claim() else { return AppReach::Waiting };
    if claim.cb.is_none() || session.is_redirect() || session.data.signals.first_status_at.is_some() {
        AppReach::Heard
    } else if now < claim.at.plus_seconds(STATUS_WAIT) {
        AppReach::Waiting
    } else {
        AppReach::Unreachable
    }
}
