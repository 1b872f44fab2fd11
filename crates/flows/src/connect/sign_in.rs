//! Signing in at the app's identity provider (S9): how a browser that came by a link proves whose it is.
//!
//! 1. The person leaves for the identity provider ([`sign_in`]): a fresh trip is stored, and all that belongs to it is derived
//!    from the browser key ([`alter_core::TripSecrets`]).
//! 2. The browser comes back ([`came_back`]). It must have the cookie, the newest trip's `state`, and be on the callback path
//!    of the sign-in client; the issuer must be right. The trip is taken, once.
//! 3. The code is exchanged, and the id_token verified with the trip's nonce. Nothing of the answer is kept. A crash here
//!    loses nothing: the person signs in again.
//! 4. Issuer and subject must be those of the session's user. Then the session is bound at L2. For an auth session anybody may
//!    sign in whose token is a user token of the app; that token is sealed for the app ([`crate::callers::auth_session`]).

use alter_core::{
    AuditEntry, AuditKind, Cause, ProviderConfig, Session, SessionId, SignInFault, Trip, TripSecrets,
};
use alter_oauth::{AuthorizationRequest, Callback, CallbackOutcome, Client, UserClaims, check_iss};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use super::{
    askable::why_not_askable,
    callback::{CallbackEnd, CallbackRequest},
    consent::callback_url,
    steps::StepError,
    stop::{Stop, refused, token_stop},
};
use crate::{
    Flows,
    callers::{
        auth_session,
        user_token::{UserTokenError, verify_user},
    },
    context::hash_secret,
    fault::FlowFault,
};

/// The person leaves for the identity provider; returns its address for the browser.
///
/// # Errors
/// [`StepError`]: `Moved` also when the app's sign-in cannot be used; the page then says so.
pub async fn sign_in(flows: &Flows, sid: &SessionId, browser_key: &SecretString) -> Result<Url, StepError> {
    let session = flows.store().get_session(sid).await?.ok_or(StepError::NotYours)?;
    if !session.is_browser(&hash_secret(browser_key)) {
        return Err(StepError::NotYours);
    }
    if auth_session::withdraw(flows, &session).await? {
        return Err(StepError::Moved);
    }
    let sign_in = session.data.sign_in.clone().filter(|_| session.has_to_sign_in());
    let sign_in = sign_in.ok_or(StepError::Moved)?;
    let Some(client) = client_of(flows, &session).await? else {
        failed(flows, sid, SignInFault::Failed).await?;
        return Err(StepError::Moved);
    };
    let trip = Trip {
        salt: flows.fresh_secret().expose_secret().to_owned(),
        config: client.config_id.clone(),
        at: flows.now(),
    };
    let secrets = TripSecrets::derive(sid, browser_key, &trip);
    let location = location(flows, &client, &secrets, sign_in.other_user)?;
    let begun = flows.update_session(session, |session| {
        let before = session.data.sign_in.clone();
        let begun = session.sign_in_begun(trip.clone());
        // Why none has begun is stored too, for the page.
        Ok::<_, FlowFault>((session.data.sign_in != before, begun))
    });
    match begun.await? {
        Some((_, true)) => Ok(location),
        _ => Err(StepError::Moved),
    }
}

/// The app's client at its identity provider, if it can be used; if not, the log says what mends it.
async fn client_of(flows: &Flows, session: &Session) -> Result<Option<ProviderConfig>, FlowFault> {
    let app = flows.app_of(session.app_id).await?;
    let found = match app.sign_in() {
        Some(client) => flows.provider(app.id, &client.config_id).await,
        None => Ok(None),
    };
    let why = match found {
        Ok(Some(config)) => match why_not_askable(flows, &config).await {
            None => return Ok(Some(config)),
            Some((endpoint, error)) => format!("its {endpoint} cannot be asked: {error}"),
        },
        Ok(None) => "it is not configured any more (alter idp set APP ... --client-id)".to_owned(),
        Err(fault) if fault.is_unproven() => fault.to_string(),
        Err(fault) => return Err(fault),
    };
    tracing::error!(sid = %session.sid, app = %app.id, why, "nobody can sign in at the app's identity provider");
    Ok(None)
}

