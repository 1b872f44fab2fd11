//! Data keys. A retired key is wiped: its row stays, but without the wrapped key.

use alter_core::{StoreError, StoredDataKey};

use crate::{
    Columns, Noun, Value,
    noun::{List, Names, next},
};

impl Noun for StoredDataKey {
    const COLUMNS: List = &["app_id", "key_id", "wrapped", "created_at", "retired_at"];
    /// Empty: each store writes its own statement, because it cuts the id out of the wrapped key.
    const WRITTEN: List = &[];

    fn read_as(row: &dyn Columns, names: &mut Names) -> Result<Self, StoreError> {
        let key = Self {
            app_id: next(row, names)?,
            key_id: next(row, names)?,
            wrapped: next(row, names)?,
            created_at: next(row, names)?,
            retired_at: next(row, names)?,
        };
        Ok(match key.retired_at {
            Some(_) => Self { wrapped: None, ..key },
            None => key,
        })
    }

    fn write<'a>(&'a self, _values: &mut Vec<Value<'a>>) -> Result<(), StoreError> {
        Ok(())
    }
}
