//! What an operator does to a database that is in use: the audit, the key ring, backups. The real binary, as an operator
//! runs it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod audit;
mod backup;
mod key_ring;
mod place;
