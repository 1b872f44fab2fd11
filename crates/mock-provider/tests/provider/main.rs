//! The provider over real sockets: first that it is correct when friendly, then that each switch does
//! what it says and nothing when off.

mod api;
mod authorize;
mod client;
mod code_flow;
mod faults;
mod id_tokens;
mod keys;
mod metadata;
mod refresh;
