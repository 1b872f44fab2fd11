//! Auth sessions (wire 3.9, 3.10): an app's backend without a page of its own learns who its user is. The user signs in at the
//! app's identity provider, in any browser, and the backend gets the user's token, once. What that is worth, and why an
//! operator allows it for each app: [`alter_core::auth_session`].
//!
//! 1. [`create`]: the app allows it, and has a client at its identity provider.
//! 2. A browser opens the address and signs in ([`crate::connect::sign_in`]); [`signed_in`] seals the token beside the
//!    session and ends the session, in one commit. Where the key or the app may not ask any more, [`withdraw`] ends it first.
//! 3. [`poll`]: the key that started it gets the token. It is wiped before it leaves, in the commit of its audit entry.
//! 4. [`wipe_unfetched`]: nobody came for it.

use alter_core::{
    App, AuditEntry, AuditKind, AuthSession, EndKind, Level, Micros, Saved, Session, SessionData, SessionId,
    StoreError, auth_session::user_code, exit, token,
};
use alter_oauth::UserClaims;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    authenticate::{AuthError, app_of_now},
    caller::{Caller, Refusal, Spent, ours},
    user_token::{UserTokenError, verify_user},
};
use crate::{
    AppKeyRequired, Flows,
    fault::FlowFault,
    metrics,
    quota::{Quota, Taken},
    rounds::Rounds,
};

/// How many times a step is tried that another write can overtake.
const ROUNDS: usize = 4;
/// How long a token waits to be fetched, seconds.
const TOKEN_KEPT: i64 = 600;

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

ours! { CreateAuthError; PollAuthError: Key, User; }

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
        metrics::minted();
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
    data.auth = Some(AuthSession { key: caller.key.id, requester, signed_in_as: None, released_at: None });
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

/// Ends an auth session whose token nobody may fetch any more: its key is revoked, or the operator does not allow it any more.
/// The person shall see that, and not sign in for nothing. Returns whether it did.
pub(crate) async fn withdraw(flows: &Flows, session: &Session) -> Result<bool, StoreError> {
    let Some(auth) = session.data.auth.as_ref().filter(|_| session.end().is_none()) else { return Ok(false) };
    let app = flows.app_of(session.app_id).await?;
    let keys = flows.store().list_keys(app.id).await?;
    let stands = keys.iter().any(|key| key.id == auth.key && key.revoked_at.is_none());
    if stands && app.settings.allow_auth_sessions {
        return Ok(false);
    }
    let now = flows.now();
    let ended = flows.update_session(session.clone(), |session| {
        let open = session.end().is_none();
        session.finish(now);
        Ok::<_, StoreError>((open, ()))
    });
    ended.await?;
    tracing::warn!(sid = %session.sid, app = %app.id, "an auth session is over: its key or its app may not ask any more");
    Ok(true)
}

