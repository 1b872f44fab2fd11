//! Attempts to refresh a credential.

use alter_core::{ReconnectCount, RefreshAttempt, RefusedClient};

use crate::noun::columns;

columns! {
    RefreshAttempt { id, app_id, grant_id, generation, attempt, begun_at, ended_at, outcome, code, body }
}

columns! {
    ReconnectCount { app_id, provider, reason as "reconnect", grants as "n" }
}

columns! {
    RefusedClient { app_id, provider, grants as "n" }
}
