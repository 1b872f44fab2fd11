//! How values become columns and columns values: the same rules in every table.

use alter_core::{Hash, Micros, StoreError, store::storable};
use rusqlite::Row;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::fault::Fault;

/// A text as it is stored.
pub(crate) fn text(value: &str) -> Result<&str, StoreError> {
    if storable(value) { Ok(value) } else { Err(StoreError::Unstorable) }
}

/// A text that may be absent.
pub(crate) fn optional_text(value: Option<&str>) -> Result<Option<&str>, StoreError> {
    value.map(text).transpose()
}

/// A document as JSON text. NUL is refused inside it too: an engine that parses its documents could not keep it.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    let written = serde_json::to_string(value).map_err(|_| StoreError::Unstorable)?;
    // JSON writes NUL as an escape. The escape's letters may also stand there for themselves, so look closer then.
    if written.contains("\\u0000") && serde_json::from_str(&written).is_ok_and(|v| has_nul(&v)) {
        return Err(StoreError::Unstorable);
    }
    Ok(written)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(s) => !storable(s),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, v)| !storable(name) || has_nul(v)),
        _ => false,
    }
}

/// A counter: databases have no unsigned numbers.
pub(crate) fn counter(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Unstorable)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_refused_inside_documents_and_its_escape_spelled_out_is_not() {
        let nul = serde_json::json!({ "a": ["b\0"] });
        assert!(matches!(json(&nul), Err(StoreError::Unstorable)));
        let nul_in_name = serde_json::json!({ "\0": 1 });
        assert!(matches!(json(&nul_in_name), Err(StoreError::Unstorable)));
        assert!(json(&serde_json::json!({ "a": "\\u0000" })).is_ok());
    }
}
