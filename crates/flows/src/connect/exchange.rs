//! From a code to a grant, or to a connection that waits for the app ([`super::stage`]). Runs in its own task. A replay after
//! a crash (`reap`) runs steps 4 to 6.
//!
//! 1. Store the status `sent`, durably.
//! 2. Send the token request.
//! 3. Journal the raw answer: sealed, durably ([`crate::journal`]).
//! 4. Parse the answer and read the account's identity ([`super::identity`]).
//! 5. Seal the tokens for the grant's row ([`super::grant`]).
//! 6. Store grant, session, audit and attempt in one commit.

use alter_core::{
    Attempt, AttemptSecret, AttemptStatus, AuditKind, Cause, Ended, Micros, ProviderConfig, ProviderWords,
};
use alter_oauth::{Client, RawAnswer};
use alter_vault::DataKey;
use secrecy::SecretString;

use super::{
    end::{Ending, end_failed},
    grant::{Source, completion, known_grant},
    identity::read_identity,
    left::Left,
    stage::stage,
    stop::{Stop, label, refused, token_stop},
};
use crate::{
    Flows,
    fault::FlowFault,
    journal::{journal, open_journal},
    metrics::{self, Exchanging},
    rounds::Rounds,
};

/// How many times a step is tried that another write can overtake (a key rotation, the same account connected twice).
const ROUNDS: usize = 4;

/// The whole exchange. It returns no error: every end is written to the attempt and logged once.
pub(crate) async fn exchange(flows: &Flows, attempt: Attempt, code: SecretString, request_id: &str) {
    let exchanging = Exchanging::begin();
    let journalled = request_token(flows, &attempt, &code).await;
    let (journalled, outcome) = match journalled {
        Ok(answered) => (true, finish_exchange(flows, &attempt, answered, request_id).await),
        Err(stop) => (false, Err(stop)),
    };
    let label = label(&outcome);
    write_end(flows, &attempt, outcome, journalled, request_id).await;
    exchanging.done(label);
}

/// Finishes an attempt whose answer is in the journal, after a crash or a failure of our own.
pub(crate) async fn replay(flows: &Flows, attempt: Attempt) {
    let exchanging = Exchanging::begin();
    let outcome = match open_journal(flows, &attempt).await {
        // In `sent`, `status_at` is when we sent the request. Count `expires_in` from there, not from the replay.
        Ok(answer) => {
            let answered = Answered { answer, received_at: attempt.status_at, sent: None };
            finish_exchange(flows, &attempt, answered, "replay").await
        }
        Err(fault) => Err(fault.into()),
    };
    let label = label(&outcome);
    write_end(flows, &attempt, outcome, true, "replay").await;
    exchanging.done(label);
}

async fn write_end(
    flows: &Flows,
    attempt: &Attempt,
    outcome: Result<(), Stop>,
    journalled: bool,
    request_id: &str,
) {
    let (status, cause, said, left) = match outcome {
        Ok(()) | Err(Stop::Moved) => return,
        Err(Stop::Refused { cause, why, said, left }) => {
            let words = said.as_ref().map(ProviderWords::as_str);
            tracing::warn!(sid = %attempt.sid, request_id, %cause, why, said = words, "exchange refused");
            (AttemptStatus::Failed, cause, said, left)
        }
        Err(Stop::Fault(fault)) => {
            tracing::error!(sid = %attempt.sid, request_id, error = %fault, journalled, "exchange failed");
            if journalled {
                return;
            }
            // Not `Failed`: a write that was reported lost may have been done, and then the answer is in the journal.
            (AttemptStatus::Interrupted, Cause::ServerFault, None, None)
        }
    };
    let end = Ending { status, cause, said, audit: AuditKind::ConnectFailed };
    match end_failed(flows, attempt, end, request_id).await {
        // From here on no replay makes a grant with the tokens.
        Ok(ended) if ended.is_done() => {
            if let Some(left) = left {
                left.let_go(flows, attempt);
            }
        }
        Ok(_) => {}
        Err(error) => {
            tracing::error!(sid = %attempt.sid, request_id, %error, "the failure could not be stored");
        }
    }
}

/// What steps 1 to 3 bring.
struct Answered {
    answer: RawAnswer,
    received_at: Micros,
    /// The secrets of the request. `None` = another process sent it: then the provider's words are not read, since it may
    /// repeat them there.
    sent: Option<Vec<SecretString>>,
}

/// Steps 1 to 3.
async fn request_token(flows: &Flows, attempt: &Attempt, code: &SecretString) -> Result<Answered, Stop> {
    let Opened { config, key, verifier, secret } = opened(flows, attempt).await?;
    if !flows.store().mark_sent(attempt.id, &attempt.brought, flows.now()).await?.is_done() {
        return Err(Stop::Moved);
    }
    alter_failpoint::pass("sent");
    let client = Client { id: &config.client_id, secret: secret.as_ref() };
    let answer = alter_oauth::exchange(
        &flows.inner.egress,
        &config.recipe,
        &client,
        code,
        &verifier,
        &attempt.redirect_uri,
    )
    .await
    .map_err(|error| refused(error.cause(), error))?;
    // Read the clock now: the journal may have to wait, and `expires_in` counts from when the answer came.
    let received_at = flows.now();
    // From here to the end of `journal`, a crash loses the tokens that the provider has just given us.
    let window = alter_failpoint::Stopwatch::start();
    alter_failpoint::pass("answered");
    let journalled = journal(flows, attempt, key, &answer).await?;
    window.stop("crash_window");
    alter_failpoint::pass("journalled");
    let sent = Some([code.clone(), verifier].into_iter().chain(secret).collect());
    if journalled.is_done() { Ok(Answered { answer, received_at, sent }) } else { Err(Stop::Moved) }
}

