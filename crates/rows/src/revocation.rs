//! Requests to providers that are still to be made.

use alter_core::Revocation;

use crate::noun::columns;

columns! { Revocation { id, grant_id, app_id, config_id, is_refresh_token, token, attempts, next_at, created_at } }
