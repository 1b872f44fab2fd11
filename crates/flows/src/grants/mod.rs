//! Grants that exist: listing, revoking, delegations.

pub(crate) mod list;
pub(crate) mod revocation;

pub use list::{
    GrantPage, ListError, ListRequest, RevokeDelegationError, RevokeGrantError, needs_reconnect,
    visible_scopes,
};
