//! Grants that exist: listing, revoking, delegations.

pub(crate) mod list;
pub(crate) mod revocation;

pub use list::{
    GrantPage, ListError, ListRequest, RevokeDelegationError, RevokeGrantError, give_up_delegation,
    list_grants, needs_reconnect, revoke_delegation, revoke_grant, revoke_grant_as_operator, visible_scopes,
};
