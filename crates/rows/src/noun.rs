//! How one noun is stored in the columns of one table.

use alter_core::StoreError;

use crate::column::{Column, Columns, Value};

/// Names of columns.
pub type List = &'static [&'static str];

/// The names that a noun's columns have in a row, in the noun's order.
pub type Names = std::slice::Iter<'static, &'static str>;

/// A noun that is stored in columns.
pub trait Noun: Sized {
    /// The columns it is read from.
    const COLUMNS: List;
    /// The names that the same columns have where the noun is joined to another one; empty when it never is.
    const JOINED: List = &[];
    /// The columns that are written for a new noun.
    const WRITTEN: List;

    /// Takes a name for each of [`Self::COLUMNS`], and reads those columns.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn read_as(row: &dyn Columns, names: &mut Names) -> Result<Self, StoreError>;

    /// Adds a value for each of [`Self::WRITTEN`].
    ///
    /// # Errors
    /// [`StoreError::Unstorable`].
    fn write<'a>(&'a self, values: &mut Vec<Value<'a>>) -> Result<(), StoreError>;

    /// Reads the noun from its own row.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn read(row: &dyn Columns) -> Result<Self, StoreError> {
        Self::read_as(row, &mut Self::COLUMNS.iter())
    }

    /// Reads the noun from another noun's row, to which it was joined.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn read_joined(row: &dyn Columns) -> Result<Self, StoreError> {
        Self::read_as(row, &mut Self::JOINED.iter())
    }

    /// The values of [`Self::WRITTEN`], in its order.
    ///
    /// # Errors
    /// [`StoreError::Unstorable`].
    fn values(&self) -> Result<Vec<Value<'_>>, StoreError> {
        let mut values = Vec::with_capacity(Self::WRITTEN.len());
        self.write(&mut values)?;
        Ok(values)
    }
}

/// Reads the column whose name comes next.
pub(crate) fn next<T: Column>(row: &dyn Columns, names: &mut Names) -> Result<T, StoreError> {
    T::read(row, names.next().expect("there is a name for each column"))
}

/// Joins several lists into one.
pub(crate) const fn chained<const N: usize>(lists: &[List]) -> [&'static str; N] {
    let (mut all, mut at, mut list) = ([""; N], 0, 0);
    while list < lists.len() {
        let mut i = 0;
        while i < lists[list].len() {
            all[at] = lists[list][i];
            (at, i) = (at + 1, i + 1);
        }
        list += 1;
    }
    all
}

/// Counts the names in several lists.
pub(crate) const fn count(lists: &[List]) -> usize {
    let (mut sum, mut list) = (0, 0);
    while list < lists.len() {
        (sum, list) = (sum + lists[list].len(), list + 1);
    }
    sum
}

/// Lists a noun's fields. A field is stored in the column of its name, or of the name after `as`, and its type says how it
/// is written and read ([`Column`]).
///
/// - `joined "a_"`: where the noun is joined to another one, its columns have this prefix;
/// - `changed { .. }`: fields that a new row does not have yet;
/// - `parts { .. }`: fields that are nouns themselves, stored in the same row;
/// - `found_by { .. }`: columns that are computed from the noun and written with it, to find it by.
macro_rules! columns {
    ($noun:ident joined $prefix:literal { $($field:ident),+ $(,)? }) => {
        $crate::noun::columns! {
            [const JOINED: $crate::noun::List = &[$(concat!($prefix, stringify!($field))),+];]
            $noun { $($field),+ }
        }
    };
    ($noun:ident { $($rest:tt)+ } $($more:tt)*) => {
        $crate::noun::columns! { [] $noun { $($rest)+ } $($more)* }
    };
    (
        [$($joined:tt)*] $noun:ident { $($field:ident $(as $column:literal)?),+ $(,)? }
        $(changed { $($later:ident),+ })?
        $(parts { $($part:ident: $kind:ty),+ })?
        $(found_by { $($extra:ident: $value:expr),+ })?
    ) => {
        impl $crate::noun::Noun for $noun {
            const COLUMNS: $crate::noun::List = $crate::noun::chain!(
                &[$($crate::noun::name!($field $(as $column)?)),+]
                $(, &[$(stringify!($later)),+])?
                $($(, <$kind as $crate::noun::Noun>::COLUMNS)+)?
            );
            $($joined)*
            const WRITTEN: $crate::noun::List = $crate::noun::chain!(
                &[$($crate::noun::name!($field $(as $column)?)),+]
                $($(, <$kind as $crate::noun::Noun>::WRITTEN)+)?
                $(, &[$(stringify!($extra)),+])?
            );

            fn read_as(
                row: &dyn $crate::Columns,
                names: &mut $crate::noun::Names,
            ) -> Result<Self, alter_core::StoreError> {
                Ok(Self {
                    $($field: $crate::noun::next(row, names)?,)+
                    $($($later: $crate::noun::next(row, names)?,)+)?
                    $($($part: $crate::noun::Noun::read_as(row, names)?,)+)?
                })
            }

            fn write<'a>(
                &'a self,
                values: &mut Vec<$crate::Value<'a>>,
            ) -> Result<(), alter_core::StoreError> {
                $(values.push($crate::Column::value(&self.$field)?);)+
                $($($crate::noun::Noun::write(&self.$part, values)?;)+)?
                $($(
                    let made: fn(&'a Self) -> Result<$crate::Value<'a>, alter_core::StoreError> = $value;
                    values.push(made(self)?);
                )+)?
                Ok(())
            }
        }
    };
}

macro_rules! name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident as $column:literal) => {
        $column
    };
}

macro_rules! chain {
    ($($list:expr),+) => {{
        const LISTS: &[$crate::noun::List] = &[$($list),+];
        const ALL: [&str; $crate::noun::count(LISTS)] = $crate::noun::chained(LISTS);
        &ALL
    }};
}

pub(crate) use {chain, columns, name};
