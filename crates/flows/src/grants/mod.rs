//! Existing grants: listing them, revoking them, ending their delegations.

pub(crate) mod bind;
pub(crate) mod delegations;
pub(crate) mod list;
pub(crate) mod revocation;
pub(crate) mod revoke;
pub(crate) mod show;

pub use bind::{UnprovenGrant, bind_tokens, unproven_grants};
pub use delegations::{give_up_delegation, revoke_delegation};
pub use list::{list_grants, list_grants_as_operator, needs_reconnect};
pub use revoke::{revoke_grant, revoke_grant_as_operator};
pub use show::show_grant_as_operator;
