//! Authenticating a caller by API key and signature (wire 1.1 and 2, threats 6.8).
//!
//! 1. The key is well formed, known and not revoked; the agent that owns it, if any, is not deleted.
//! 2. The signature headers are there (or the app accepts bearer calls).
//! 3. The timestamp is within 300 s of our clock.
//! 4. The signature is right. The nonce is passed on, to be recorded in the same commit as what the call does (T61).
//! 5. A suspended agent is refused by [`only_active`], a step of its own: such an agent may still read itself.

use alter_core::{AgentStatus, AgentStop, ApiKey, App, CallNonce, FoundKey, KeyType, Micros, key, secret};
use alter_signing::{Covers, Signature, SignedParts};
use secrecy::{ExposeSecret, SecretString};

use crate::{Caller, Flows, callers::caller::ours, fault::FlowFault};

/// How far the caller's clock may differ from ours, seconds.
const SKEW: i64 = 300;

/// A body that takes longer came slowly, microseconds.
const SLOW: i64 = 1_000_000;

#[derive(Debug)]
pub struct PresentedCall<'a> {
    /// `x-api-key`.
    pub api_key: Option<SecretString>,
    /// The parts of the request that the signature covers.
    pub parts: SignedParts<'a>,
    /// `None` when the request has no signature header at all.
    pub signature: Option<Signature<'a>>,
    /// The request's id, for the log and the audit.
    pub request_id: &'a str,
}

fn active(caller: &Caller) -> Result<(), AuthError> {
    match caller.agent.as_ref().and_then(|agent| agent.status.stop()) {
        None => Ok(()),
        Some(AgentStop::Suspended) => Err(AuthError::AgentInactive),
        Some(AgentStop::Deleted) => Err(AuthError::AgentRevoked),
    }
}

/// Why a caller is refused. Every variant but `Fault` becomes a 401.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The key is missing, malformed, unknown, or of a type that may not call the API.
    #[error("the API key is missing or not valid")]
    InvalidKey,
    #[error("the API key was revoked")]
    KeyRevoked,
    #[error("the agent is suspended")]
    AgentInactive,
    #[error("the agent was deleted")]
    AgentRevoked,
    /// The request is not signed, and the app does not accept bearer calls.
    #[error("the request is not signed")]
    SignatureRequired,
    /// The signature is incomplete, malformed or wrong.
    #[error("the signature is not valid")]
    InvalidSignature,
    /// The call is made for an agent, and the headers that name the agent are not signed.
    #[error("the headers that name the agent are not signed")]
    AgentUnsigned,
    #[error("the signature's timestamp is {skew} seconds away from the server's clock")]
    Stale {
        /// Seconds, the caller's clock minus ours.
        skew: i64,
    },
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { AuthError; }

/// A key that may call, before its signature is checked.
#[derive(Debug)]
pub struct Recognized {
    found: FoundKey,
    at: Micros,
}

/// Steps 1 to 3, for which the request's body is not needed.
///
/// # Errors
/// [`AuthError`].
pub async fn recognize(flows: &Flows, call: &PresentedCall<'_>) -> Result<Recognized, AuthError> {
    match look_up(flows, call).await {
        // The key's seal was put under another data key between the two reads.
        Err(AuthError::Fault(fault)) if fault.is_overtaken() => look_up(flows, call).await,
        found => found,
    }
}

async fn look_up(flows: &Flows, call: &PresentedCall<'_>) -> Result<Recognized, AuthError> {
    let presented = call.api_key.as_ref().ok_or(AuthError::InvalidKey)?;
    // Derived and publishable keys are not built yet: no key of those types is in the table.
    let kind = key::parse_key(presented.expose_secret());
    if !matches!(kind, Some(KeyType::App | KeyType::Agent | KeyType::Legacy)) {
        return Err(AuthError::InvalidKey);
    }
    let found = standing(flows, flows.store().find_key(&key::key_hash(presented)).await?).await?;
    let FoundKey { key, app, .. } = &found;
    let at = flows.now();
    if call.signature.is_some() {
        check_freshness(&call.parts, at.as_seconds())?;
    } else if !app.settings.allow_bearer {
        tracing::warn!(app_id = %app.id, key_id = %key.id, "call without a signature refused");
        return Err(AuthError::SignatureRequired);
    }
    Ok(Recognized { found, at })
}

