//! A real OAuth 2.0 / OpenID Connect provider with a small API, for `alter demo` and for tests.
//!
//! It is friendly as it starts ("Acme Notes", a page with two buttons) and becomes hostile by
//! [`Switches`], which may be changed while it runs. Every instance listens on its own loopback port,
//! keeps everything in memory, and ends when its [`MockProvider`] is dropped.
//!
//! What lives here: the listener (`accept`), what the provider knows (`state`, `grants`, `users`), its
//! keys and tokens (`keys`, `id_token`), its pages (`page`), one file per endpoint (`routes`), the
//! switches with their positions (`quirks`) and the record of what arrived (`seen`). What does not: any
//! rule of the product; this crate imports nothing of ours, so that a test of ours never agrees with
//! itself.
//!
//! To add a quirk: a documented field in [`Switches`], the line in the endpoint that obeys it, and a
//! test in `tests/` that shows both positions of the switch.

mod accept;
mod body;
mod grants;
mod id_token;
mod keys;
mod page;
mod provider;
mod quirks;
mod random_name;
mod routes;
mod seen;
mod state;
mod switches;
mod users;

pub use keys::KEY_HEADER;
pub use provider::MockProvider;
pub use quirks::{Alg, ClientAuth, Gate, IdTokenFault, Raw, RefreshMode, ResponseParam, TokenFault};
pub use seen::{Recorded, Seen};
pub use switches::Switches;
pub use users::User;