/// Somebody has signed in: seals the token beside the session and ends the session.
pub(crate) async fn signed_in(
    flows: &Flows,
    sid: &SessionId,
    user_token: &SecretString,
    user: &UserClaims,
    request_id: &str,
) -> Result<(), FlowFault> {
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let Some(mut session) = flows.store().get_session(sid).await? else { return Ok(()) };
        if !session.signed_in(flows.now()) {
            return Ok(());
        }
        if let Some(auth) = &mut session.data.auth {
            auth.signed_in_as = Some(user.label.clone());
        }
        let key = flows.sealer().current_key(session.app_id).await?;
        let sealed = flows.sealer().seal_text(&key, &session.user_token_place(), user_token)?;
        let audit = entry(flows, &session, AuditKind::SignedIn, user, request_id).await?;
        match flows.store().save_session_with_token(&session, Some(sealed), Some(audit)).await {
            Ok(Saved::Done) => {
                flows.waiting().tell(sid);
                metrics::ended(EndKind::Done);
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
    /// The user left, or the key or the app may not ask any more.
    Cancelled,
    /// Nobody signed in in time, or nobody fetched the token in time.
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
    /// The key was revoked while the poll waited.
    #[error(transparent)]
    Key(#[from] AuthError),
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

/// Gives the token away, if it is still one. Key and app are those of now, since the poll may have waited.
async fn release(flows: &Flows, caller: &Caller, session: &Session) -> Result<PollAuth, PollAuthError> {
    let Some(sealed) = flows.store().get_user_token(&session.sid).await? else {
        return Ok(gone(flows, &session.sid).await?);
    };
    let app = app_of_now(flows, caller).await?;
    if !app.settings.allow_auth_sessions {
        return Err(PollAuthError::NotAllowed);
    }
    let key = flows.sealer().current_key(session.app_id).await?;
    let user_token = flows.sealer().open_text(&key, &session.user_token_place(), &sealed).await?;
    match verify_user(flows, &app, &user_token).await {
        // Where the identity provider cannot be asked now, the token stays for the next poll.
        Err(error @ (UserTokenError::Unreachable(_) | UserTokenError::Fault(_))) => Err(error.into()),
        Err(why) => {
            tracing::warn!(sid = %session.sid, %why, "the token of an auth session is not released");
            let wiped = wipe(flows, session, None).await?;
            Ok(if wiped { PollAuth::Stale } else { gone(flows, &session.sid).await? })
        }
        Ok(user) => {
            let kind = AuditKind::UserTokenReleased;
            let audit = entry(flows, session, kind, &user, &caller.request_id).await?;
            let audit = AuditEntry { key_id: Some(caller.key.id), ..audit };
            let wiped = wipe(flows, session, Some(audit)).await?;
            Ok(if wiped {
                PollAuth::Completed { user_token, user }
            } else {
                gone(flows, &session.sid).await?
            })
        }
    }
}

/// Wipes the token; returns `false` when another has wiped it. `released`: its entry is in the same commit, so that no token
/// leaves without one. Of two polls at once one gets `true`; anything else that moves the session on takes nothing away.
async fn wipe(flows: &Flows, session: &Session, released: Option<AuditEntry>) -> Result<bool, StoreError> {
    let mut session = session.clone();
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        if let (Some(entry), Some(auth)) = (&released, &mut session.data.auth) {
            auth.released_at = Some(entry.at);
        }
        if flows.store().save_session_with_token(&session, None, released.clone()).await?.is_done() {
            return Ok(true);
        }
        match flows.store().get_session(&session.sid).await? {
            Some(moved) if flows.store().get_user_token(&moved.sid).await?.is_some() => session = moved,
            _ => return Ok(false),
        }
    }
}

/// What became of a token that is not there.
async fn gone(flows: &Flows, sid: &SessionId) -> Result<PollAuth, StoreError> {
    let auth = flows.store().get_session(sid).await?.and_then(|session| session.data.auth);
    let was_released = auth.is_some_and(|auth| auth.released_at.is_some());
    Ok(if was_released { PollAuth::Released } else { PollAuth::Expired })
}

/// Wipes tokens that nobody has fetched for ten minutes.
pub(crate) async fn wipe_unfetched(flows: &Flows, limit: u32) -> Result<(), StoreError> {
    let before = flows.now().plus_seconds(-TOKEN_KEPT);
    let mut result = Ok(());
    for session in flows.store().list_sessions_with_token(limit).await? {
        if session.end().is_none_or(|end| end.at <= before) {
            result = result.and(wipe(flows, &session, None).await.map(drop));
        }
    }
    result
}

/// An entry that says who it was.
async fn entry(
    flows: &Flows,
    session: &Session,
    kind: AuditKind,
    user: &UserClaims,
    request_id: &str,
) -> Result<AuditEntry, StoreError> {
    let known = flows.store().find_user(session.app_id, &user.issuer, &user.subject).await?;
    let details = json!({ "iss": user.issuer, "sub": user.subject });
    Ok(AuditEntry {
        sid: Some(session.sid.clone()),
        user_id: known.map(|user| user.id),
        request_id: Some(request_id.to_owned()),
        ..AuditEntry::new(session.app_id, flows.now(), kind, details)
    })
}
