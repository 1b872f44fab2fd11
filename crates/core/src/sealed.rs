//! Where sealed secrets are stored. A sealed value opens only in its own place, so all places are listed once, here; no
//! other module names a table or column that holds sealed values (T90).
//!
//! To seal something new, add a line to the list of columns, and a method `place` on the noun that it belongs to. A seal
//! over a whole row, which proves that the row is as it was written, needs no second format: it is a sealed value that
//! contains only the row's digest, in its own column.

use std::fmt;

use crate::{
    ApiKey, AppId, Attempt, AttemptId, ConfigId, Filled, Grant, GrantId, Hash, ProviderConfig, Revocation,
    RevocationId, Session, secret::sha256,
};

macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident = $table:literal . $column:literal by $key:literal, $generation:literal;)*) => {
        /// A column that holds sealed values. A new one is added here, and every rule about data keys holds for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum SealedColumn { $($(#[$doc])* $name,)* }

        impl SealedColumn {
            /// Every column.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The table in SQL.
            pub fn table(self) -> &'static str {
                match self { $(Self::$name => $table,)* }
            }

            /// The column in SQL, and in the seal.
            pub fn column(self) -> &'static str {
                match self { $(Self::$name => $column,)* }
            }

            /// The column that names the row: part of the value's place.
            pub fn row(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// The SQL expression for the value's generation: a column, or `0`.
            pub fn generation(self) -> &'static str {
                match self { $(Self::$name => $generation,)* }
            }
        }
    };
}

columns! {
    /// A client secret.
    ClientSecret = "providers"."client_secret" by "config_id", "generation";
    /// A PKCE verifier.
    Verifier = "attempts"."verifier" by "id", "0";
    /// A journalled token answer.
    Body = "attempts"."body" by "id", "0";
    /// An access token.
    AccessToken = "grants"."access_token" by "id", "generation";
    /// A refresh token.
    RefreshToken = "grants"."refresh_token" by "id", "generation";
    /// An id_token.
    IdToken = "grants"."id_token" by "id", "generation";
    /// A token that is still to be revoked at its provider.
    RevocationToken = "revocations"."token" by "id", "0";
    /// A journalled answer to a refresh request.
    RefreshBody = "refreshes"."body" by "id", "0";
    /// The seal over a provider configuration: it contains the row's digest.
    ProviderSeal = "providers"."seal" by "config_id", "generation";
    /// The seal over an API key's row.
    KeySeal = "api_keys"."seal" by "id", "0";
    /// Whose account a staged attempt has connected.
    StagedAccount = "attempts"."staged" by "id", "0";
    /// The token of the user who signed in for an auth session, until it is released.
    UserToken = "sessions"."user_token" by "sid", "0";
}

impl Session {
    /// The place of an auth session's user token. It opens for the key that started the session alone.
    pub fn user_token_place(&self) -> SealedPlace {
        let key = self.data.auth.as_ref().map(|auth| sha256(auth.key.to_string().as_bytes()));
        let (app, row) = (self.app_id, self.sid.to_string());
        SealedPlace { app, column: SealedColumn::UserToken, row, generation: 0, bound_to: key }
    }
}

impl SealedColumn {
    /// The table's name inside the seal. Seals outlive table names: attempts were called transactions when the first ones
    /// were sealed.
    pub fn sealed_table(self) -> &'static str {
        match self {
            Self::Verifier | Self::Body => "transactions",
            column => column.table(),
        }
    }
}

/// The place of one sealed value. The vault binds the ciphertext to all of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPlace {
    /// The app whose data key seals it.
    pub app: AppId,
    /// Table and column.
    pub column: SealedColumn,
    /// The id of the row.
    pub row: String,
    /// The generation of the value; 0 where values of the column are never replaced.
    pub generation: u64,
    /// What else of its row the value is bound to, as a digest.
    pub bound_to: Option<Hash>,
}

/// For the operator: `grants.access_token of ID`.
impl fmt::Display for SealedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} of {}", self.column.table(), self.column.column(), self.row)
    }
}

/// One sealed value as storage lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedValue {
    /// Table and column.
    pub column: SealedColumn,
    /// The id of the row.
    pub row: String,
    /// The generation.
    pub generation: u64,
    /// The value.
    pub sealed: Vec<u8>,
}

impl SealedValue {
    /// The cell in the rows of `app`. That is enough to replace the value's data key, not to open a bound value.
    pub fn place(&self, app: AppId) -> SealedPlace {
        SealedPlace {
            app,
            column: self.column,
            row: self.row.clone(),
            generation: self.generation,
            bound_to: None,
        }
    }
}

