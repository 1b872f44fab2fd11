//! What tests of several crates share. A dev-dependency only.
//!
//! `contract`: the storage suite that every engine runs. `server`: a real server over real sockets on throw-away data
//! with a mock provider and a clock that tests move. `browser`: cookies and redirects, as a browser has them. `attempt`: one
//! attempt to connect, with all that can be looked at. `canary`: looking for secrets. `http`:
//! requests with every byte under the test's control. `postgres`: a throw-away cluster.

pub mod attempt;
pub mod browser;
pub mod canary;
pub mod clock;
pub mod contract;
pub mod http;
pub mod postgres;
pub mod server;

pub use attempt::TestAttempt;
pub use browser::TestBrowser;
pub use clock::TestClock;
pub use http::{Reply, Sent};
pub use server::{TestApp, TestServer};
