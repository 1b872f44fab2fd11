//! Attacks and faults over real sockets: one file per family of `docs/security-tests.md`.

mod flow;
mod catalogue;
mod faults;
mod leaks;
mod oauth;
mod oauth_answers;
mod provider_faults;
mod sql;
mod vault;
mod vault_scan;
