//! Auth sessions (wire 3.9, 3.10): an app's backend without a page of its own learns who its user is. The user signs in at the
//! app's identity provider, in any browser, and the backend gets the user's token, once. What that is worth, and why an
//! operator allows it for each app: [`alter_core::auth_session`].
//!
//! 1. [`create`]: the app allows it, and has a client at its identity provider.
//! 2. A browser opens the address and signs in ([`crate::connect::sign_in`]); [`signed_in`] seals the token beside the
//!    session and ends the session, in one commit.
//! 3. [`poll`]: the key that started it gets the token. It is wiped before it leaves.

use alter_core::{
    App, AuditEntry, AuditKind, AuthSession, EndKind, KeyId, Level, Micros, Saved, Session, SessionData,
    SessionId, StoreError, auth_session::user_code, exit, token,
};
use alter_oauth::UserClaims;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    caller::{Caller, Refusal, Spent, ours},
    user_token::{UserTokenError, verify_user},
};
use crate::{
    AppKeyRequired, Flows,
    fault::FlowFault,
    quota::{Quota, Taken},
    rounds::Rounds,
};

/// How many times a step is tried that another write can overtake.
const ROUNDS: usize = 4;

/// An auth session just started.
#[derive(Debug)]
pub struct CreatedAuth {
    /// Shown only once.
    pub token: SecretString,
    /// For the user's browser; a secret because it contains the token.
    pub auth_url: SecretString,
    /// Shown to the user by the asking side: the page shows the same code.
    pub user_code: String,
    pub expires_at: Micros,
    /// Seconds until then.
    pub expires_in: u32,
}