/// The secrets of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantSecret {
    /// The token that the provider's API takes.
    AccessToken,
    /// The token that gets the next access token.
    RefreshToken,
    /// The provider's signed statement about the user at the time of the exchange.
    IdToken,
}

/// Where one generation of a grant's secrets is stored. The place exists before the grant's row does: a new grant's tokens
/// are sealed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialPlace {
    /// The app.
    pub app: AppId,
    /// The grant.
    pub grant: GrantId,
    /// [`crate::Credential::generation`].
    pub generation: u64,
    /// [`crate::Holder::digest`].
    pub holder: Hash,
}

impl CredentialPlace {
    /// The place of one of the secrets.
    pub fn of(self, secret: GrantSecret) -> SealedPlace {
        let column = match secret {
            GrantSecret::AccessToken => SealedColumn::AccessToken,
            GrantSecret::RefreshToken => SealedColumn::RefreshToken,
            GrantSecret::IdToken => SealedColumn::IdToken,
        };
        SealedPlace {
            app: self.app,
            column,
            row: self.grant.to_string(),
            generation: self.generation,
            bound_to: Some(self.holder),
        }
    }
}

impl Grant {
    /// Where a generation of the grant's secrets lies. `holder` is the digest of its [`crate::Holder`].
    pub fn place_of(&self, generation: u64, holder: Hash) -> CredentialPlace {
        CredentialPlace { app: self.app_id, grant: self.id, generation, holder }
    }

    /// Where one of the grant's secrets lies in its current generation.
    pub fn place(&self, secret: GrantSecret, holder: Hash) -> SealedPlace {
        self.place_of(self.credential.generation, holder).of(secret)
    }
}

/// The secrets of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptSecret {
    /// The PKCE verifier.
    Verifier,
    /// The raw token answer.
    Body,
    /// Whose account it is.
    Account,
}

impl Attempt {
    /// Where one of the attempt's secrets lies.
    pub fn place(&self, secret: AttemptSecret) -> SealedPlace {
        Self::place_of(self.app_id, self.id, secret, &self.filled)
    }

    /// Like [`Attempt::place`], for an attempt that is still being made. The secrets of one at a customer's host are bound to
    /// that customer: whoever edits the row sends them nowhere else.
    pub fn place_of(app: AppId, id: AttemptId, secret: AttemptSecret, filled: &Filled) -> SealedPlace {
        let column = match secret {
            AttemptSecret::Verifier => SealedColumn::Verifier,
            AttemptSecret::Body => SealedColumn::Body,
            AttemptSecret::Account => SealedColumn::StagedAccount,
        };
        let bound = || sha256(&serde_json::to_vec(filled).expect("texts are always JSON"));
        let bound_to = (!filled.is_empty()).then(bound);
        SealedPlace { app, column, row: id.to_string(), generation: 0, bound_to }
    }
}

impl ProviderConfig {
    /// Where the client secret lies.
    pub fn place(&self) -> SealedPlace {
        Self::place_of(self.app_id, &self.config_id, self.generation)
    }

    /// Where the seal over the row lies.
    pub fn place_of_seal(&self) -> SealedPlace {
        SealedPlace { column: SealedColumn::ProviderSeal, ..self.place() }
    }

    /// Like [`ProviderConfig::place`], for a configuration that is still being made.
    pub fn place_of(app: AppId, id: &ConfigId, generation: u64) -> SealedPlace {
        SealedPlace {
            app,
            column: SealedColumn::ClientSecret,
            row: id.as_str().to_owned(),
            generation,
            bound_to: None,
        }
    }
}

impl ApiKey {
    /// Where the seal over the row lies.
    pub fn place_of_seal(&self) -> SealedPlace {
        let (app, row) = (self.app_id, self.id.to_string());
        SealedPlace { app, column: SealedColumn::KeySeal, row, generation: 0, bound_to: None }
    }
}

impl Revocation {
    /// Where the token that is still to be revoked is stored.
    pub fn place(&self) -> SealedPlace {
        Self::place_of(self.app_id, self.id)
    }

    /// Like [`Revocation::place`], for a revocation that is still being made.
    pub fn place_of(app: AppId, id: RevocationId) -> SealedPlace {
        SealedPlace {
            app,
            column: SealedColumn::RevocationToken,
            row: id.to_string(),
            generation: 0,
            bound_to: None,
        }
    }
}
