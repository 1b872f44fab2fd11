//! The place of a value, and how it is written into the authenticated data (T90).

use crate::VaultError;

/// The database cell that a sealed value belongs to, and the version of its content. The value opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The app that owns the row.
    pub app: &'a str,
    /// The table's name.
    pub table: &'a str,
    /// The column's name.
    pub column: &'a str,
    /// The row's primary key, as text.
    pub row: &'a str,
    /// Counts the values that this cell has held, so that an older value does not open under a newer generation.
    pub generation: u64,
    /// A digest of whatever else the value belongs to, such as other columns of its row. `None` = nothing else.
    pub bound_to: Option<&'a [u8]>,
}

/// Associated data under construction. Each field follows its length in four big-endian bytes, so that no two lists of
/// fields give the same bytes.
pub(crate) struct Fields(Vec<u8>);

impl Fields {
    /// Starts with the label of the purpose, the format version and the algorithms.
    pub(crate) fn new(label: &[u8], version: u8, algorithms: u8) -> Result<Self, VaultError> {
        Self(Vec::with_capacity(256)).add(label)?.add(&[version])?.add(&[algorithms])
    }

    /// Appends one field.
    ///
    /// # Errors
    /// [`VaultError::TooLong`] past 4 GiB.
    pub(crate) fn add(mut self, field: &[u8]) -> Result<Self, VaultError> {
        let length = u32::try_from(field.len()).map_err(|_| VaultError::TooLong)?;
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
        Ok(self)
    }

    /// Appends the five fields that name the cell.
    ///
    /// # Errors
    /// [`VaultError::TooLong`] past 4 GiB.
    pub(crate) fn add_place(self, place: &Place) -> Result<Self, VaultError> {
        self.add(place.app.as_bytes())?
            .add(place.table.as_bytes())?
            .add(place.column.as_bytes())?
            .add(place.row.as_bytes())?
            .add(&place.generation.to_be_bytes())
    }

    /// The finished bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_moves_between_fields_changes_the_bytes() {
        let encode = |app, table| {
            let place = Place { app, table, column: "c", row: "r", generation: 0, bound_to: None };
            Fields::new(b"label", 1, 1).and_then(|f| f.add_place(&place)).expect("short").bytes().to_vec()
        };
        assert_eq!(encode("ab", "c"), encode("ab", "c"));
        assert_ne!(encode("ab", "c"), encode("a", "bc"));
        assert_ne!(encode("abc", ""), encode("", "abc"));
    }
}
