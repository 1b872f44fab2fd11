//! A connection as it is told once the flow is over: what the flow made, and whether its grant is still good. A session
//! remembers the first; the second may change, and whoever asks hears the truth of that moment.

use alter_core::{Connection, GrantState, Session, StoreError};

use crate::{Flows, grants::needs_reconnect};

/// A connection, and whether its grant is still good.
#[derive(Debug, Clone, PartialEq)]
pub struct Connected {
    pub connection: Connection,
    /// Nothing can be called until the user connects again: the credential is dead, or the grant was revoked or has
    /// ended.
    pub needs_reconnect: bool,
}

/// Returns the session's connections as they are now.
pub(super) async fn connected(flows: &Flows, session: &Session) -> Result<Vec<Connected>, StoreError> {
    let now = flows.now();
    let mut told = Vec::new();
    for connection in &session.data.connections {
        let grant = flows.store().get_grant(session.app_id, connection.grant_id).await?;
        let good = grant.is_some_and(|g| g.state(now) == GrantState::Active && !needs_reconnect(&g, now));
        told.push(Connected { connection: connection.clone(), needs_reconnect: !good });
    }
    Ok(told)
}
