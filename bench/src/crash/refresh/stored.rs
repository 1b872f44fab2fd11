//! Reads and changes the database of a server that does not run, with another program's connection.

use std::process::Command;

use anyhow::{Context, ensure};
use rusqlite::Connection;
use serde_json::Value;

use crate::alter::Alter;

/// A grant as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) id: String,
    pub(super) generation: u64,
    /// Why its user has to connect again.
    pub(super) reconnect: Option<String>,
    /// What is known about refreshing this generation, as core writes it.
    pub(super) refresh: Value,
}

impl Grant {
    /// After its second unknown outcome in a row a refresh token is sent only at the long pauses of a probe.
    pub(super) fn is_paused(&self) -> bool {
        self.reconnect.is_none() && self.refresh["unknown"].as_u64().unwrap_or(0) > 1
    }
}

/// An attempt as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) id: String,
    pub(super) grant: String,
    pub(super) generation: u64,
    pub(super) outcome: Option<String>,
    /// Its answer is in the journal.
    pub(super) journalled: bool,
}

pub(super) fn grants(alter: &Alter) -> anyhow::Result<Vec<Grant>> {
    let rows = select(alter, "SELECT id, generation, coalesce(reconnect, ''), refresh FROM grants")?;
    rows.into_iter()
        .map(|row| {
            let [id, generation, reconnect, refresh] = columns(row)?;
            let reconnect = Some(reconnect).filter(|reason| !reason.is_empty());
            Ok(Grant {
                id,
                generation: generation.parse()?,
                reconnect,
                refresh: serde_json::from_str(&refresh)?,
            })
        })
        .collect()
}

pub(super) fn attempts(alter: &Alter) -> anyhow::Result<Vec<Attempt>> {
    let sql = "SELECT id, grant_id, generation, coalesce(outcome, ''), \
               CASE WHEN body IS NULL THEN '' ELSE 'x' END FROM refreshes";
    select(alter, sql)?
        .into_iter()
        .map(|row| {
            let [id, grant, generation, outcome, body] = columns(row)?;
            let outcome = Some(outcome).filter(|word| !word.is_empty());
            Ok(Attempt { id, grant, generation: generation.parse()?, outcome, journalled: !body.is_empty() })
        })
        .collect()
}

/// Ends the pause before a grant's next probe, which lasts minutes.
pub(super) fn end_pause(alter: &Alter, grant: &Grant) -> anyhow::Result<()> {
    let mut refresh = grant.refresh.clone();
    refresh["not_before"] = Value::Null;
    ensure!(!refresh.to_string().contains('\''), "the state has no text of others");
    run(alter, &format!("UPDATE grants SET refresh = '{refresh}' WHERE id = '{}'", grant.id))
}

fn columns<const N: usize>(row: Vec<String>) -> anyhow::Result<[String; N]> {
    row.try_into().ok().context("a row with other columns")
}

/// Selects rows, every value as text.
fn select(alter: &Alter, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let Some(url) = alter.database() else { return select_from_file(alter, sql) };
    let output = psql(url, sql)?;
    Ok(output.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

fn select_from_file(alter: &Alter, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let file = Connection::open(alter.file())?;
    let mut statement = file.prepare(sql)?;
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|at| text(row, at)).collect())?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn text(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(at)? {
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        other => other.as_str()?.to_owned(),
    })
}

fn run(alter: &Alter, sql: &str) -> anyhow::Result<()> {
    match alter.database() {
        Some(url) => psql(url, sql).map(drop),
        None => Ok(Connection::open(alter.file())?.execute_batch(sql)?),
    }
}

fn psql(url: &str, sql: &str) -> anyhow::Result<String> {
    let done = Command::new("psql").args(["-XqAt", "-F", "\t", url, "-c", sql]).output()?;
    ensure!(done.status.success(), "psql: {}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?)
}
