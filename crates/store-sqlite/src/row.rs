//! SQLite's side of the columns that both engines share: reading a column, and binding a value.

use std::cell::Cell;

use alter_core::StoreError;
use alter_rows::{Columns, Value};
use rusqlite::{
    Params, ToSql, params_from_iter,
    types::{Null, ToSqlOutput, ValueRef},
};

/// A statement's text, with `?` before the number of a place.
macro_rules! sql {
    ($($text:tt)+) => {
        alter_rows::sql!('?', $($text)+)
    };
}
pub(crate) use sql;

/// A row under the statement that returned it.
pub(crate) struct Row<'a> {
    row: &'a rusqlite::Row<'a>,
    /// The column after the one that was read last. Nouns are read in the order of their columns, so this is nearly always
    /// the next one asked for; to find a column by name costs a comparison with every column before it.
    next: Cell<usize>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(row: &'a rusqlite::Row<'a>) -> Self {
        Self { row, next: Cell::new(0) }
    }

    fn stored(&self, name: &'static str) -> Result<ValueRef<'_>, StoreError> {
        let columns = self.row.as_ref();
        let expected = self.next.get();
        let is_next = columns.column_name(expected).is_ok_and(|column| column == name);
        let at = if is_next { Ok(expected) } else { columns.column_index(name) };
        let at = at.map_err(|_| StoreError::Corrupt(name))?;
        self.next.set(at + 1);
        self.row.get_ref(at).map_err(|_| StoreError::Corrupt(name))
    }
}

impl Columns for Row<'_> {
    fn text(&self, name: &'static str) -> Result<Option<&str>, StoreError> {
        self.stored(name)?.as_str_or_null().map_err(|_| StoreError::Corrupt(name))
    }

    fn int(&self, name: &'static str) -> Result<Option<i64>, StoreError> {
        self.stored(name)?.as_i64_or_null().map_err(|_| StoreError::Corrupt(name))
    }

    fn bytes(&self, name: &'static str) -> Result<Option<&[u8]>, StoreError> {
        self.stored(name)?.as_blob_or_null().map_err(|_| StoreError::Corrupt(name))
    }

    fn flag(&self, name: &'static str) -> Result<Option<bool>, StoreError> {
        Ok(self.int(name)?.map(|int| int != 0))
    }
}

struct Bound<'a>(Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match &self.0 {
            Value::Text(Some(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Bytes(Some(bytes)) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Value::Int(Some(int)) => (*int).into(),
            Value::Flag(Some(flag)) => (*flag).into(),
            Value::Text(None) | Value::Bytes(None) | Value::Int(None) | Value::Flag(None) => Null.into(),
        })
    }
}

/// The values of a statement's places, in order.
pub(crate) fn bound<'a>(values: impl IntoIterator<Item = Value<'a>>) -> impl Params {
    params_from_iter(values.into_iter().map(Bound))
}

/// Values made on the caller's thread, so that the writer thread does not spend its time writing JSON.
pub(crate) fn owned(values: Vec<Value<'_>>) -> Vec<Value<'static>> {
    values.into_iter().map(Value::into_owned).collect()
}
