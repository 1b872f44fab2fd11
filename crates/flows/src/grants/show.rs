//! One grant as the operator sees it.

use alter_core::{AppId, Grant, GrantId, RefreshAttempt, User};

use super::list::owner;
use crate::{Flows, fault::FlowFault};

/// How many attempts to refresh are shown.
const ATTEMPTS: u32 = 10;

/// A grant, and what became of the attempts to refresh it.
#[derive(Debug)]
pub struct ShownGrant {
    pub grant: Grant,
    /// The owner; `None` = the app itself.
    pub user: Option<User>,
    /// The newest attempts, newest first.
    pub attempts: Vec<RefreshAttempt>,
}

/// Finds one of the app's grants, active or not.
///
/// # Errors
/// Our own failure.
pub async fn show_grant_as_operator(
    flows: &Flows,
    app: AppId,
    id: GrantId,
) -> Result<Option<ShownGrant>, FlowFault> {
    let Some(grant) = flows.store().get_grant(app, id).await? else { return Ok(None) };
    let user = owner(flows, app, grant.principal).await?;
    let attempts = flows.store().list_refresh_attempts(app, id, ATTEMPTS).await?;
    Ok(Some(ShownGrant { grant, user, attempts }))
}
