//! Users.

use alter_core::User;

use crate::noun::columns;

columns! { User { id, app_id, issuer, subject, label, created_at, updated_at } }
