//! How columns become values: the same rules in every table. How values become columns is the same in every engine:
//! [`alter_rows::storable`].

use alter_core::{Hash, Micros};
pub(crate) use alter_rows::storable::{counter, json, optional_text, text};
use serde::de::DeserializeOwned;
use sqlx::{Decode, Postgres, Row as _, Type, postgres::PgRow};

use crate::fault::Fault;

/// Reads a value as it stands.
pub(crate) fn read<'r, T>(row: &'r PgRow, column: &'static str) -> Result<T, Fault>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(column).map_err(|_| Fault::corrupt(column))
}

/// Reads a text and understands it.
pub(crate) fn parsed<T>(
    row: &PgRow,
    column: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, Fault> {
    parse(read(row, column)?).ok_or(Fault::corrupt(column))
}

/// Reads a text.
pub(crate) fn read_text(row: &PgRow, column: &'static str) -> Result<String, Fault> {
    read(row, column)
}

/// Reads a JSON document.
pub(crate) fn read_json<T: DeserializeOwned>(row: &PgRow, column: &'static str) -> Result<T, Fault> {
    parsed(row, column, |text| serde_json::from_str(text).ok())
}

/// Reads a time.
pub(crate) fn read_time(row: &PgRow, column: &'static str) -> Result<Micros, Fault> {
    Ok(Micros(read(row, column)?))
}

/// Reads a time that may be absent.
pub(crate) fn read_optional_time(row: &PgRow, column: &'static str) -> Result<Option<Micros>, Fault> {
    Ok(read::<Option<i64>>(row, column)?.map(Micros))
}

/// Reads a counter.
pub(crate) fn read_counter(row: &PgRow, column: &'static str) -> Result<u64, Fault> {
    u64::try_from(read::<i64>(row, column)?).map_err(|_| Fault::corrupt(column))
}

/// Reads a SHA-256.
pub(crate) fn read_hash(row: &PgRow, column: &'static str) -> Result<Hash, Fault> {
    read::<&[u8]>(row, column)?.try_into().map_err(|_| Fault::corrupt(column))
}

/// Reads a SHA-256 that may be absent.
pub(crate) fn read_optional_hash(row: &PgRow, column: &'static str) -> Result<Option<Hash>, Fault> {
    let bytes = read::<Option<&[u8]>>(row, column)?;
    bytes.map(|b| b.try_into().map_err(|_| Fault::corrupt(column))).transpose()
}