/// Step 1 once more, for a call that has waited. Returns its app as it is now.
pub(crate) async fn app_of_now(flows: &Flows, caller: &Caller) -> Result<App, AuthError> {
    let found = flows.store().find_key(&caller.key.hash).await?;
    standing(flows, found).await.map(|found| found.app)
}

/// Step 1 for a key that is well formed.
async fn standing(flows: &Flows, found: Option<FoundKey>) -> Result<FoundKey, AuthError> {
    let found = found.ok_or(AuthError::InvalidKey)?;
    let FoundKey { key, app, agent } = &found;
    if agent.as_ref().is_some_and(|agent| agent.status == AgentStatus::Revoked) {
        return Err(AuthError::AgentRevoked);
    }
    if key.revoked_at.is_some() {
        return Err(AuthError::KeyRevoked);
    }
    proven(flows, app, key).await?;
    Ok(found)
}

/// Returns the caller. `known` is what [`recognize`] found for the same request; after a body that came slowly the key is
/// looked up again, since it may have been revoked meanwhile.
///
/// # Errors
/// [`AuthError`].
pub async fn authenticate(
    flows: &Flows,
    known: Recognized,
    call: &PresentedCall<'_>,
) -> Result<Caller, AuthError> {
    let slow = flows.now().since(known.at) > SLOW;
    let found = if slow { recognize(flows, call).await?.found } else { known.found };
    let (Some(presented), Some(signature)) = (&call.api_key, &call.signature) else {
        return Ok(Caller::new(found, None, false, call.request_id));
    };
    let key = &found.key;
    let (nonce, timestamp) = check_freshness(&call.parts, flows.now().as_seconds())?;
    let covers = alter_signing::verify(presented.expose_secret(), &call.parts, signature);
    let covers = covers.ok_or(AuthError::InvalidSignature)?;
    let names_are_signed = covers == Covers::Everything;
    if !names_are_signed && call.parts.caller_type == "agent" {
        return Err(AuthError::AgentUnsigned);
    }
    let nonce = CallNonce { key_id: key.id, nonce, at: Micros(0).plus_seconds(timestamp) };
    Ok(Caller::new(found, Some(nonce), names_are_signed, call.request_id))
}

/// Refuses a key that nobody with the root key made: its row was planted, or its revocation undone (T60).
async fn proven(flows: &Flows, app: &App, key: &ApiKey) -> Result<(), AuthError> {
    match flows.check_key(app, key).await {
        Err(FlowFault::Unproven(error)) => {
            tracing::error!(app_id = %app.id, key_id = %key.id, %error, "a call is refused");
            Err(AuthError::InvalidKey)
        }
        checked => Ok(checked?),
    }
}

/// Refuses a suspended agent. The refused call's nonce is recorded, so that the same bytes do not succeed once the agent
/// is resumed (T61).
///
/// # Errors
/// [`AuthError`].
pub async fn only_active(flows: &Flows, caller: &Caller) -> Result<(), AuthError> {
    match active(caller) {
        Ok(()) => Ok(()),
        refused => flows.reading(caller, async { refused }).await,
    }
}

fn check_freshness(parts: &SignedParts<'_>, now: i64) -> Result<([u8; 16], i64), AuthError> {
    let digits = parts.timestamp.len() <= 12 && parts.timestamp.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(AuthError::InvalidSignature);
    }
    let timestamp: i64 = parts.timestamp.parse().map_err(|_| AuthError::InvalidSignature)?;
    let nonce = secret::from_hex(parts.nonce).ok_or(AuthError::InvalidSignature)?;
    let skew = timestamp - now;
    if skew.abs() > SKEW { Err(AuthError::Stale { skew }) } else { Ok((nonce, timestamp)) }
}
