//! From the answer of a refresh to the grant: judge, seal, and change the grant by compare-and-set; or end tokens that came
//! too late.

use alter_core::{
    AuditKind, DiscardRefresh, EndRefresh, Grant, GrantSecret, Hash, Micros, ProviderWords, Recipe,
    ReconnectReason, RefreshAttempt, RefreshEnded, RefreshResult, Revocation, Saved,
    recipe::RevokeEnds,
    refresh::{Outcome, Trouble},
};
use alter_oauth::{RawAnswer, TokenSet, judge_answer, words_of};
use alter_vault::DataKey;
use secrecy::{ExposeSecret, SecretString};

use super::{attempt::Asking, flight::Flown, gate::Pass};
use crate::{Flows, fault::FlowFault, grants::revocation, metrics, rounds::Rounds};

/// How many times a step is tried that another write can overtake.
const ROUNDS: usize = 8;

/// An answer, and when it came.
pub(super) struct Answered {
    pub(super) answer: RawAnswer,
    pub(super) received_at: Micros,
    /// The secrets of the request. `None` = another process sent it: then the provider's words are not read, since it may
    /// repeat them there.
    pub(super) sent: Option<Vec<SecretString>>,
}

impl Answered {
    /// What the provider said about an error, without what was sent.
    fn said(&self, asking: &Asking) -> Option<ProviderWords> {
        words_of(&asking.config.recipe, &self.answer, self.sent.as_ref()?)
    }
}

/// Applies an answer that is in the journal. May run again on the same answer: it counts once.
pub(super) async fn finish(
    flows: &Flows,
    asking: &Asking,
    attempt: &RefreshAttempt,
    answered: Answered,
    pass: Option<&Pass>,
) -> Result<Flown, FlowFault> {
    match judge_answer(&asking.config.recipe, &answered.answer) {
        Ok(tokens) => {
            if let Some(pass) = pass {
                pass.answered();
            }
            renew(flows, asking, attempt, &tokens, answered.received_at).await
        }
        Err(outcome) => {
            let said = answered.said(asking);
            end(flows, asking, attempt, outcome, said, pass).await
        }
    }
}

/// Ends an attempt that has no answer.
pub(super) async fn give_up(
    flows: &Flows,
    asking: &Asking,
    attempt: &RefreshAttempt,
    outcome: Outcome,
    pass: &Pass,
) -> Result<Flown, FlowFault> {
    end(flows, asking, attempt, outcome, None, Some(pass)).await
}

async fn end(
    flows: &Flows,
    asking: &Asking,
    attempt: &RefreshAttempt,
    outcome: Outcome,
    said: Option<ProviderWords>,
    pass: Option<&Pass>,
) -> Result<Flown, FlowFault> {
    let at = flows.now();
    if let Some(pass) = pass {
        match &outcome {
            Outcome::Refused(_) => pass.answered(),
            Outcome::Failed { trouble, retry_after } => pass.failed(*trouble, *retry_after, at),
            Outcome::Unknown => pass.failed(Trouble::Provider, None, at),
        }
    }
    let word = outcome.as_str();
    if matches!(outcome, Outcome::Failed { trouble: Trouble::Client, .. }) {
        tracing::error!(
            provider = asking.provider(),
            config_id = asking.config.config_id.as_str(),
            "the provider does not accept this client: no grant of it can be refreshed until the operator mends it \
             (alter provider set, alter doctor)"
        );
    }
    let details = serde_json::json!({ "provider": asking.provider(), "outcome": word });
    let end = EndRefresh {
        attempt: attempt.clone(),
        result: RefreshResult::Nothing(outcome),
        facts: asking.facts(),
        at,
        audit: asking.entry(AuditKind::ReconnectNeeded, at, details),
    };
    let ended = flows.store().end_refresh(end).await?;
    alter_failpoint::pass("refresh_ended");
    let reason = match ended {
        RefreshEnded::Condemned => verdict(flows, asking).await?,
        _ => None,
    };
    let lost = reason == Some(ReconnectReason::RotationLost);
    metrics::refreshed(asking.provider(), if lost { "rotation_lost" } else { word });
    let reconnect = reason.map(ReconnectReason::as_str);
    let said = said.as_ref().map(ProviderWords::as_str);
    tracing::warn!(
        grant_id = %asking.grant_id, provider = asking.provider(), outcome = word, reconnect, said, "refresh failed"
    );
    Ok(Flown::Moved)
}

