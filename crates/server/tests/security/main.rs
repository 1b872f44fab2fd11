//! Attacks and faults over real sockets: one file per family of `docs/security-tests.md`.

mod binding;
mod callback;
mod catalogue;
mod faults;
mod flow;
mod leaks;
mod oauth;
mod oauth_answers;
mod provider_faults;
mod sql;
mod vault;
mod vault_scan;
