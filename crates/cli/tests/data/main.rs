//! Tests of what an operator does to a database in use: the audit, the key ring, backups, names, apps. They run the real
//! binary, as an operator does.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod apps;
mod audit;
mod backup;
mod key_ring;
mod names;
mod place;
mod restore;
#[cfg(target_os = "linux")]
mod terminal;
