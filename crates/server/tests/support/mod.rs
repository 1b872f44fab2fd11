//! What attack tests and route tests share.

pub(crate) mod copies;
pub(crate) mod line;
pub(crate) mod session;
pub(crate) mod sql;
