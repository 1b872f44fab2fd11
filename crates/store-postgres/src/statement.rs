//! Running one statement: prepared once per connection, without a name behind a pooler; rows read by name.

use alter_core::StoreError;
use alter_rows::Columns;
use sqlx::{Postgres, postgres::PgArguments, query::Query};

use crate::{connection::Connection, fault::Fault, row::Row};

/// A function that makes the result from a row.
pub(crate) type Read<T> = fn(&dyn Columns) -> Result<T, StoreError>;

/// The values of a statement's `$1`, `$2`, ... in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => {{
        #[allow(unused_mut, reason = "a statement may have no values")]
        let mut values = sqlx::postgres::PgArguments::default();
        $(
            sqlx::Arguments::add(&mut values, $value).expect("texts, numbers and bytes always encode");
        )*
        values
    }};
}
pub(crate) use values;

/// Returns the first row, if any. Waits until the statement has ended: only then is what it wrote committed.
pub(crate) async fn one<T>(
    connection: &mut Connection,
    sql: &'static str,
    values: PgArguments,
    read: Read<T>,
) -> Result<Option<T>, Fault> {
    let row = query(connection, sql, values).fetch_optional(connection.raw()).await?;
    Ok(row.as_ref().map(|row| read(&Row(row))).transpose()?)
}

/// Returns all rows.
pub(crate) async fn all<T>(
    connection: &mut Connection,
    sql: &'static str,
    values: PgArguments,
    read: Read<T>,
) -> Result<Vec<T>, Fault> {
    let rows = query(connection, sql, values).fetch_all(connection.raw()).await?;
    Ok(rows.iter().map(|row| read(&Row(row))).collect::<Result<_, _>>()?)
}

/// Returns how many rows the statement changed.
pub(crate) async fn run(
    connection: &mut Connection,
    sql: &'static str,
    values: PgArguments,
) -> Result<u64, Fault> {
    Ok(query(connection, sql, values).execute(connection.raw()).await?.rows_affected())
}

fn query(
    connection: &Connection,
    sql: &'static str,
    values: PgArguments,
) -> Query<'static, Postgres, PgArguments> {
    sqlx::query_with(sql, values).persistent(!connection.is_pooled())
}
