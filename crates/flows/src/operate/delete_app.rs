//! Deleting an app, with everything that belongs to it.
//!
//! 1. Count what will end ([`app_contents`]): the operator is asked.
//! 2. If the operator wants it, revoke every active grant, so that its provider is asked ([`revoke_grants`]). A request to
//!    a provider needs the app's data key and its provider's configuration: what is not answered before the deletion is
//!    never asked again, and the token lives at the provider until it runs out or its user ends it there.
//! 3. Delete ([`delete_app`]). The app's audit stays.

use std::collections::BTreeMap;

use alter_core::{App, AppContents, AppId, AuditKind, GrantFilter, GrantStatus, RevocationOutcome};
use serde_json::json;
use tokio::task::JoinSet;

use super::{apps::get_app, error::OperateError};
use crate::{
    Flows, Operator,
    actor::Actor,
    grants::revoke::{RevokeGrantError, revoke_grant_as_operator},
};

/// Grants per read, which are revoked at the same time.
const PAGE: u32 = 16;

/// How many grants came to which outcome, by [`RevocationOutcome::as_str`].
pub type RevokedGrants = BTreeMap<&'static str, u64>;

/// Counts what ends with an app.
///
/// # Errors
/// [`OperateError::NoSuchApp`].
pub async fn app_contents(flows: &Flows, id: AppId) -> Result<AppContents, OperateError> {
    flows.store().count_app(id).await?.ok_or(OperateError::NoSuchApp(id))
}

/// Revokes every active grant of an app, and asks its providers. What a provider has not confirmed stays in the queue.
///
/// # Errors
/// Our own failure; the grants that were revoked before it stay so.
pub async fn revoke_grants(flows: &Flows, by: &Operator, app: &App) -> Result<RevokedGrants, OperateError> {
    let active = GrantFilter { status: Some(GrantStatus::Active), ..GrantFilter::default() };
    let mut revoked = RevokedGrants::new();
    loop {
        let page = flows.store().list_grants(app.id, &active, PAGE, 0).await?;
        if page.is_empty() {
            return Ok(revoked);
        }
        let mut revoking = JoinSet::new();
        for listed in page {
            let (flows, by, app) = (flows.clone(), by.clone(), app.clone());
            revoking.spawn(async move { revoke_one(&flows, &by, app, listed.grant.id).await });
        }
        for outcome in revoking.join_all().await {
            *revoked.entry(outcome?.as_str()).or_default() += 1;
        }
    }
}

async fn revoke_one(
    flows: &Flows,
    by: &Operator,
    app: App,
    id: alter_core::GrantId,
) -> Result<RevocationOutcome, OperateError> {
    match revoke_grant_as_operator(flows, by, app, id, Some("the app is deleted")).await {
        Ok(revoked) => Ok(revoked.outcome),
        Err(RevokeGrantError::Fault(fault)) => Err(fault.into()),
        Err(error) => Err(OperateError::Invalid(format!("grant {id} cannot be revoked: {error}"))),
    }
}

/// Deletes an app. Returns what ended with it.
///
/// # Errors
/// [`OperateError::NoSuchApp`].
pub async fn delete_app(flows: &Flows, by: &Operator, id: AppId) -> Result<AppContents, OperateError> {
    let app = get_app(flows, id).await?;
    let (at, details) = (flows.now(), json!({ "name": app.settings.name }));
    let entry = Actor::operator(by, app).entry(at, AuditKind::AppDeleted, details);
    flows.store().delete_app(id, at, entry).await?.ok_or(OperateError::NoSuchApp(id))
}
