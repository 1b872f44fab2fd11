//! One attempt: the gate, the lease, the request, the journal. What follows from the answer is in [`super::finish`].
//!
//! The order is that of an exchange: leased, sent, answered, journalled, committed. A crash between any two of them leaves
//! a row from which the next attempt, or the sweep, goes on.

use alter_core::{
    AppId, Asked, AuditEntry, AuditKind, BeginRefresh, Begun, Grant, GrantId, GrantSecret, Micros,
    ProviderConfig, RefreshAttempt, RefreshId, WhatNow,
    recipe::Refresh,
    refresh::{Outcome, Trouble},
};
use alter_oauth::{Client, judge_silence};
use alter_vault::DataKey;
use secrecy::SecretString;

use super::{
    finish::{Answered, finish, give_up},
    flight::Flown,
    gate::{Closed, Pass},
};
use crate::{
    Flows, Operator,
    facts::today,
    fault::FlowFault,
    journal::{journal_refresh, open_refresh_journal},
    metrics,
};

/// How long an attempt holds its lease, seconds: the longest token request (30 s), and time to write down its answer.
const HOLD: u32 = 40;

/// Whose token is to be refreshed, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) app_id: AppId,
    pub(crate) grant_id: GrantId,
    pub(crate) generation: u64,
    /// With what is known today.
    pub(crate) config: ProviderConfig,
    pub(crate) asked: Asked,
    /// Who asks, if it is an operator: the audit names that person.
    pub(crate) operator: Option<Operator>,
}

impl Asking {
    pub(crate) fn of(grant: &Grant, config: &ProviderConfig, asked: Asked) -> Self {
        let config = today(config.clone());
        Self {
            app_id: grant.app_id,
            grant_id: grant.id,
            generation: grant.credential.generation,
            // What stays open is found before anything is sent.
            config: config.clone().for_customer(&grant.filled).unwrap_or(config),
            asked,
            operator: None,
        }
    }

    /// An audit entry about the grant.
    pub(super) fn entry(&self, kind: AuditKind, at: Micros, mut details: serde_json::Value) -> AuditEntry {
        if let Some(operator) = &self.operator {
            operator.sign(&mut details);
        }
        AuditEntry { grant_id: Some(self.grant_id), ..AuditEntry::new(self.app_id, at, kind, details) }
    }

    pub(super) fn facts(&self) -> Refresh {
        self.config.recipe.refresh.clone()
    }

    pub(super) fn provider(&self) -> &str {
        &self.config.recipe.id
    }
}

/// The whole attempt. It returns no error: what fails here is logged here.
pub(super) async fn fly(flows: &Flows, asking: &Asking) -> Flown {
    let pass = match flows.inner.gates.enter(&asking.config.config_id, || flows.now()).await {
        Ok(pass) => pass,
        Err(Closed { until, trouble }) => return Flown::Wait(until, Some(trouble)),
    };
    match try_to_fly(flows, asking, &pass).await {
        Ok(flown) => flown,
        Err(error) => {
            tracing::error!(grant_id = %asking.grant_id, provider = asking.provider(), %error, "a refresh broke off");
            metrics::refreshed(asking.provider(), "broken_off");
            Flown::Broken
        }
    }
}

async fn try_to_fly(flows: &Flows, asking: &Asking, pass: &Pass) -> Result<Flown, FlowFault> {
    alter_failpoint::pass("refresh_wanted");
    let now = flows.now();
    let begin = BeginRefresh {
        id: RefreshId::new(flows.random()),
        app_id: asking.app_id,
        grant_id: asking.grant_id,
        generation: asking.generation,
        asked: asking.asked,
        facts: asking.facts(),
        hold: alter_failpoint::seconds("ALTER_REFRESH_HOLD", HOLD),
        at: now,
        audit: asking.entry(
            AuditKind::ReconnectNeeded,
            now,
            serde_json::json!({ "provider": asking.provider(), "reason": "outcome_unknown" }),
        ),
    };
    match flows.store().begin_refresh(begin).await? {
        Begun::Moved | Begun::Not(WhatNow::Serve | WhatNow::Refresh) => Ok(Flown::Moved),
        Begun::Not(WhatNow::Wait(until, trouble)) => Ok(Flown::Wait(until, trouble)),
        Begun::Not(WhatNow::Reconnect(reason, since)) => Ok(Flown::Reconnect(reason, since)),
        Begun::Journalled(attempt) => replay(flows, asking, &attempt).await,
        Begun::Taken(grant, attempt) => {
            alter_failpoint::pass("refresh_leased");
            ask(flows, asking, &grant, &attempt, pass).await
        }
    }
}

