//! Agents.

use alter_core::Agent;

use crate::noun::columns;

columns! { Agent joined "g_" { id, app_id, name, status, data, version, created_at, updated_at } }
