//! API keys: the published grammar (wire 1.1) and the stored row. Only a key's SHA-256 is stored; the grammar gives a
//! scoped key 110 random bits.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    AgentId, AppId, Hash, KeyId, Micros,
    id::base32_text,
    secret::{hex, sha256},
    time::Random,
};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `rk`: the app's backend.
    App,
    /// `ak`: an agent.
    Agent,
    /// `dk`: derived from another key.
    Derived,
    /// `pk`: publishable.
    Publishable,
    /// `alter_key_` and 40 characters: accepted by the grammar, never minted.
    Legacy,
}

impl KeyType {
    fn code(self) -> &'static str {
        match self {
            Self::App => "rk",
            Self::Agent => "ak",
            Self::Derived => "dk",
            Self::Publishable => "pk",
            Self::Legacy => "key",
        }
    }
}

/// Returns the type of a well-formed key, `None` for any other text. Does not trim; case-sensitive.
pub fn parse_key(text: &str) -> Option<KeyType> {
    if let Some(rest) = text.strip_prefix("alter_key_") {
        let ok =
            rest.len() == 40 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        return ok.then_some(KeyType::Legacy);
    }
    let mut parts = text.split('_');
    let (Some("alter"), Some(code), Some(random), Some(check), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let kind = [KeyType::App, KeyType::Agent, KeyType::Derived, KeyType::Publishable]
        .into_iter()
        .find(|kind| kind.code() == code)?;
    let well_formed = random.len() == 22 && random.bytes().all(|b| ALPHABET.contains(&b));
    (well_formed && checksum(code, random) == check).then_some(kind)
}

/// Makes a random key of a type. Show it once, store only [`key_hash`].
pub fn mint_key(kind: KeyType, random: &dyn Random) -> SecretString {
    let code = kind.code();
    let text = base32_text(random, 22);
    SecretString::from(format!("alter_{code}_{text}_{}", checksum(code, &text)))
}

/// The SHA-256 of a key, by which it is stored and looked up.
pub fn key_hash(key: &SecretString) -> Hash {
    sha256(key.expose_secret().as_bytes())
}

/// The first characters, enough to recognise a key in a list: `alter_rk_abcd`.
pub fn key_prefix(key: &SecretString) -> String {
    key.expose_secret().chars().take(13).collect()
}

fn checksum(code: &str, random: &str) -> String {
    let crc = crc32fast::hash(format!("{code}:{random}").as_bytes());
    (0..6).map(|i| char::from(ALPHABET[((crc >> (5 * i)) & 31) as usize])).collect()
}

/// A key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Random; not secret.
    pub id: KeyId,
    /// The app it belongs to.
    pub app_id: AppId,
    /// The agent that owns the key; `None` = the app's own key.
    pub agent_id: Option<AgentId>,
    /// SHA-256 of the key.
    pub hash: Hash,
    /// See [`key_prefix`].
    pub prefix: String,
    /// What the operator calls it.
    pub name: String,
    /// When the key was made.
    pub created_at: Micros,
    /// From when on responses to its calls say that the key is deprecated.
    pub deprecated_at: Option<Micros>,
    /// From when on calls with the key are refused.
    pub revoked_at: Option<Micros>,
    /// Sealed: the row's digest, which proves that somebody with the root key made the key. `None` in a row from before
    /// there were seals, and once the key is revoked: so nobody can undo that by emptying a column.
    pub seal: Option<Vec<u8>>,
}

impl ApiKey {
    /// The digest of whose key it is, and of the key itself. A name or a mark decides nothing.
    pub fn digest(&self) -> Hash {
        let agent = self.agent_id.map(|id| id.to_string()).unwrap_or_default();
        let parts = [self.id.to_string(), self.app_id.to_string(), agent, hex(&self.hash)];
        sha256(parts.join("\n").as_bytes())
    }
}

/// A key just made. The key itself is shown once; only its hash is stored.
#[derive(Debug)]
pub struct NewKey {
    /// As stored, but for its seal: `flows` puts that on.
    pub key: ApiKey,
    /// The key itself.
    pub secret: SecretString,
}

impl NewKey {
    /// Makes a key of `kind` for an app, or for one of its agents.
    pub fn mint(
        kind: KeyType,
        (app_id, agent_id): (AppId, Option<AgentId>),
        name: &str,
        now: Micros,
        random: &dyn Random,
    ) -> Self {
        let secret = mint_key(kind, random);
        let key = ApiKey {
            id: KeyId::new(random),
            app_id,
            agent_id,
            hash: key_hash(&secret),
            prefix: key_prefix(&secret),
            name: name.to_owned(),
            created_at: now,
            deprecated_at: None,
            revoked_at: None,
            seal: None,
        };
        Self { key, secret }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_key_vectors_are_judged_as_the_client_judges_them() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/key_vectors.json")).unwrap();
        let list = |name: &str| {
            vectors[name].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect::<Vec<_>>()
        };
        for good in list("valid") {
            assert!(parse_key(good).is_some(), "{good}");
        }
        for bad in list("invalid") {
            assert!(parse_key(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_right_checksum_alone_makes_no_key() {
        let parsed = |text: &str| parse_key(&format!("alter_rk_{text}_{}", checksum("rk", text)));
        assert_eq!(parsed("abcdefghijklmnopqrstuv"), Some(KeyType::App), "positive control");
        for odd in [
            "",
            "abcdefghijklmnopqrstu",
            "abcdefghijklmnopqrstuvw",
            "Abcdefghijklmnopqrstuv",
            "abcdefghijklmnopqrstu1",
        ] {
            assert_eq!(parsed(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn t59_of_a_key_its_hash_and_its_first_characters_are_kept() {
        let owner = (AppId::new(&crate::SystemRandom), None);
        let made = NewKey::mint(KeyType::App, owner, "Backend", Micros(0), &crate::SystemRandom);
        let secret = made.secret.expose_secret();
        assert_eq!(made.key.hash, sha256(secret.as_bytes()));
        assert_eq!(made.key.prefix, secret[.."alter_rk_abcd".len()]);
        assert!(!format!("{:?}", made.key).contains(secret));
    }

    #[test]
    fn a_minted_key_is_well_formed_and_debug_hides_it() {
        for kind in [KeyType::App, KeyType::Agent] {
            let key = mint_key(kind, &crate::SystemRandom);
            assert_eq!(parse_key(key.expose_secret()), Some(kind));
            assert!(!format!("{key:?}").contains(key.expose_secret()));
        }
    }
}