/// Finishes an attempt that broke off after its answer was journalled.
pub(super) async fn replay(
    flows: &Flows,
    asking: &Asking,
    attempt: &RefreshAttempt,
) -> Result<Flown, FlowFault> {
    let answer = open_refresh_journal(flows, attempt).await?;
    // When the answer came is not known; lives count from the request, which is never later.
    let answered = Answered { answer, received_at: attempt.begun_at, sent: None };
    finish(flows, asking, attempt, answered, None).await
}

async fn ask(
    flows: &Flows,
    asking: &Asking,
    grant: &Grant,
    attempt: &RefreshAttempt,
    pass: &Pass,
) -> Result<Flown, FlowFault> {
    let Opened { key, refresh_token, secret } = match opened(flows, asking, grant).await {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(grant_id = %grant.id, %error, "a refresh could not be prepared");
            let ours = Outcome::Failed { trouble: Trouble::Us, retry_after: None };
            return give_up(flows, asking, attempt, ours, pass).await;
        }
    };
    let client = Client { id: &asking.config.client_id, secret: secret.as_ref() };
    let flying = metrics::Refreshing::begin();
    let asked =
        alter_oauth::refresh(&flows.inner.egress, &asking.config.recipe, &client, &refresh_token).await;
    drop(flying);
    // Read the clock now: the journal may have to wait, and `expires_in` counts from when the answer came.
    let received_at = flows.now();
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(grant_id = %grant.id, provider = asking.provider(), %error, "no answer to a refresh");
            return give_up(flows, asking, attempt, judge_silence(&error), pass).await;
        }
    };
    // From here to the end of the journal, a crash loses the tokens that the provider may just have given us.
    let window = alter_failpoint::Stopwatch::start();
    alter_failpoint::pass("refresh_answered");
    let journalled = journal_refresh(flows, attempt, key, &answer).await?;
    window.stop("refresh_crash_window");
    alter_failpoint::pass("refresh_journalled");
    if !journalled.is_done() {
        tracing::error!(grant_id = %grant.id, "an answer came after its attempt was forgotten, and is lost");
        return Ok(Flown::Moved);
    }
    let sent = Some([refresh_token].into_iter().chain(secret).collect());
    finish(flows, asking, attempt, Answered { answer, received_at, sent }, Some(pass)).await
}

/// What a refresh request needs.
struct Opened {
    /// The app's current key, for the answer.
    key: DataKey,
    refresh_token: SecretString,
    secret: Option<SecretString>,
}

async fn opened(flows: &Flows, asking: &Asking, grant: &Grant) -> Result<Opened, FlowFault> {
    let key = flows.sealer().current_key(grant.app_id).await?;
    let sealed = grant.credential.refresh_token.as_ref();
    let sealed = sealed.ok_or(FlowFault::Broken("a refresh began without a refresh token"))?;
    let place = grant.place(GrantSecret::RefreshToken, flows.holder(grant).await?);
    let refresh_token = flows.sealer().open_token(&key, &place, sealed).await?;
    // The token is sent where the grant's own configuration says, not where a changed row said a moment ago.
    if grant.config_id != asking.config.config_id {
        return Err(FlowFault::Broken("the grant's configuration changed while its refresh began"));
    }
    if !asking.config.recipe.parameters.is_empty() {
        return Err(FlowFault::Broken("the grant does not say which customer's host its provider has"));
    }
    let secret = flows.sealer().client_secret(&key, &asking.config).await?;
    Ok(Opened { key, refresh_token, secret })
}