/// Why the user has to connect again. Storage decides that on the row as it is, so it is read.
async fn verdict(flows: &Flows, asking: &Asking) -> Result<Option<ReconnectReason>, FlowFault> {
    let grant = flows.store().get_grant(asking.app_id, asking.grant_id).await?;
    Ok(grant.and_then(|grant| grant.refresh.verdict).map(|verdict| verdict.reason))
}

async fn renew(
    flows: &Flows,
    asking: &Asking,
    attempt: &RefreshAttempt,
    tokens: &TokenSet,
    received_at: Micros,
) -> Result<Flown, FlowFault> {
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let Some(grant) = flows.store().get_grant(asking.app_id, asking.grant_id).await? else {
            return Ok(Flown::Moved);
        };
        let ended = match renewal(flows, asking, attempt, &grant, tokens, received_at).await {
            Err(fault) if fault.is_overtaken() => continue,
            Err(fault) => return Err(fault),
            Ok(Some(end)) => match flows.store().end_refresh(end).await {
                Err(error) if error.is_overtaken() => continue,
                ended => ended?,
            },
            Ok(None) if grant.revoked.is_some() => RefreshEnded::Revoked,
            Ok(None) => RefreshEnded::Superseded,
        };
        match ended {
            RefreshEnded::Refreshed => {
                alter_failpoint::pass("refresh_committed");
                metrics::refreshed(asking.provider(), "refreshed");
                tracing::info!(grant_id = %asking.grant_id, provider = asking.provider(), "refreshed");
            }
            RefreshEnded::Revoked | RefreshEnded::Superseded => {
                discard(flows, asking, attempt, tokens).await?;
            }
            RefreshEnded::Failed | RefreshEnded::Condemned | RefreshEnded::Late => {}
        }
        return Ok(Flown::Moved);
    }
}

/// The command that puts the tokens into the grant; `None` when the grant is no longer the one that was asked for.
async fn renewal(
    flows: &Flows,
    asking: &Asking,
    attempt: &RefreshAttempt,
    grant: &Grant,
    tokens: &TokenSet,
    received_at: Micros,
) -> Result<Option<EndRefresh>, FlowFault> {
    if grant.revoked.is_some() || grant.credential.generation != attempt.generation {
        return Ok(None);
    }
    let key = flows.sealer().current_key(grant.app_id).await?;
    let holder = flows.holder(grant).await?;
    let before = proven(flows, &key, grant, holder).await?;
    // T28: an answer without a refresh token keeps the old one.
    let kept = tokens.refresh_token.clone().or(before);
    let generation = attempt.generation + 1;
    let place = grant.place_of(generation, holder);
    let credential = flows.sealer().seal_tokens(&key, place, tokens, kept.as_ref(), received_at)?;
    let (scopes, missing_scopes) = scopes(&asking.config.recipe, grant, tokens);
    let at = flows.now();
    let details = serde_json::json!({
        "provider": asking.provider(), "generation": generation.to_string(), "missing_scopes": missing_scopes,
    });
    Ok(Some(EndRefresh {
        attempt: attempt.clone(),
        result: RefreshResult::Tokens { credential: Box::new(credential), scopes, missing_scopes },
        facts: asking.facts(),
        at,
        audit: asking.entry(AuditKind::CredentialRefreshed, at, details),
    }))
}

/// Returns the refresh token, if there is one. New tokens are sealed for the row as it is, so the row must still be what the
/// tokens before were sealed for: one of them must open in it.
async fn proven(
    flows: &Flows,
    key: &DataKey,
    grant: &Grant,
    holder: Hash,
) -> Result<Option<SecretString>, FlowFault> {
    let open =
        async |secret, sealed| flows.sealer().open_token(key, &grant.place(secret, holder), sealed).await;
    match &grant.credential.refresh_token {
        Some(sealed) => open(GrantSecret::RefreshToken, sealed).await.map(Some),
        None => open(GrantSecret::AccessToken, &grant.credential.access_token).await.map(|_| None),
    }
}

