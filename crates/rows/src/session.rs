//! Sessions: a few columns for finding and ordering them, and the rest as one document.

use alter_core::{Session, StoreError};

use crate::{
    Value,
    noun::columns,
    storable::{counter, json},
};

columns! {
    Session { sid, app_id, token_hash, created_at, expires_at, version, data }
    found_by { state: |session| Ok(Value::word(session.state_name())) }
}

/// The values that saving an existing session writes and compares.
pub struct Save {
    pub sid: String,
    /// The state's name.
    pub state: &'static str,
    /// The version that the row must still have.
    pub version: i64,
    /// The rest as a JSON document.
    pub data: String,
}

impl Save {
    /// The values to save for a session.
    ///
    /// # Errors
    /// [`StoreError::Unstorable`].
    pub fn of(session: &Session) -> Result<Self, StoreError> {
        Ok(Self {
            sid: session.sid.as_str().to_owned(),
            state: session.state_name(),
            version: counter(session.version)?,
            data: json(&session.data)?,
        })
    }
}
