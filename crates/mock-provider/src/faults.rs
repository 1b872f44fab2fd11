//! The failures of the token endpoint by name.

/// A failure of the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// The request takes effect (the code is spent, the token rotated), then the connection closes.
    CloseBeforeAnswer,
    /// The request takes effect, half of the answer arrives, then the connection closes.
    CloseMidBody,
    /// The request takes effect, and the answer arrives at ten bytes a second.
    Trickle,
    /// No effect; this status with an empty JSON object.
    Status(u16),
    /// No effect; 200 with an HTML page.
    Html200,
    /// No effect; 200 with a JSON body that says `bad_verification_code`.
    Error200,
    /// No effect; 401 `invalid_client`.
    InvalidClient,
    /// No effect; 200 with a JSON body of about this many bytes.
    Huge(usize),
}
