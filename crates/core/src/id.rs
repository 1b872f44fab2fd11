//! Identifiers. UUIDs are version 4, lower case and hyphenated on the wire; `sid` and `config_id` have our own format.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::{Random, random_bytes};

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Returns `length` random characters of lower-case base32 (5 bits each).
pub fn base32_text(random: &dyn Random, length: usize) -> String {
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes.iter().map(|b| char::from(BASE32[usize::from(b & 31)])).collect()
}

fn is_base32(text: &str) -> bool {
    text.bytes().all(|b| BASE32.contains(&b))
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes a random id (UUIDv4).
            pub fn new(random: &dyn Random) -> Self {
                Self(uuid::Builder::from_random_bytes(random_bytes(random)).into_uuid())
            }

            /// Accepts only the canonical form: lower case, hyphenated.
            pub fn parse(text: &str) -> Option<Self> {
                let id = Uuid::try_parse(text).ok()?;
                (id.hyphenated().to_string() == text).then_some(Self(id))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0.hyphenated())
            }
        }
    };
}

uuid_id!(
    /// An app: whose users connect accounts.
    AppId
);
uuid_id!(
    /// An API key.
    KeyId
);
uuid_id!(
    /// A grant: the id that apps store and pass. Knowing it gives no authority (T74).
    GrantId
);
uuid_id!(
    /// One attempt to connect one provider inside a session.
    AttemptId
);

uuid_id!(
    /// One attempt to refresh a grant's credential.
    RefreshId
);
uuid_id!(
    /// One request to a provider to revoke a token.
    RevocationId
);

uuid_id!(
    /// A user of an app: one (issuer, subject) of its identity provider.
    UserId
);
uuid_id!(
    /// An agent of an app.
    AgentId
);

/// A session's public id (`sid`): 26 characters of base32, 128 bits and a bit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(String);

/// A provider configuration's id: `pc_` and 26 characters of base32, globally unique.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigId(String);

impl SessionId {
    /// A new random one.
    pub fn new(random: &dyn Random) -> Self {
        Self(base32_text(random, 26))
    }

    /// `None` for anything that `new` could not have made.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 26 && is_base32(text)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ConfigId {
    /// A new random one.
    pub fn new(random: &dyn Random) -> Self {
        Self(format!("pc_{}", base32_text(random, 26)))
    }

    /// `None` for anything that `new` could not have made.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("pc_")?;
        (rest.len() == 26 && is_base32(rest)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for ConfigId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
