//! How columns become values: the same rules in every table. How values become columns is the same in every engine:
//! [`alter_rows::storable`].

use alter_core::{Hash, Micros};
pub(crate) use alter_rows::storable::{counter, json, optional_text, text};
use rusqlite::Row;
use serde::de::DeserializeOwned;

use crate::fault::Fault;

/// Reads a text and understands it.
pub(crate) fn parsed<T>(
    row: &Row<'_>,
    column: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, Fault> {
    let value = row.get_ref(column)?.as_str().ok().and_then(parse);
    value.ok_or(Fault::corrupt(column))
}

/// Reads a text.
pub(crate) fn read_text(row: &Row<'_>, column: &'static str) -> Result<String, Fault> {
    parsed(row, column, |text| Some(text.to_owned()))
}

/// Reads a JSON document.
pub(crate) fn read_json<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<T, Fault> {
    parsed(row, column, |text| serde_json::from_str(text).ok())
}

/// Reads a time.
pub(crate) fn read_time(row: &Row<'_>, column: &'static str) -> Result<Micros, Fault> {
    Ok(Micros(row.get(column)?))
}

/// Reads a time that may be absent.
pub(crate) fn read_optional_time(row: &Row<'_>, column: &'static str) -> Result<Option<Micros>, Fault> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Micros))
}

/// Reads a counter.
pub(crate) fn read_counter(row: &Row<'_>, column: &'static str) -> Result<u64, Fault> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| Fault::corrupt(column))
}

/// Reads a SHA-256.
pub(crate) fn read_hash(row: &Row<'_>, column: &'static str) -> Result<Hash, Fault> {
    let bytes = row.get_ref(column)?.as_blob().ok();
    bytes.and_then(|b| b.try_into().ok()).ok_or(Fault::corrupt(column))
}

/// Reads a SHA-256 that may be absent.
pub(crate) fn read_optional_hash(row: &Row<'_>, column: &'static str) -> Result<Option<Hash>, Fault> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => read_hash(row, column).map(Some),
    }
}
