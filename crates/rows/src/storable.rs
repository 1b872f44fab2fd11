//! What a value must be before it is stored: the same rules for every engine.

use alter_core::{StoreError, stored::storable};
use serde::Serialize;
use serde_json::Value;

/// Checks a text: NUL is refused.
///
/// # Errors
/// [`StoreError::Unstorable`].
pub fn text(value: &str) -> Result<&str, StoreError> {
    if storable(value) { Ok(value) } else { Err(StoreError::Unstorable) }
}

/// Checks a text that may be absent.
///
/// # Errors
/// [`StoreError::Unstorable`].
pub fn optional_text(value: Option<&str>) -> Result<Option<&str>, StoreError> {
    value.map(text).transpose()
}

/// Writes a document as JSON text. NUL is refused inside it too: an engine that parses its documents could not store it.
///
/// # Errors
/// [`StoreError::Unstorable`].
pub fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    let written = serde_json::to_string(value).map_err(|_| StoreError::Unstorable)?;
    // JSON writes NUL as an escape, but the text may also contain the escape's letters themselves: then look closer.
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

/// Converts a counter: databases have no unsigned numbers.
///
/// # Errors
/// [`StoreError::Unstorable`].
pub fn counter(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Unstorable)
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
