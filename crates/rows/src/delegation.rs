//! Delegations. Whether one was revoked is a column too, which no reader asks for: who reads, reads live ones.

use alter_core::Delegation;

use crate::noun::columns;

columns! { Delegation { grant_id, agent_id, scopes, created_at } }
