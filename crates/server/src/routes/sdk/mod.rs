//! `/sdk/*`: what an app's backend calls, and the browser SDK's files.

pub(crate) mod agent_keys;
pub(crate) mod agents;
pub(crate) mod auth;
pub(crate) mod auth_session;
pub(crate) mod catalog;
pub(crate) mod files;
pub(crate) mod finalize;
pub(crate) mod grants;
pub(crate) mod not_built;
pub(crate) mod report;
pub(crate) mod session;
pub(crate) mod token;
