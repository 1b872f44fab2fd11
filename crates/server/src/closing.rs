//! A listener that closes refuses nobody who has come to it. The system accepts connections for a listener, and resets
//! those that nobody has taken when it closes; a client that has sent its request by then cannot know whether it was read.
//! So newcomers are turned away first, and told nothing: their system asks again after a second, finds no listener, and
//! they go elsewhere. Nobody can come between the last look and the closing.

use tokio::net::TcpListener;

/// Returns whether newcomers are turned away. Only Linux can.
#[cfg(target_os = "linux")]
pub(crate) fn turn_away(listener: &TcpListener) -> bool {
    use socket2::{SockFilter, SockRef};
    // Classic BPF over a segment's TCP header. Its fourteenth byte has the flags.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let program = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    let attached = SockRef::from(listener).attach_filter(&program);
    if let Err(error) = &attached {
        tracing::debug!(%error, "newcomers could not be turned away before the listener closes");
    }
    attached.is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn turn_away(_: &TcpListener) -> bool {
    false
}