/// `other_user`: somebody else is signed in there, so that the identity provider shall ask who it is.
fn location(
    flows: &Flows,
    client: &ProviderConfig,
    secrets: &TripSecrets,
    other_user: bool,
) -> Result<Url, FlowFault> {
    let mut recipe = (*client.recipe).clone();
    if other_user {
        // OpenID Connect Core section 3.1.2.1.
        recipe.authorize_params.insert("prompt".to_owned(), "login".to_owned());
    }
    let challenge = alter_core::secret::sha256(secrets.verifier.expose_secret().as_bytes());
    let request = AuthorizationRequest {
        recipe: &recipe,
        client_id: &client.client_id,
        redirect_uri: &callback_url(flows, client),
        scopes: &client.scopes,
        state: secrets.state.expose_secret(),
        nonce: &secrets.nonce,
        challenge: &alter_core::secret::base64url(&challenge),
    };
    alter_oauth::authorize_url(&request)
        .map_err(|_| FlowFault::Broken("a stored sign-in client has no usable authorize_url"))
}

/// The browser is back from the identity provider. A browser without the session's cookie changes nothing: it cannot know
/// whether the session is there, and its code is of no use without the verifier.
pub(super) async fn came_back(
    flows: &Flows,
    request: &CallbackRequest<'_>,
    sid: SessionId,
    callback: Callback,
    cookie: impl Fn(&SessionId) -> Option<SecretString>,
) -> Result<CallbackEnd, FlowFault> {
    let Some(key) = cookie(&sid) else { return Ok(CallbackEnd::OtherBrowser) };
    let Some(session) = flows.store().get_session(&sid).await? else { return Ok(CallbackEnd::NotOurs) };
    if !session.is_browser(&hash_secret(&key)) {
        return Ok(CallbackEnd::OtherBrowser);
    }
    if auth_session::withdraw(flows, &session).await? {
        return Ok(CallbackEnd::ToSession(sid));
    }
    let trip = session.data.sign_in.as_ref().and_then(|sign_in| sign_in.trip.clone());
    let Some(trip) = trip else { return Ok(CallbackEnd::ToSession(sid)) };
    let secrets = TripSecrets::derive(&sid, &key, &trip);
    // An older trip, or a page that came twice: the session's page says what is due.
    if !secrets.is_state(&callback.state) || !take(flows, &sid, &trip).await? {
        return Ok(CallbackEnd::ToSession(sid));
    }
    // RFC 9700 section 4.4: another client's redirect URI.
    let proven = if trip.config.as_str() == request.config_id {
        proven(flows, &session, &trip, &secrets, callback).await
    } else {
        Err(refused(Cause::MixUp, "the identity provider's answer came on another callback path"))
    };
    let done = match proven {
        Ok(proof) => signed_in(flows, &sid, proof, request.request_id).await.map_err(Stop::from),
        Err(stop) => Err(stop),
    };
    match done {
        Ok(()) | Err(Stop::Moved) => {}
        Err(stop) => {
            let fault = fault_of(&stop);
            tracing::warn!(%sid, request_id = request.request_id, why = %stop, "a sign-in proves nothing");
            note_refused(flows, &session, fault, request.request_id).await;
            failed(flows, &sid, fault).await?;
        }
    }
    Ok(CallbackEnd::ToSession(sid))
}

fn fault_of(stop: &Stop) -> SignInFault {
    match stop {
        Stop::Refused { cause, .. } => cause.into(),
        Stop::Fault(_) | Stop::Moved => SignInFault::Failed,
    }
}

/// Takes the trip: whoever comes after that with the same answer gets nothing.
async fn take(flows: &Flows, sid: &SessionId, trip: &Trip) -> Result<bool, FlowFault> {
    let now = flows.now();
    let taken = flows.update_session_by_id(sid, |session| {
        let before = session.data.sign_in.clone();
        let taken = session.sign_in_back(trip, now).is_some();
        // One that came too late is over as well.
        Ok::<_, FlowFault>((session.data.sign_in != before, taken))
    });
    Ok(taken.await?.is_some_and(|(_, taken)| taken))
}

/// Who has signed in.
enum SignedIn {
    /// The session's own user.
    User,
    /// Anybody, whose token this is.
    Anybody(SecretString, UserClaims),
}

/// Steps 3 and 4.
async fn proven(
    flows: &Flows,
    session: &Session,
    trip: &Trip,
    secrets: &TripSecrets,
    callback: Callback,
) -> Result<SignedIn, Stop> {
    let config = client_of(flows, session).await?.filter(|config| config.config_id == trip.config);
    let config = config.ok_or_else(|| refused(Cause::ProviderNotConfigured, "the sign-in client is gone"))?;
    check_iss(&config.recipe, callback.iss.as_deref()).map_err(|why| refused(Cause::IssMismatch, why))?;
    let code = match callback.outcome {
        CallbackOutcome::Code(code) => code,
        CallbackOutcome::Error(cause) => {
            let said = callback.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
            let why = format!("the identity provider sent an error, {cause}{said}");
            return Err(refused(cause, why));
        }
        CallbackOutcome::Unreadable(why) => return Err(refused(Cause::CallbackNotUnderstood, why)),
    };
    let (id_token, claims) = id_token(flows, &config, secrets, &code).await?;
    if session.data.auth.is_some() {
        let app = flows.app_of(session.app_id).await?;
        let verified = verify_user(flows, &app, &id_token).await;
        return match verified {
            Ok(user) => Ok(SignedIn::Anybody(id_token, user)),
            Err(UserTokenError::Fault(fault)) => Err(fault.into()),
            Err(why) => Err(refused(Cause::IdTokenInvalid, why)),
        };
    }
    let text = |name: &str| claims.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    let found = flows.store().find_user(session.app_id, text("iss"), text("sub")).await?;
    let found = found.map(|user| user.id);
    if found.is_some() && found == session.data.user.as_ref().map(|user| user.id) {
        Ok(SignedIn::User)
    } else {
        Err(refused(Cause::OtherUser, if found.is_some() { OTHER_USER } else { NO_USER }))
    }
}

