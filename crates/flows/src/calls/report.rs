//! What a client reports about its use of a released token (wire 3.7). The record that counts is the release: anyone
//! who holds the key can forge or omit a report. So a report decides one thing only: that the provider's API refuses the
//! current token makes us ask the provider for a new one, once for each token and not in its first minute.

use alter_core::{AuditEntry, AuditKind, Grant, GrantId, GrantState};

use crate::{Caller, ChoiceError, Flows, fault::FlowFault, refresh};

/// A reported call.
#[derive(Debug)]
pub struct CallReport<'a> {
    pub grant: GrantId,
    /// [`Grant::token_generation`] of the token that was used.
    pub token_generation: Option<&'a str>,
    /// HTTP method.
    pub method: &'a str,
    /// The host that was called.
    pub host: &'a str,
    /// The provider's HTTP status; 0 = it did not answer.
    pub status: u16,
    pub latency_ms: u32,
}

/// Writes a report into the audit of the grant's app. An agent may report only on a grant delegated to it.
///
/// # Errors
/// [`ChoiceError::NotFound`], [`ChoiceError::NoDelegation`], or our own failure.
pub async fn report_call(flows: &Flows, caller: &Caller, report: &CallReport<'_>) -> Result<(), ChoiceError> {
    flows.reading(caller, store_report(flows, caller, report)).await
}

async fn store_report(flows: &Flows, caller: &Caller, report: &CallReport<'_>) -> Result<(), ChoiceError> {
    let (app, id) = (caller.app.id, report.grant);
    if let Some(agent) = &caller.agent
        && flows.store().find_delegation(app, id, agent.id).await?.is_none()
    {
        return Err(ChoiceError::NoDelegation { agent: agent.id, provider: None });
    }
    let grant = flows.store().get_grant(app, id).await?.ok_or(ChoiceError::NotFound { provider: None })?;
    let details = serde_json::json!({
        "method": report.method, "host": report.host, "status": report.status, "latency_ms": report.latency_ms,
    });
    let entry = AuditEntry {
        grant_id: Some(grant.id),
        key_id: Some(caller.key.id),
        user_id: grant.principal.user(),
        agent_id: caller.agent.as_ref().map(|agent| agent.id),
        request_id: Some(caller.request_id.clone()),
        ..AuditEntry::new(app, flows.now(), AuditKind::CallReported, details)
    };
    flows.store().append_audit(entry).await?;
    Ok(refresh_rejected(flows, &grant, report).await?)
}

/// Asks for a new token in a task of its own, if the API rejected the current one.
async fn refresh_rejected(flows: &Flows, grant: &Grant, report: &CallReport<'_>) -> Result<(), FlowFault> {
    let current = report.token_generation == Some(grant.token_generation().to_string().as_str());
    if report.status != 401 || !current || grant.state(flows.now()) != GrantState::Active {
        return Ok(());
    }
    match flows.proven_provider(grant.app_id, &grant.config_id).await {
        Ok(Some(config)) => refresh::rejected(flows, grant, &config),
        Ok(None) => {}
        // The report is taken all the same.
        Err(fault) if fault.is_unproven() => {
            tracing::error!(grant_id = %grant.id, error = %fault, "a rejected token is not refreshed");
        }
        Err(fault) => return Err(fault),
    }
    Ok(())
}
