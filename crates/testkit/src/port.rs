//! Ports for servers that must know their port before they start.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// The first of the ports tried, and how many there are. All lie below 32768, where Linux starts to hand out ports for
/// outgoing connections and for "any": a port from there can be taken between a look and a `bind`.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Returns a port on loopback that is free now and that this process has not returned before.
pub fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    // Processes that run side by side start far from one another.
    let start = std::process::id().wrapping_mul(97);
    loop {
        let step = u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
        let port =
            FIRST + u16::try_from(start.wrapping_add(step) % u32::from(COUNT)).expect("COUNT is a u16");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
