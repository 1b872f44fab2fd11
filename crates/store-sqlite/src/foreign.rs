//! What a file has that this program never makes. A trigger runs inside our commits and can undo them, so a file with one
//! is refused. A view, an index or a table beside ours changes nothing that we store; an operator should know of it.

use std::collections::BTreeSet;

use rusqlite::Connection;

use crate::{OpenError, migrate};

/// One line of the file's own list of what it has.
struct Item {
    kind: String,
    name: String,
    table: String,
    /// How it was made; nothing for what SQLite makes itself.
    sql: Option<String>,
}

/// Refuses a file with something that acts on our rows.
///
/// # Errors
/// [`OpenError::Foreign`].
pub(crate) fn refuse(c: &Connection) -> Result<(), OpenError> {
    let ours = migrate::names();
    let mut acting = Vec::new();
    for item in items(c)? {
        if acts(c, &item, &ours)? {
            acting.push(format!("{} {:?} on {}", item.kind, item.name, item.table));
        }
    }
    if acting.is_empty() { Ok(()) } else { Err(OpenError::Foreign(acting.join(", "))) }
}

/// Lists what is not ours and acts on nothing.
pub(crate) fn beside(c: &Connection) -> Result<Vec<String>, OpenError> {
    let ours = migrate::names();
    let made = |item: &Item| item.sql.is_some() && !item.name.starts_with("sqlite_");
    let foreign = items(c)?.into_iter().filter(|item| made(item) && !ours.contains(item.name.as_str()));
    Ok(foreign.map(|item| format!("{} {:?}", item.kind, item.name)).collect())
}

/// Foreign keys that change rows when other rows go. Ours has one: the attempts of a session go with it (`transactions` is
/// what the table was called before).
const ACTIONS: &str = r#"SELECT COUNT(*) FROM pragma_foreign_key_list(?1)
    WHERE on_update <> 'NO ACTION' OR (on_delete <> 'NO ACTION' AND NOT
        (?1 IN ('attempts', 'transactions') AND "from" = 'sid' AND "table" = 'sessions' AND on_delete = 'CASCADE'))"#;

/// A trigger does; so does a view that stands where a table of ours should be, and a table of ours that computes a column,
/// has a clause by which a write is ignored, or a foreign key with an action.
fn acts(c: &Connection, item: &Item, ours: &BTreeSet<&str>) -> rusqlite::Result<bool> {
    let is_ours = ours.iter().any(|name| name.eq_ignore_ascii_case(&item.name));
    match item.kind.as_str() {
        "trigger" => Ok(true),
        "view" => Ok(is_ours),
        "table" if is_ours => {
            let computed = "SELECT COUNT(*) FROM pragma_table_xinfo(?1) WHERE hidden <> 0";
            let computed: i64 = c.query_row(computed, [&item.name], |row| row.get(0))?;
            let actions: i64 = c.query_row(ACTIONS, [&item.name], |row| row.get(0))?;
            let sql = item.sql.as_deref().unwrap_or_default();
            Ok(computed > 0 || actions > 0 || sql.to_lowercase().contains("conflict"))
        }
        _ => Ok(false),
    }
}

fn items(c: &Connection) -> rusqlite::Result<Vec<Item>> {
    let mut statement = c.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Item { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    };
    statement.query_map([], read)?.collect()
}
