//! The real binary, killed with SIGKILL at every step of the callback, and short of disk, lock or peer: what was
//! acknowledged is there after a restart, no code is used twice, nothing is stuck, and the page tells the truth.
//!
//! `harness` has the process, the browser and the invariants I1 and I3 to I7 of the fault list; `callback` dies at the
//! numbered points 1 to 10; `disk`, `lock`, `outage` and `replica` are the faults that need a whole process. Every
//! scenario runs on every database that is there. Names carry the fault's number: `scripts/security-table` collects them.
//!
//! The process is slowed, killed and hurried by variables that only a test build has (`crates/failpoint`).

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod callback;
mod disk;
mod harness;
mod lock;
mod outage;
mod replica;
