//! How one value is stored in one column.

use std::borrow::Cow;

use alter_core::{
    AgentId, AgentStatus, AppId, AppSettings, AttemptId, AttemptStatus, Brought, ConfigId, Facts, Filled,
    GrantId, KeyId, Level, Micros, Principal, ReconnectReason, RefreshId, RefreshState, RevocationId,
    RevocationOutcome, SessionId, StoreError, UserId, agent::AgentData, session::SessionData,
};

use crate::storable::{counter, json, text};

/// A row as an engine returns it. `None` is NULL.
///
/// # Errors
/// Every method: [`StoreError::Corrupt`] when the column is not there or has another type.
pub trait Columns {
    fn text(&self, name: &'static str) -> Result<Option<&str>, StoreError>;
    fn int(&self, name: &'static str) -> Result<Option<i64>, StoreError>;
    fn bytes(&self, name: &'static str) -> Result<Option<&[u8]>, StoreError>;
    fn flag(&self, name: &'static str) -> Result<Option<bool>, StoreError>;
}

impl dyn Columns + '_ {
    /// Reads a column by its name.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: the value is not of this type.
    pub fn get<T: Column>(&self, name: &'static str) -> Result<T, StoreError> {
        T::read(self, name)
    }
}

/// A value that a store binds to a place in a statement. `None` is NULL of that type: PostgreSQL needs to know the type.
#[derive(Clone)]
pub enum Value<'a> {
    Text(Option<Cow<'a, str>>),
    Int(Option<i64>),
    Bytes(Option<Cow<'a, [u8]>>),
    Flag(Option<bool>),
}

impl<'a> Value<'a> {
    /// A fixed word of our own, which cannot contain NUL.
    pub fn word(word: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(Some(word.into()))
    }

    /// Copies what the value borrows.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Text(text) => Value::Text(text.map(|text| Cow::Owned(text.into_owned()))),
            Self::Int(int) => Value::Int(int),
            Self::Bytes(bytes) => Value::Bytes(bytes.map(|bytes| Cow::Owned(bytes.into_owned()))),
            Self::Flag(flag) => Value::Flag(flag),
        }
    }
}

/// A type whose values are stored in one column.
pub trait Column: Sized {
    /// The NULL that is stored when there is no value.
    const NULL: Value<'static>;

    /// Reads the value; returns `None` for NULL.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError>;

    /// Reads the value, which must not be NULL.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn read(row: &dyn Columns, name: &'static str) -> Result<Self, StoreError> {
        Self::find(row, name)?.ok_or(StoreError::Corrupt(name))
    }

    /// The value to store.
    ///
    /// # Errors
    /// [`StoreError::Unstorable`].
    fn value(&self) -> Result<Value<'_>, StoreError>;
}

impl<T: Column> Column for Option<T> {
    const NULL: Value<'static> = T::NULL;

    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
        T::find(row, name).map(Some)
    }

    fn value(&self) -> Result<Value<'_>, StoreError> {
        self.as_ref().map_or(Ok(T::NULL), T::value)
    }
}

/// Reads a text and parses it.
fn parsed<T>(
    row: &dyn Columns,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    row.text(name)?.map(|text| parse(text).ok_or(StoreError::Corrupt(name))).transpose()
}

/// Types with our own text form: `parse` reads what `as text` wrote.
macro_rules! words {
    ($($kind:ty: |$value:ident| $text:expr;)*) => {$(
        impl Column for $kind {
            const NULL: Value<'static> = Value::Text(None);

            fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
                parsed(row, name, Self::parse)
            }

            fn value(&self) -> Result<Value<'_>, StoreError> {
                let $value = self;
                Ok(Value::word($text))
            }
        }
    )*};
}

words! {
    AppId: |id| id.to_string();
    KeyId: |id| id.to_string();
    GrantId: |id| id.to_string();
    AttemptId: |id| id.to_string();
    UserId: |id| id.to_string();
    AgentId: |id| id.to_string();
    RefreshId: |id| id.to_string();
    RevocationId: |id| id.to_string();
    SessionId: |id| id.as_str();
    ConfigId: |id| id.as_str();
    Principal: |principal| principal.to_text();
    Level: |level| level.as_str();
    AttemptStatus: |status| status.as_str();
    AgentStatus: |status| status.as_str();
    RevocationOutcome: |outcome| outcome.as_str();
    ReconnectReason: |reason| reason.as_str();
}

/// Documents and lists, as JSON text.
macro_rules! documents {
    ($($kind:ty),*) => {$(
        impl Column for $kind {
            const NULL: Value<'static> = Value::Text(None);

            fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
                parsed(row, name, |text| serde_json::from_str(text).ok())
            }

            fn value(&self) -> Result<Value<'_>, StoreError> {
                json(self).map(Value::word)
            }
        }
    )*};
}

documents!(
    AppSettings,
    AgentData,
    Brought,
    Facts,
    Filled,
    RefreshState,
    SessionData,
    Vec<String>,
    serde_json::Value
);

impl Column for String {
    const NULL: Value<'static> = Value::Text(None);

    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
        Ok(row.text(name)?.map(str::to_owned))
    }

    fn value(&self) -> Result<Value<'_>, StoreError> {
        text(self).map(Value::word)
    }
}

impl Column for i64 {
    const NULL: Value<'static> = Value::Int(None);

    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
        row.int(name)
    }

    fn value(&self) -> Result<Value<'_>, StoreError> {
        Ok(Value::Int(Some(*self)))
    }
}

impl Column for Micros {
    const NULL: Value<'static> = Value::Int(None);

    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
        Ok(row.int(name)?.map(Micros))
    }

    fn value(&self) -> Result<Value<'_>, StoreError> {
        self.0.value().map(Value::into_owned)
    }
}

/// Counters.
macro_rules! counters {
    ($($kind:ty),*) => {$(
        impl Column for $kind {
            const NULL: Value<'static> = Value::Int(None);

            fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
                let whole = |int| Self::try_from(int).map_err(|_| StoreError::Corrupt(name));
                row.int(name)?.map(whole).transpose()
            }

            fn value(&self) -> Result<Value<'_>, StoreError> {
                counter((*self).into()).map(|int| Value::Int(Some(int)))
            }
        }
    )*};
}

counters!(u64, u32);

impl Column for bool {
    const NULL: Value<'static> = Value::Flag(None);

    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
        row.flag(name)
    }

    fn value(&self) -> Result<Value<'_>, StoreError> {
        Ok(Value::Flag(Some(*self)))
    }
}

impl Column for Vec<u8> {
    const NULL: Value<'static> = Value::Bytes(None);

    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
        Ok(row.bytes(name)?.map(<[u8]>::to_vec))
    }

    fn value(&self) -> Result<Value<'_>, StoreError> {
        Ok(Value::Bytes(Some(self.into())))
    }
}

/// A hash, a data key's id, a nonce.
impl<const N: usize> Column for [u8; N] {
    const NULL: Value<'static> = Value::Bytes(None);

    fn find(row: &dyn Columns, name: &'static str) -> Result<Option<Self>, StoreError> {
        let exactly = |bytes: &[u8]| bytes.try_into().map_err(|_| StoreError::Corrupt(name));
        row.bytes(name)?.map(exactly).transpose()
    }

    fn value(&self) -> Result<Value<'_>, StoreError> {
        Ok(Value::Bytes(Some(self.as_slice().into())))
    }
}
