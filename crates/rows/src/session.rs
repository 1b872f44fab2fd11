//! Sessions: a few columns to find and order them by, and the rest as one document.

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

/// What saving a session again writes, and what it compares.
pub struct Save {
    /// Which session.
    pub sid: String,
    /// Where it stands now.
    pub state: &'static str,
    /// The version that it must still have.
    pub version: i64,
    /// The document.
    pub data: String,
}

impl Save {
    /// What is to be saved of a session.
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
