//! Shared by the tests of several crates. A dev-dependency only.
//!
//! `server`: a real server over real sockets on throw-away data with a mock provider and a clock that tests move.
//! `browser`: cookies and redirects, as a browser has them. `attempt`: one attempt to connect, with everything that a
//! test may inspect. `canary`: scans for secrets. `http`: requests with every byte under the test's control.
//! `port`: a free port. `documented`: checks that the contract names every answer.
//!
//! This crate compiles the whole product. What needs less has a crate of its own: the cases of the storage suite
//! (`alter-store-contract`) and the throw-away PostgreSQL (`alter-test-postgres`).

pub mod attempt;
pub mod browser;
pub mod canary;
pub mod clock;
mod documented;
pub mod http;
mod port;
pub mod server;

pub use attempt::TestAttempt;
pub use browser::TestBrowser;
pub use clock::TestClock;
pub use http::{Reply, Sent};
pub use port::free_port;
pub use server::{TestApp, TestServer, operator};
