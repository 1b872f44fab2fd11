//! PostgreSQL's side of the columns that both engines share: reading a column, and binding a value.

use alter_core::StoreError;
use alter_rows::{Columns, Value};
use sqlx::{
    Arguments, Decode, Postgres, Row as _, Type,
    postgres::{PgArguments, PgRow},
};

/// A statement's text, with `$` before the number of a place.
macro_rules! sql {
    ($($text:tt)+) => {
        alter_rows::sql!('$', $($text)+)
    };
}
pub(crate) use sql;

/// A row that the server returned.
pub(crate) struct Row<'a>(pub(crate) &'a PgRow);

impl<'r> Row<'r> {
    fn stored<T>(&self, name: &'static str) -> Result<Option<T>, StoreError>
    where
        T: Decode<'r, Postgres> + Type<Postgres>,
    {
        self.0.try_get(name).map_err(|_| StoreError::Corrupt(name))
    }
}

impl Columns for Row<'_> {
    fn text(&self, name: &'static str) -> Result<Option<&str>, StoreError> {
        self.stored(name)
    }

    fn int(&self, name: &'static str) -> Result<Option<i64>, StoreError> {
        self.stored(name)
    }

    fn bytes(&self, name: &'static str) -> Result<Option<&[u8]>, StoreError> {
        self.stored(name)
    }

    fn flag(&self, name: &'static str) -> Result<Option<bool>, StoreError> {
        self.stored(name)
    }
}

/// The values of a statement's places, in order.
pub(crate) fn bound<'a>(values: impl IntoIterator<Item = Value<'a>>) -> PgArguments {
    let mut bound = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Text(text) => bound.add(text.as_deref()),
            Value::Int(int) => bound.add(int),
            Value::Bytes(bytes) => bound.add(bytes.as_deref()),
            Value::Flag(flag) => bound.add(flag),
        };
        added.expect("texts, numbers and bytes always encode");
    }
    bound
}
