//! Tests that kill the real binary with SIGKILL at every step of the callback and of a refresh, or take its disk, locks or
//! database away. After a restart everything acknowledged is there, no code is used twice, no refresh token is sent more
//! often than its rule says, nothing is stuck, and the page tells the truth.
//!
//! `harness` has the process, the browser and the invariants I1 and I3 to I7 of the fault list; `callback` dies at the
//! numbered points 1 to 10, `refresh` at 11 to 18, `levels` where a connection waits for the app; `disk`, `lock`, `outage` and `replica` are the faults that need a whole process. Scenarios
//! in `on_every_database!` run on SQLite and PostgreSQL. A test's name begins with its fault's number:
//! `scripts/security-table` collects these numbers.
//!
//! Environment variables that only a test build reads (`crates/failpoint`) slow the process, kill it or hurry its
//! reaper.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod callback;
mod disk;
mod harness;
mod levels;
mod lock;
mod outage;
mod refresh;
mod replica;
