//! Attacks and faults over real sockets: one file per family of `docs/security-tests.md`.

mod flow;
