//! JSON from strangers. A document with two members of one name has two readings, and an attacker can make two readers
//! see different documents. Such a document is refused, at any depth (RFC 8259 section 4, RFC 7519 section 4). A member
//! that is `null` is left out, so that nobody who reads the document takes it for a value.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses a whole document: UTF-8, with or without a byte order mark (RFC 8259 section 8.1 lets a parser ignore one), no duplicate member, at most 128 levels deep, with nothing
/// but white space after it. Returns `None` for anything else. Members that are `null` are not in the result.
pub(crate) fn parse(bytes: &[u8]) -> Option<Value> {
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    serde_json::from_slice::<Strict>(text).ok().map(|strict| strict.0)
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member appears twice"));
            }
        }
        object.retain(|_, item| !item.is_null());
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_as_any_parser_reads_it() {
        assert_eq!(parse("\u{feff}{}".as_bytes()), Some(json!({})));
        let text = r#" {"a":[1,-2,1.5,"x\u00e9",true,null,{"b":{}}]} "#;
        assert_eq!(parse(text.as_bytes()), Some(json!({"a":[1,-2,1.5,"xé",true,null,{"b":{}}]})));
    }

    #[test]
    fn a_member_that_is_null_is_absent_and_still_counts_as_a_member() {
        assert_eq!(parse(br#"{"a":null,"b":{"c":null,"d":[null]}}"#), Some(json!({"b":{"d":[null]}})));
        assert_eq!(parse(br#"{"a":null,"a":1}"#), None);
    }

    #[test]
    fn duplicates_marks_fragments_and_other_encodings_are_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":[{"y":{"a":1,"a":2}}]}"#,
            "\u{feff}\u{feff}{}",
            "{}{}",
            r#"{"a":"#,
            "<html>",
            "",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        let utf16: Vec<u8> = r#"{"a":1}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&utf16), None);
        assert_eq!(parse(b"{\"a\":\"\xff\"}"), None);
        assert_eq!(parse("[".repeat(100_000).as_bytes()), None);
    }

    fn without_null(value: Value) -> Value {
        match value {
            Value::Object(members) => members
                .into_iter()
                .filter(|(_, item)| !item.is_null())
                .map(|(n, item)| (n, without_null(item)))
                .collect(),
            Value::Array(items) => items.into_iter().map(without_null).collect(),
            other => other,
        }
    }

    proptest! {
        #[test]
        fn whatever_it_reads_the_usual_parser_reads_alike(text in r#"[\[\]{}:,"ab01.e \-]{0,24}"#) {
            if let Some(value) = parse(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).ok().map(without_null), Some(value));
            }
        }
    }
}
