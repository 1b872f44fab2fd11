//! Delegations. The column that says whether one was revoked is not listed: all readers read only live ones.

use alter_core::Delegation;

use crate::noun::columns;

columns! { Delegation { grant_id, agent_id, scopes, created_at } }