/// The scopes from now on, and those that were granted or asked for before and are not among them. A provider that names
/// none has changed none (RFC 6749 section 6). `openid` stays: the account is proven, and some servers never list it.
fn scopes(recipe: &Recipe, grant: &Grant, tokens: &TokenSet) -> (Vec<String>, Vec<String>) {
    let Some(mut granted) = tokens.scopes.clone() else {
        return (grant.scopes.clone(), grant.missing_scopes.clone());
    };
    if recipe.asks_for_openid(&grant.scopes) && !recipe.asks_for_openid(&granted) {
        granted.push("openid".into());
    }
    let before: Vec<_> = grant.scopes.iter().chain(&grant.missing_scopes).cloned().collect();
    let missing = recipe.missing_scopes(&before, &granted);
    (granted, missing)
}

/// Ends an attempt whose tokens came too late, and ends the tokens at the provider where that ends nothing else.
async fn discard(
    flows: &Flows,
    asking: &Asking,
    attempt: &RefreshAttempt,
    tokens: &TokenSet,
) -> Result<(), FlowFault> {
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let at = flows.now();
        let Some(grant) = flows.store().get_grant(asking.app_id, asking.grant_id).await? else {
            return Ok(());
        };
        let request = match late_revocation(flows, asking, &grant, tokens).await {
            Err(fault) if fault.is_overtaken() => continue,
            // Whose tokens the late ones are cannot be told: they are wiped here, and no provider is asked.
            Err(fault) if fault.is_unproven() => {
                tracing::error!(grant_id = %grant.id, error = %fault, "late tokens are not revoked");
                None
            }
            request => request?,
        };
        let why = if grant.revoked.is_some() { "revoked" } else { "superseded" };
        let details = serde_json::json!({
            "provider": asking.provider(), "why": why, "asked_to_revoke": request.is_some(),
        });
        let discard = DiscardRefresh {
            attempt: attempt.clone(),
            outcome: why,
            request,
            at,
            audit: asking.entry(AuditKind::RefreshDiscarded, at, details),
        };
        match flows.store().discard_refresh(discard).await {
            Err(error) if error.is_overtaken() => continue,
            discarded => {
                let (Saved::Done | Saved::Moved) = discarded?;
                metrics::refreshed(asking.provider(), why);
                return Ok(());
            }
        }
    }
}

/// The request to end late tokens; `None` when the provider offers none, or when it would end the grant's new credential
/// too.
async fn late_revocation(
    flows: &Flows,
    asking: &Asking,
    grant: &Grant,
    tokens: &TokenSet,
) -> Result<Option<Revocation>, FlowFault> {
    let Some(how) = asking.config.recipe.revocation() else { return Ok(None) };
    if grant.revoked.is_none() && how.ends != RevokeEnds::Token {
        return Ok(None);
    }
    let key = flows.sealer().current_key(grant.app_id).await?;
    // A provider may repeat its answer inside the reuse window: then the late tokens are the grant's own.
    let credential = &grant.credential;
    let stored = [
        (GrantSecret::RefreshToken, credential.refresh_token.as_ref(), tokens.refresh_token.as_ref()),
        (GrantSecret::AccessToken, Some(&credential.access_token), Some(&tokens.access_token)),
    ];
    for (secret, sealed, late) in stored {
        if let (None, Some(sealed), Some(late)) = (&grant.revoked, sealed, late) {
            let place = grant.place(secret, flows.holder(grant).await?);
            let current = flows.sealer().open_token(&key, &place, sealed).await?;
            if current.expose_secret() == late.expose_secret() {
                return Ok(None);
            }
        }
    }
    let named = how.token.of(&tokens.access_token, tokens.refresh_token.as_ref());
    let Some((secret, token)) = named else { return Ok(None) };
    Ok(Some(revocation::request(flows, &key, grant, secret, token)?))
}
