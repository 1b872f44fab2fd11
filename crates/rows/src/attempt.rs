//! Attempts.

use alter_core::Attempt;

use crate::noun::columns;

columns! {
    Attempt {
        id, sid, app_id, config_id, state_hash, verifier, nonce, redirect_uri, scopes, created_at, expires_at, status,
        status_at, body, filled, brought, staged,
    }
}
