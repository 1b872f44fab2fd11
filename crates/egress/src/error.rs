//! Every way in which an outgoing request can fail. The texts name only the host of the URL: paths and queries carry
//! codes and tokens.

use std::fmt;

/// Why a request got no answer. Cloneable because the connection pool may report one failure to several waiters.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EgressError {
    /// No request can be sent to this URL. The fault of the caller or of the provider catalog.
    #[error("the URL cannot be used: {reason}")]
    BadUrl {
        /// What is wrong with the URL.
        reason: &'static str,
    },
    /// The destination is neither public nor allowed by the operator.
    #[error("{host} is not an allowed destination: {reason}")]
    BlockedDestination {
        /// Host as written in the (normalised) URL.
        host: String,
        /// The rule that refused the destination.
        reason: BlockReason,
    },
    /// The name has no address, or the resolver failed.
    #[error("{host} could not be resolved: {detail}")]
    Resolve {
        /// Host as written in the URL.
        host: String,
        /// The resolver's error text.
        detail: String,
    },
    /// No address of the host accepted a connection.
    #[error("cannot connect to {host}: {detail}")]
    Connect {
        /// Host as written in the URL.
        host: String,
        /// The operating system's error text for the last address tried.
        detail: String,
    },
    /// The TLS handshake failed; a certificate that is not accepted counts too.
    #[error("TLS with {host} failed: {detail}")]
    Tls {
        /// Host as written in the URL.
        host: String,
        /// The TLS library's error text.
        detail: String,
    },
    /// [`crate::Limits::total`] or [`crate::EgressConfig::connect_timeout`] ran out.
    #[error("{host} did not answer in time")]
    Timeout {
        /// Host as written in the URL.
        host: String,
        /// Whether a connection had been handed the request by then.
        maybe_sent: bool,
    },
    /// The answer's body is longer than [`crate::Limits::body_max`].
    #[error("the answer from {host} is longer than {max} bytes")]
    BodyTooLarge {
        /// Host as written in the URL.
        host: String,
        /// The cap, in bytes.
        max: usize,
    },
    /// The answer's head is longer than 64 KiB or has more than 100 fields.
    #[error("the answer from {host} has too many header fields, or one that is too long")]
    HeadersTooLarge {
        /// Host as written in the URL.
        host: String,
    },
    /// The exchange broke: the peer hung up, or what it sent is not HTTP/1.1.
    #[error("the exchange with {host} failed: {detail}")]
    Protocol {
        /// Host as written in the URL.
        host: String,
        /// The HTTP library's error text.
        detail: String,
        /// Whether a connection had been handed the request by then.
        maybe_sent: bool,
    },
}

impl EgressError {
    /// Returns true when bytes of the request may have reached the peer, so that repeating the request may repeat its
    /// effect. Errs on the side of true.
    #[must_use]
    pub fn maybe_sent(&self) -> bool {
        match self {
            Self::BadUrl { .. }
            | Self::BlockedDestination { .. }
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Tls { .. } => false,
            Self::Timeout { maybe_sent, .. } | Self::Protocol { maybe_sent, .. } => *maybe_sent,
            Self::BodyTooLarge { .. } | Self::HeadersTooLarge { .. } => true,
        }
    }

    /// Returns true when nothing was sent because of the URL or of the operator's settings: asking again cannot help
    /// until somebody has changed one of them.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::BadUrl { .. } | Self::BlockedDestination { .. })
    }

    /// Returns true when the guard refused the destination.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        matches!(self, Self::BlockedDestination { .. })
    }
}

/// The rule that refused a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockReason {
    /// At least one address is in a special-purpose range. The text names the range's purpose and not the address, so
    /// that an error shown to a caller does not reveal the inside of the network.
    SpecialPurpose(&'static str),
    /// Plain `http` to an address outside the operator's ranges.
    PlainHttp,
    /// The connected peer is not the address that was dialled.
    PeerMismatch,
}

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpecialPurpose(purpose) => {
                write!(f, "address reserved for {purpose}, and not in ALTER_EGRESS_ALLOW")
            }
            Self::PlainHttp => f.write_str("plain http goes only to addresses in ALTER_EGRESS_ALLOW"),
            Self::PeerMismatch => f.write_str("the connected peer is not the address that was dialled"),
        }
    }
}
