//! Who calls: API key and signature (wire 1.1 and 2, threats 6.8).
//!
//! 1. The key is well formed, known and not revoked.
//! 2. The signature headers are complete (or the app accepts bearer calls).
//! 3. The timestamp is within 300 s.
//! 4. The signature is right.
//! 5. An agent's key belongs to an active agent; a suspended one may only look at itself. The nonce is handed on: it is recorded in the same commit as whatever the
//!    call does (T61).

use alter_core::{AgentStatus, CallNonce, FoundKey, KeyType, Micros, key, secret};
use alter_signing::{Signature, SignedParts};
use secrecy::{ExposeSecret, SecretString};

use crate::{Caller, Flows, call::ours, fault::FlowFault};

/// How far the caller's clock may be from ours, seconds.
const SKEW: i64 = 300;

/// What a request presents.
#[derive(Debug)]
pub struct PresentedCall<'a> {
    /// `x-api-key`.
    pub api_key: Option<SecretString>,
    /// What the signature covers.
    pub parts: SignedParts<'a>,
    /// The signature headers, `None` when none of them is there.
    pub signature: Option<Signature<'a>>,
    /// The request, for the log and the audit.
    pub request_id: &'a str,
}

/// Refuses an agent that is suspended or deleted.
fn active(caller: &Caller) -> Result<(), AuthError> {
    match caller.agent.as_ref().map(|agent| agent.status) {
        None | Some(AgentStatus::Active) => Ok(()),
        Some(AgentStatus::Inactive) => Err(AuthError::AgentInactive),
        Some(AgentStatus::Revoked) => Err(AuthError::AgentRevoked),
    }
}

/// Why a caller is refused. All are 401.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Missing, malformed, unknown, or of a type that may not call here.
    #[error("the API key is missing or not valid")]
    InvalidKey,
    /// Revoked.
    #[error("the API key was revoked")]
    KeyRevoked,
    /// The agent is suspended.
    #[error("the agent is suspended")]
    AgentInactive,
    /// The agent was deleted.
    #[error("the agent was deleted")]
    AgentRevoked,
    /// No signature, and the app does not accept bearer calls.
    #[error("the request is not signed")]
    SignatureRequired,
    /// Incomplete, malformed or wrong.
    #[error("the signature is not valid")]
    InvalidSignature,
    /// The timestamp is too far from our clock.
    #[error("the signature's timestamp is {skew} seconds away from the server's clock")]
    Stale {
        /// Seconds, theirs minus ours.
        skew: i64,
    },
    /// Our own failure.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { AuthError; }

/// Answers who calls.
///
/// # Errors
/// [`AuthError`].
pub async fn authenticate(flows: &Flows, call: &PresentedCall<'_>) -> Result<Caller, AuthError> {
    let presented = call.api_key.as_ref().ok_or(AuthError::InvalidKey)?;
    // Derived and publishable keys are not built: a well-formed key of those types cannot be in the table either.
    let kind = key::parse_key(presented.expose_secret());
    if !matches!(kind, Some(KeyType::App | KeyType::Agent | KeyType::Legacy)) {
        return Err(AuthError::InvalidKey);
    }
    let found = flows.store().find_key(&key::key_hash(presented)).await?;
    let found = found.ok_or(AuthError::InvalidKey)?;
    let FoundKey { key, app, agent } = &found;
    if agent.as_ref().is_some_and(|agent| agent.status == AgentStatus::Revoked) {
        return Err(AuthError::AgentRevoked);
    }
    if key.revoked_at.is_some() {
        return Err(AuthError::KeyRevoked);
    }
    let Some(signature) = &call.signature else {
        return match app.settings.allow_bearer {
            true => Ok(Caller::new(found, None, call.request_id)),
            false => {
                tracing::warn!(app_id = %app.id, key_id = %key.id, "call without a signature refused");
                Err(AuthError::SignatureRequired)
            }
        };
    };
    let now = flows.now();
    let (nonce, timestamp) = check_freshness(&call.parts, now.as_seconds())?;
    if !alter_signing::verify(presented.expose_secret(), &call.parts, signature) {
        return Err(AuthError::InvalidSignature);
    }
    let nonce = CallNonce { key_id: key.id, nonce, at: Micros(0).plus_seconds(timestamp) };
    Ok(Caller::new(found, Some(nonce), call.request_id))
}

/// Refuses an agent that is suspended; the call is spent, so that the same bytes do not succeed once it is resumed
/// (T61).
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
    let timestamp: i64 = match digits {
        true => parts.timestamp.parse().map_err(|_| AuthError::InvalidSignature)?,
        false => return Err(AuthError::InvalidSignature),
    };
    let nonce = secret::from_hex(parts.nonce).ok_or(AuthError::InvalidSignature)?;
    let skew = timestamp - now;
    if skew.abs() > SKEW { Err(AuthError::Stale { skew }) } else { Ok((nonce, timestamp)) }
}
