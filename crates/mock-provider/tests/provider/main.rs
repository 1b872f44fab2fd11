//! The provider over real sockets: it is correct when friendly, each switch does what it says, and a switch
//! that is off does nothing.

mod access_tokens;
mod api;
mod authorize;
mod client;
mod code_flow;
mod faults;
mod id_tokens;
mod keys;
mod ledger;
mod metadata;
mod refresh;
mod refresh_faults;
mod rotation;