/// Opens what the request needs. A value that was put under a new key between reading and opening is read again.
async fn opened(flows: &Flows, attempt: &Attempt) -> Result<Opened, Stop> {
    let mut sealed = attempt.verifier.clone();
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let config = config_of(flows, attempt).await?;
        match try_opened(flows, attempt, &sealed, config).await {
            Err(fault) if fault.is_overtaken() => {
                let again = flows.store().find_attempt(&attempt.state_hash).await?;
                sealed = again.ok_or(Stop::Moved)?.verifier;
            }
            opened => return Ok(opened?),
        }
    }
}

async fn try_opened(
    flows: &Flows,
    attempt: &Attempt,
    verifier: &[u8],
    config: ProviderConfig,
) -> Result<Opened, FlowFault> {
    let key = flows.sealer().current_key(attempt.app_id).await?;
    let verifier = flows.sealer().open_text(&key, &attempt.place(AttemptSecret::Verifier), verifier).await?;
    let secret = flows.sealer().client_secret(&key, &config).await?;
    Ok(Opened { config, key, verifier, secret })
}

/// Steps 4 to 6. May run again on the same answer: the commit succeeds only once.
async fn finish_exchange(
    flows: &Flows,
    attempt: &Attempt,
    answered: Answered,
    request_id: &str,
) -> Result<(), Stop> {
    let Answered { answer, received_at, sent } = answered;
    let config = config_of(flows, attempt).await?;
    let said = || alter_oauth::words_of(&config.recipe, &answer, sent.as_ref()?);
    let tokens =
        alter_oauth::parse_token_answer(&config.recipe, &answer).map_err(|e| token_stop(e, said()))?;
    let left = |subject| Left { config: config.clone(), tokens: tokens.clone(), subject };
    let session = flows.store().get_session(&attempt.sid).await?.ok_or(Stop::Moved)?;
    let identity = read_identity(flows, attempt, &session, &config, &tokens, received_at).await;
    let identity = identity.map_err(|stop| stop.leaving(|| left(None)))?;
    let source = Source {
        session: &session,
        config: &config,
        tokens: &tokens,
        identity: &identity,
        received_at,
        is_confirmed: false,
    };
    let made = make_grant(flows, attempt, &source, request_id).await;
    made.map_err(|stop| stop.leaving(|| left(Some(identity.subject.clone()))))
}

/// Steps 5 and 6.
pub(super) async fn make_grant(
    flows: &Flows,
    attempt: &Attempt,
    source: &Source<'_>,
    request_id: &str,
) -> Result<(), Stop> {
    // Another window may connect the same account at this moment, or the app's data key may be replaced: then read and
    // seal again.
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let key = flows.sealer().current_key(attempt.app_id).await?;
        let known = known_grant(flows, attempt, source).await?;
        let waits = source.waits_for_app(known.as_ref());
        if waits && !source.session.can_be_confirmed() {
            return Err(refused(
                Cause::NotConfirmed,
                "the account's grant is bound better than this session, which has no proof for the end",
            ));
        }
        let stored = if waits {
            stage(flows, attempt, source, &key, request_id).await
        } else {
            match completion(flows, attempt, source, known.as_ref(), &key, request_id).await {
                Err(Stop::Fault(fault)) if fault.is_overtaken() => continue,
                complete => flows.store().complete_connect(complete?).await.map_err(FlowFault::from),
            }
        };
        match stored {
            Ok(Ended::Before) => return Err(Stop::Moved),
            Ok(ended) => {
                alter_failpoint::pass(if waits { "staged" } else { "committed" });
                metrics::session_ended_with(ended);
                flows.waiting().tell(&attempt.sid);
                tracing::info!(sid = %attempt.sid, request_id, provider = source.config.recipe.id, waits, "connected");
                return Ok(());
            }
            Err(error) if error.is_overtaken() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) async fn config_of(flows: &Flows, attempt: &Attempt) -> Result<ProviderConfig, Stop> {
    let config = flows.provider(attempt.app_id, &attempt.config_id).await?;
    let config =
        config.ok_or_else(|| refused(Cause::ProviderNotConfigured, "the operator removed the provider"))?;
    config.for_customer(&attempt.filled).map_err(|bad| refused(Cause::ProviderMisconfigured, bad))
}

/// What a token request needs.
struct Opened {
    config: ProviderConfig,
    /// The app's current key, for the answer.
    key: DataKey,
    verifier: SecretString,
    secret: Option<SecretString>,
}
