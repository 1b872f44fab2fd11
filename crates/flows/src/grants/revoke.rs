//! Revoking a grant (wire 3.6).
//!
//! 1. The grant belongs to the app, and to the user if the call has a user token.
//! 2. Open its refresh token, or else its access token, and seal it for the queue of revocations.
//! 3. Commit grant, delegations, queue entry and audit together: from here on nothing can be released, and the grant's
//!    own sealed values are gone.
//! 4. Ask the provider ([`super::revocation`]); the call waits a few seconds for the answer.

use alter_core::{
    AuditEntry, AuditKind, Grant, GrantId, GrantSecret, Micros, Principal, Revocation, RevocationOutcome,
    RevokeGrant, RevokedGrant, Saved,
};
use alter_vault::DataKey;
use secrecy::SecretString;

use super::revocation::{ask_and_wait, request};
use crate::{
    AppKeyRequired, Caller, Flows, Operator, UserTokenError,
    actor::Actor,
    callers::caller::{Spent, ours},
    calls::choose::{NamedUser, named_user},
    fault::FlowFault,
    rounds::Rounds,
};

/// How many times a revocation is tried.
const ROUNDS: usize = 8;

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeGrantError {
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    /// The app, or the user, has no such grant.
    #[error("there is no such grant")]
    NotFound,
    #[error(transparent)]
    User(#[from] UserTokenError),
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { RevokeGrantError: User; }

/// Revokes one of the app's grants. A grant that is already revoked stays as it is.
///
/// # Errors
/// [`RevokeGrantError`].
pub async fn revoke_grant(
    flows: &Flows,
    caller: &Caller,
    id: GrantId,
    reason: Option<&str>,
    user_token: Option<&SecretString>,
) -> Result<RevokedGrant, RevokeGrantError> {
    flows
        .once(caller, |nonce| async move {
            caller.app_only()?;
            let named = named_user(flows, caller, user_token).await?;
            let may = |grant: &Grant| match &named {
                NamedUser::None => true,
                NamedUser::Known(user) => grant.principal == Principal::User(user.id),
                NamedUser::Unknown => false,
            };
            revoke_as(flows, &Actor::of(caller, nonce), id, reason, may).await
        })
        .await
}

/// Revokes a grant as the operator.
///
/// # Errors
/// [`RevokeGrantError`].
pub async fn revoke_grant_as_operator(
    flows: &Flows,
    by: &Operator,
    app: alter_core::App,
    id: GrantId,
    reason: Option<&str>,
) -> Result<RevokedGrant, RevokeGrantError> {
    Ok(revoke_as(flows, &Actor::operator(by, app), id, reason, |_| true).await?.value())
}

async fn revoke_as(
    flows: &Flows,
    actor: &Actor,
    id: GrantId,
    reason: Option<&str>,
    may: impl Fn(&Grant) -> bool,
) -> Result<Spent<RevokedGrant>, RevokeGrantError> {
    // Another write may come first (the user reconnected, a data key was replaced): then the grant is read again.
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let found = flows.store().get_grant(actor.app.id, id).await?;
        let grant = found.filter(&may).ok_or(RevokeGrantError::NotFound)?;
        if let Some(revoked) = grant.revoked {
            return Ok(Spent::NotYet(revoked));
        }
        let request = match revocation_of(flows, &grant).await {
            Err(fault) if fault.is_overtaken() => continue,
            request => request?,
        };
        let at = flows.now();
        match flows.store().revoke_grant(command(actor, &grant, &request, reason, at)).await {
            Ok(Saved::Done) => {}
            Ok(Saved::Moved) => continue,
            Err(error) if error.is_overtaken() => continue,
            Err(error) => return Err(error.into()),
        }
        let outcome = match request {
            Ok(request) => ask_and_wait(flows, request).await,
            Err(outcome) => outcome,
        };
        let reason = reason.map(str::to_owned);
        return Ok(Spent::InCommit(RevokedGrant { at, reason, outcome }));
    }
}

/// Step 2. Returns the request to the provider, or the reason why there is none.
async fn revocation_of(
    flows: &Flows,
    grant: &Grant,
) -> Result<Result<Revocation, RevocationOutcome>, FlowFault> {
    // Nothing is sent yet, and the grant must end here whoever changed the row: the queue asks for the seal.
    let config = flows.unproven_provider(grant.app_id, &grant.config_id).await?;
    let Some(how) = config.and_then(|config| config.recipe.revocation()) else {
        return Ok(Err(RevocationOutcome::NotOffered));
    };
    let key = flows.sealer().current_key(grant.app_id).await?;
    let credential = &grant.credential;
    let named = how.token.of(&credential.access_token, credential.refresh_token.as_ref());
    let Some((secret, sealed)) = named else { return Ok(Err(RevocationOutcome::NotOffered)) };
    let opened = open(flows, &key, grant, secret, sealed).await;
    let token = match opened {
        Ok(token) => token,
        Err(fault) if fault.is_overtaken() => return Err(fault),
        Err(error) => {
            // A token that cannot be opened cannot be revoked at the provider, but the grant can still be revoked here.
            tracing::error!(grant_id = %grant.id, %error, "a grant is revoked without asking its provider");
            return Ok(Err(RevocationOutcome::GivenUp));
        }
    };
    Ok(Ok(request(flows, &key, grant, secret, &token)?))
}

async fn open(
    flows: &Flows,
    key: &DataKey,
    grant: &Grant,
    secret: GrantSecret,
    sealed: &[u8],
) -> Result<SecretString, FlowFault> {
    let place = grant.place(secret, flows.holder(grant).await?);
    flows.sealer().open_token(key, &place, sealed).await
}

/// The command of step 3.
fn command(
    actor: &Actor,
    grant: &Grant,
    request: &Result<Revocation, RevocationOutcome>,
    reason: Option<&str>,
    at: Micros,
) -> RevokeGrant {
    let details = serde_json::json!({ "provider": grant.provider, "reason": reason });
    RevokeGrant {
        call: actor.call,
        app_id: grant.app_id,
        grant_id: grant.id,
        generation: grant.credential.generation,
        at,
        reason: reason.map(str::to_owned),
        request: request.clone(),
        audit: AuditEntry {
            grant_id: Some(grant.id),
            user_id: grant.principal.user(),
            ..actor.entry(at, AuditKind::GrantRevoked, details)
        },
    }
}
