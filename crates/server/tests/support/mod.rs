//! What attack tests and route tests share.

pub(crate) mod session;
pub(crate) mod sql;
