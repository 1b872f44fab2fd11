//! The positions of the switches: each odd behaviour has a name. `switches` says which of them are on and
//! which are friendly.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

/// A parameter of the authorization response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResponseParam {
    /// As the standard says.
    #[default]
    Present,
    Missing,
    /// This value instead of the right one.
    Wrong(String),
}

impl ResponseParam {
    /// Returns the value to send where `right` would be right.
    pub(crate) fn apply(&self, right: Option<&str>) -> Option<String> {
        match self {
            Self::Present => right.map(ToOwned::to_owned),
            Self::Missing => None,
            Self::Wrong(value) => Some(value.clone()),
        }
    }
}

/// A signature algorithm (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alg {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and a 2048-bit key.
    Rs256,
}

impl Alg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// The ways of client authentication that the token and revocation endpoints accept (RFC 6749 section 2.3).
/// Public clients send `client_id` in the body in any of these positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Basic or post, but not both at once.
    #[default]
    Any,
    /// `client_secret_basic` only.
    BasicOnly,
    /// `client_secret_post` only.
    PostOnly,
}

/// What happens to a refresh token after its use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshMode {
    /// It stays valid, and the answer carries no new one.
    Keep,
    /// A new one replaces it; the old one is refused from then on.
    #[default]
    Rotate,
    /// A new one replaces it; the old one keeps working for this long (by the provider's clock).
    RotateWithGrace(Duration),
    /// A new one replaces it; a second use of the old one ends the whole grant (RFC 9700 section 4.14.2).
    RotateRevokeOnReuse,
}

/// What is wrong with an id_token. Use `id_token_claims` for anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IdTokenFault {
    #[default]
    None,
    /// There is no id_token although `openid` was asked for.
    Absent,
    /// The nonce is not the one that was sent.
    NonceWrong,
    /// There is no nonce although one was sent.
    NonceMissing,
    /// `alg: none` and an empty signature.
    AlgNone,
    /// `alg: HS256`, keyed with the public key's PEM.
    Hs256WithPublicKey,
    /// Signed with a key that is not in the key set, under the right `kid`.
    ForeignKey,
    /// The right key, but one character of the signature is changed.
    BadSignature,
    /// Expired two hours ago.
    Expired,
    /// Issued two hours from now, with a matching `nbf`.
    FromTheFuture,
    WrongIss,
    WrongAud,
    /// The audience is an array with the client only: unusual but valid.
    AudArray,
    /// The audience is an array with the client and another client, and `azp` is the other client.
    AudArrayWithSecondary,
    MissingExp,
    MissingSub,
    MissingIat,
    MissingIss,
    MissingAud,
    /// No `kid` in the header: valid while the key set holds one key for the algorithm.
    KidAbsent,
    /// A `kid` that the key set does not hold.
    KidUnknown,
}

/// A whole answer, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The HTTP status; a number that is not a status becomes 500.
    pub status: u16,
    /// The `Content-Type`; if empty, the header is not sent.
    pub content_type: String,
    pub body: String,
}

impl Raw {
    /// Makes an answer with any content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self { status, content_type: content_type.to_owned(), body: body.into() }
    }

    /// Makes a JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// Makes a well-formed JSON answer padded with spaces to at least `bytes` bytes.
    pub fn oversized(status: u16, body: &Value, bytes: usize) -> Self {
        let mut body = body.to_string();
        // Not with a format width, which has 16 bits only.
        body.extend(std::iter::repeat_n(' ', bytes.saturating_sub(body.len())));
        Self::new(status, "application/json", body)
    }
}

/// A gate behind which answers wait until the test opens it: no sleeping, no timing.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// Makes a closed gate.
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets every answer through from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        let mut seen = self.0.subscribe();
        // Cannot fail: `self` holds the sender, so the channel does not close during the wait.
        let _open = seen.wait_for(|open| *open).await;
    }
}
