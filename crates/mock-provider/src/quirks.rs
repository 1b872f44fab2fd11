//! The positions of the switches: each odd behaviour has a name. `switches` says which of them are on and
//! which are friendly.

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

/// What an access token looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessTokens {
    /// A random text.
    #[default]
    Opaque,
    /// A signed JWT with `exp` (RFC 9068), whatever the answer's `expires_in` says.
    Jwt,
}

/// What is over once a token was revoked at the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevokeEnds {
    /// The token's grant: every access and refresh token made from the same code.
    #[default]
    Grant,
    /// The named token and nothing else.
    TokenAlone,
    /// Every grant that the same account gave to the same client.
    Account,
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
    /// More headers: (name, value). One that HTTP does not allow is left out.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Raw {
    /// Makes an answer with any content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self { status, content_type: content_type.to_owned(), headers: Vec::new(), body: body.into() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
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

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Eq for Gate {}

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
