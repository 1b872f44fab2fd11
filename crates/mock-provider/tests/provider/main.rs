//! The provider over real sockets: it is correct when friendly, each switch does what it says, and a switch
//! that is off does nothing.

mod api;
mod authorize;
mod client;
mod code_flow;
mod faults;
mod id_tokens;
mod keys;
mod metadata;
mod refresh;
