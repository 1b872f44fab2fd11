//! Attacks and faults over real sockets: one file per family of `docs/security-tests.md`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

mod accounts;
mod agents;
mod backend;
mod binding;
mod callback;
mod consent;
mod customers;
mod faults;
mod grants;
mod holders;
mod leaks;
mod levels;
mod links;
mod logs;
mod matrix;
mod misconfigured;
mod oauth;
mod oauth_answers;
mod odd_answers;
mod pages;
mod provider_faults;
mod redirect;
mod refreshes;
mod replicas;
mod scopes;
mod seals;
mod session;
mod slow_clients;
#[path = "../support/mod.rs"]
mod support;
mod users;
mod vault;
mod vault_scan;

use support::sql;
