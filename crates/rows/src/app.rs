//! Apps.

use alter_core::App;

use crate::noun::columns;

columns! { App joined "a_" { id, settings, wrapped_key, created_at } }
