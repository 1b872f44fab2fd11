//! A real OAuth 2.0 / OpenID Connect provider with a small API, for `alter demo` and for tests.
//!
//! It starts friendly ("Acme Notes", a page with two buttons). [`Switches`], which may be changed while
//! it runs, make it hostile. Every instance listens on its own loopback port, keeps everything in
//! memory, and ends when its [`MockProvider`] is dropped.
//!
//! Here: the listener (`accept`), the provider's state (`state`, `grants`, `users`), its keys and tokens
//! (`keys`, `id_token`, `access_token`), its pages (`page`), one file per endpoint (`routes`), the switches
//! with their positions (`switches`, `refresh_rules`, `quirks`, `faults`), the record of what arrived
//! (`seen`) and what tests may know of grants and refreshes (`ledger`). Not here: any rule of the product.
//! This crate imports none of the product's crates, so that no test compares the product with itself.
//!
//! To add a quirk: add a documented field to [`Switches`], the line in the endpoint that obeys it, and a
//! test in `tests/` that shows both positions of the switch.

mod accept;
mod access_token;
mod body;
mod faults;
mod grants;
mod id_token;
mod keys;
mod ledger;
mod page;
mod provider;
mod quirks;
mod random_name;
mod refresh_rules;
mod routes;
mod seen;
mod state;
mod switches;
mod users;

pub use faults::{RetryAfter, TokenFault};
pub use grants::{GrantState, RefreshCounts, RefreshTokenState};
pub use keys::KEY_HEADER;
pub use ledger::Tokens;
pub use provider::MockProvider;
pub use quirks::{AccessTokens, Alg, ClientAuth, Gate, IdTokenFault, Raw, ResponseParam, RevokeEnds};
pub use refresh_rules::{InWindow, RefreshMode, RefreshRules};
pub use seen::{Recorded, Seen};
pub use switches::Switches;
pub use users::User;