/// For the operator's log.
const OTHER_USER: &str = "another user of the app has signed in than the session was minted for";
/// The person may be the right one all the same.
const NO_USER: &str = "who has signed in has never been a user of the app: no user token had this issuer and `sub`. If every \
                       sign-in fails so, the identity provider gives each client another `sub` (pairwise): let \
                       `alter idp set --client-id` name the client that your user tokens are made for, or give both clients \
                       one public subject";

/// The id_token that a code brings, and its claims.
async fn id_token(
    flows: &Flows,
    config: &ProviderConfig,
    secrets: &TripSecrets,
    code: &SecretString,
) -> Result<(SecretString, serde_json::Value), Stop> {
    let key = flows.sealer().current_key(config.app_id).await?;
    let secret = flows.sealer().client_secret(&key, config).await?;
    let client = Client { id: &config.client_id, secret: secret.as_ref() };
    let redirect_uri = callback_url(flows, config);
    let egress = &flows.inner.egress;
    let answer =
        alter_oauth::exchange(egress, &config.recipe, &client, code, &secrets.verifier, &redirect_uri).await;
    let answer = answer.map_err(|error| refused(error.cause(), error))?;
    let tokens =
        alter_oauth::parse_token_answer(&config.recipe, &answer).map_err(|error| token_stop(error, None))?;
    let id_token = tokens.id_token.as_ref();
    let id_token = id_token.ok_or_else(|| refused(Cause::IdTokenMissing, "no id_token came"))?;
    let verified = flows.inner.jwks.of(config.app_id).verify_id_token(
        egress,
        &config.recipe,
        id_token,
        &config.client_id,
        &secrets.nonce,
        Some(&tokens.access_token),
        flows.now(),
        flows.now(),
    );
    let claims = verified.await.map_err(|error| refused(error.cause(), error))?;
    Ok((id_token.clone(), claims))
}

async fn signed_in(flows: &Flows, sid: &SessionId, who: SignedIn, request_id: &str) -> Result<(), FlowFault> {
    let now = flows.now();
    if let SignedIn::Anybody(token, user) = who {
        return auth_session::signed_in(flows, sid, &token, &user, request_id).await;
    }
    let bound = flows.update_session_by_id(sid, |session| {
        let bound = session.signed_in(now);
        Ok::<_, FlowFault>((bound, bound))
    });
    if let Some((session, true)) = bound.await? {
        note(flows, entry(&session, AuditKind::SignedIn, json!({}), request_id, now)).await;
    }
    Ok(())
}

async fn failed(flows: &Flows, sid: &SessionId, fault: SignInFault) -> Result<(), FlowFault> {
    let now = flows.now();
    let noted = flows.update_session_by_id(sid, |session| {
        session.sign_in_failed(fault, now);
        Ok::<_, FlowFault>((true, ()))
    });
    noted.await.map(drop)
}

async fn note_refused(flows: &Flows, session: &Session, fault: SignInFault, request_id: &str) {
    let details = json!({ "reason": fault });
    note(flows, entry(session, AuditKind::SignInRefused, details, request_id, flows.now())).await;
}

fn entry(
    session: &Session,
    kind: AuditKind,
    details: serde_json::Value,
    request_id: &str,
    at: alter_core::Micros,
) -> AuditEntry {
    AuditEntry {
        sid: Some(session.sid.clone()),
        user_id: session.principal().user(),
        request_id: Some(request_id.to_owned()),
        ..AuditEntry::new(session.app_id, at, kind, details)
    }
}

/// A failure of the audit does not undo the sign-in.
async fn note(flows: &Flows, entry: AuditEntry) {
    if let Err(error) = flows.store().append_audit(entry).await {
        crate::metrics::audit_failed();
        tracing::error!(%error, "a sign-in could not be written to the audit");
    }
}
