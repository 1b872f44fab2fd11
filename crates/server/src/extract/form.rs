//! The fields of a form that a browser sends as `application/x-www-form-urlencoded`.

use std::collections::BTreeSet;

/// The fields, in order.
#[derive(Debug)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// Whether there is a field of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// Whether a field comes more than once.
    pub(crate) fn repeats(&self) -> bool {
        let names: BTreeSet<_> = self.0.iter().map(|(name, _)| name).collect();
        names.len() < self.0.len()
    }

    /// All fields, in order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The field of this name; empty when there is none, or more than one.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) => value,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_comes_twice_counts_as_none() {
        let form = Form::parse(b"a=1&b=x+%26&a=2");
        assert_eq!((form.field("a"), form.field("b"), form.field("c")), ("", "x &", ""));
        assert!(form.repeats() && !Form::parse(b"a=1&b=1").repeats());
    }
}