/// Why none is started.
#[derive(Debug, thiserror::Error)]
pub enum CreateAuthError {
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    #[error("the operator has not allowed auth sessions for this app")]
    NotAllowed,
    #[error("the app has no client at an identity provider")]
    NoSignIn,
    /// The app has used up its share of this minute.
    #[error("too many sessions: try again in {retry_after} s")]
    TooMany {
        /// Sessions per minute.
        limit: u32,
        /// Seconds.
        retry_after: u32,
    },
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { CreateAuthError; PollAuthError: User; }

/// Starts an auth session.
///
/// # Errors
/// [`CreateAuthError`]; nothing was stored.
pub async fn create(flows: &Flows, caller: &Caller) -> Result<CreatedAuth, CreateAuthError> {
    let mut taken = Taken::default();
    let shares = &mut taken;
    let created = flows.once(caller, move |nonce| async move {
        let app = &caller.app;
        caller.app_only()?;
        if !app.settings.allow_auth_sessions {
            return Err(CreateAuthError::NotAllowed);
        }
        app.sign_in().ok_or(CreateAuthError::NoSignIn)?;
        flows.refuse_replay(caller).await?;
        let limit = app.settings.sessions_per_minute;
        if let Some(retry_after) = flows.inner.quotas.spend(shares, Quota::App(app.id), limit, flows.now()) {
            return Err(CreateAuthError::TooMany { limit, retry_after });
        }
        let token = token::mint_auth_token(flows.random());
        let session = session(flows, app, caller, &token);
        let (expires_at, code) = (session.expires_at, user_code(&session.token_hash));
        flows.store().insert_session(nonce, session).await?;
        let url = format!("{}/sdk/oauth/connect#session={}", flows.public_url(), token.expose_secret());
        let expires_in = app.settings.session_ttl;
        Ok(Spent::InCommit(CreatedAuth {
            token,
            auth_url: url.into(),
            user_code: code,
            expires_at,
            expires_in,
        }))
    });
    let created = created.await;
    if created.as_ref().is_err_and(Refusal::is_replay) {
        flows.inner.quotas.give_back(taken);
    }
    created
}

fn session(flows: &Flows, app: &App, caller: &Caller, token: &SecretString) -> Session {
    let now = flows.now();
    let mut data = SessionData::new(None, Vec::new(), Level::L2);
    let requester = caller.key.name.clone();
    data.auth = Some(AuthSession { key: caller.key.id, requester, released_at: None });
    Session {
        sid: SessionId::new(flows.random()),
        app_id: app.id,
        token_hash: token::hash_of(token),
        created_at: now,
        expires_at: now.plus_seconds(i64::from(app.settings.session_ttl)),
        data,
        version: 0,
    }
}

/// Somebody has signed in: seals the token beside the session and ends the session.
pub(crate) async fn signed_in(
    flows: &Flows,
    sid: &SessionId,
    user_token: &SecretString,
    request_id: &str,
) -> Result<(), FlowFault> {
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let Some(mut session) = flows.store().get_session(sid).await? else { return Ok(()) };
        let now = flows.now();
        if !session.signed_in(now) {
            return Ok(());
        }
        let key = flows.sealer().current_key(session.app_id).await?;
        let sealed = flows.sealer().seal_text(&key, &session.user_token_place(), user_token)?;
        match flows.store().save_session_with_token(&session, Some(sealed)).await {
            Ok(Saved::Done) => {
                flows.waiting().tell(sid);
                note(flows, &session, AuditKind::SignedIn, None, request_id, now).await;
                return Ok(());
            }
            Ok(Saved::Moved) | Err(StoreError::KeyRetired) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Where an auth session stands.
#[derive(Debug)]
pub enum PollAuth {
    Pending,
    /// The user's token and who the user is. Nobody gets it again.
    Completed {
        user_token: SecretString,
        user: UserClaims,
    },
    /// The token was released before.
    Released,
    /// The token has run out, or is not believed any more.
    Stale,
    /// The user left.
    Cancelled,
    Expired,
}

/// Why a poll is refused.
#[derive(Debug, thiserror::Error)]
pub enum PollAuthError {
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    #[error("the operator has not allowed auth sessions for this app")]
    NotAllowed,
    /// Malformed, unknown, or started with another key; the caller cannot tell which.
    #[error("the session token is not valid")]
    InvalidToken,
    /// The identity provider cannot be asked whether the token still holds.
    #[error(transparent)]
    User(#[from] UserTokenError),
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

/// Returns where an auth session stands; while nothing has happened, when it is `enough`.
///
/// # Errors
/// [`PollAuthError`].
pub async fn poll(
    flows: &Flows,
    caller: &Caller,
    session_token: &str,
    enough: impl Future<Output = ()>,
) -> Result<PollAuth, PollAuthError> {
    flows.reading(caller, patient(flows, caller, session_token, enough)).await
}

async fn patient(
    flows: &Flows,
    caller: &Caller,
    session_token: &str,
    enough: impl Future<Output = ()>,
) -> Result<PollAuth, PollAuthError> {
    caller.app_only()?;
    if !caller.app.settings.allow_auth_sessions {
        return Err(PollAuthError::NotAllowed);
    }
    tokio::pin!(enough);
    let first = own_session(flows, caller, session_token).await?;
    let waiter = flows.waiting().begin(&first.sid);
    loop {
        let session = own_session(flows, caller, session_token).await?;
        let (looked, seen) = look(flows, caller, session).await?;
        if !matches!(looked, PollAuth::Pending) || !waiter.saw(&seen) {
            return Ok(looked);
        }
        tokio::select! {
            () = &mut enough => return Ok(looked),
            () = waiter.woken() => {}
        }
    }
}

async fn own_session(flows: &Flows, caller: &Caller, token: &str) -> Result<Session, PollAuthError> {
    let found = flows.auth_session_by_token(token).await?;
    let is_own = |session: &Session| {
        let key = session.data.auth.as_ref().map(|auth| auth.key);
        session.app_id == caller.app.id && key == Some(caller.key.id)
    };
    found.filter(is_own).ok_or(PollAuthError::InvalidToken)
}

/// Applies the deadline, and looks at what there is.
async fn look(
    flows: &Flows,
    caller: &Caller,
    session: Session,
) -> Result<(PollAuth, Session), PollAuthError> {
    let now = flows.now();
    let settled = flows.update_session(session, |s| Ok::<_, StoreError>((exit::settle(s, now), ())));
    let (session, ()) = settled.await?.ok_or(PollAuthError::InvalidToken)?;
    let looked = match session.end().map(|end| end.kind) {
        None => PollAuth::Pending,
        Some(EndKind::Done) => release(flows, caller, &session).await?,
        Some(EndKind::Expired) => PollAuth::Expired,
        Some(EndKind::Cancelled | EndKind::Failed) => PollAuth::Cancelled,
    };
    Ok((looked, session))
}

/// Gives the token away, if it is still one: wiped first, so that two polls at once get it once.
async fn release(flows: &Flows, caller: &Caller, session: &Session) -> Result<PollAuth, PollAuthError> {
    let Some(sealed) = flows.store().get_user_token(&session.sid).await? else {
        return Ok(PollAuth::Released);
    };
    let key = flows.sealer().current_key(session.app_id).await?;
    let user_token = flows.sealer().open_text(&key, &session.user_token_place(), &sealed).await?;
    // Where the identity provider cannot be asked now, the token stays for the next poll.
    let verified = match verify_user(flows, &caller.app, &user_token).await {
        Err(error @ (UserTokenError::Unreachable(_) | UserTokenError::Fault(_))) => return Err(error.into()),
        verified => verified,
    };
    let now = flows.now();
    let mut wiped = session.clone();
    if let Some(auth) = &mut wiped.data.auth {
        auth.released_at = Some(now);
    }
    if !flows.store().save_session_with_token(&wiped, None).await?.is_done() {
        return Ok(PollAuth::Released);
    }
    let user = match verified {
        Ok(user) => user,
        Err(why) => {
            tracing::warn!(sid = %session.sid, %why, "the token of an auth session is not released");
            return Ok(PollAuth::Stale);
        }
    };
    let (kind, key) = (AuditKind::UserTokenReleased, Some(caller.key.id));
    note(flows, session, kind, key, &caller.request_id, now).await;
    Ok(PollAuth::Completed { user_token, user })
}

/// A failure of the audit does not undo what it tells.
async fn note(
    flows: &Flows,
    session: &Session,
    kind: AuditKind,
    key_id: Option<KeyId>,
    request_id: &str,
    at: Micros,
) {
    let entry = AuditEntry {
        sid: Some(session.sid.clone()),
        key_id,
        request_id: Some(request_id.to_owned()),
        ..AuditEntry::new(session.app_id, at, kind, json!({}))
    };
    if let Err(error) = flows.store().append_audit(entry).await {
        crate::metrics::audit_failed();
        tracing::error!(sid = %session.sid, %error, "an auth session could not be written to the audit");
    }
}
