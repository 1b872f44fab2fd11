//! Copies of the file: made while a server writes, read without touching them, and put back without losing what was
//! revoked or tightened since ([`crate::tightened`]).
//!
//! A copy is one moment of the database (`VACUUM INTO` reads one snapshot, including the log), without free pages, so it
//! contains nothing that was wiped. It is a whole database in one file.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use alter_core::{Anchor, AppId, AuditEntry, AuditKind, GrantId, Micros, audit::CHAIN_START};
use rusqlite::{Connection, OpenFlags, params};

use crate::{
    OpenError,
    audit::append,
    compared::of_todays_schema,
    connection,
    fault::Fault,
    migrate,
    statement::{all, run},
    store,
    tightened::{deleted_agents, end_sessions, join, join_nonces},
};

pub use crate::{
    tightened::Tightened,
    written::{Written, copy},
};

/// A copy's contents, read without opening the file for writing.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The number of its schema.
    pub schema: i64,
    /// The root key's check value.
    pub key_check: Vec<u8>,
    /// The newest audit entry of every app.
    pub heads: Vec<(AppId, Anchor)>,
}

/// How a copy that is put back differs, for one app, from the database that it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The app.
    pub app: AppId,
    /// Where its audit ends in the copy.
    pub copy: Anchor,
    /// Where its audit ends in the replaced database.
    pub replaced: Anchor,
    /// How many grants were revoked since the copy, and are now revoked in it again.
    pub revoked: Vec<GrantId>,
    /// How many delegations were revoked since, and are now revoked again.
    pub delegations: u64,
    /// How many API keys were revoked since, and are now revoked again.
    pub keys: u64,
    /// How many agents were deleted since, and are now deleted again.
    pub agents: u64,
    /// What else was tightened since, and is now tight again. Deleted agents are here too, by their names.
    pub carried: Vec<Tightened>,
    /// What was tightened since and is loose in the copy, because it cannot be carried over.
    pub loosened: Vec<Tightened>,
    /// Whether today's settings name a client by which users sign in that the copy does not have: they name none now.
    pub sign_in_lost: bool,
    /// How many grants were connected since, and exist only in the replaced database.
    pub lost: Vec<GrantId>,
    /// How many grants have an older credential in the copy, which the provider may have replaced.
    pub older: Vec<GrantId>,
}

/// What was done to a copy before it is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// By app; empty when there is nothing to compare with.
    pub differences: Vec<Difference>,
    /// How many sessions were under way in the copy, and are now over.
    pub sessions: u64,
}

/// Reads a copy and checks every page of it.
///
/// # Errors
/// [`OpenError`].
pub fn inspect(file: &Path) -> Result<Facts, OpenError> {
    let c = open_immutable(file)?;
    migrate::refuse_unknown(&c, file)?;
    let verdict: String = c.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(OpenError::Engine(format!("it is damaged: {verdict}")));
    }
    let key_check = store::key_check(&c).map_err(engine)?;
    Ok(Facts {
        schema: c.query_row("PRAGMA user_version", [], |row| row.get(0))?,
        key_check: key_check.ok_or_else(|| OpenError::Engine("it was never initialised".into()))?,
        heads: heads(&c, "main").map_err(engine)?,
    })
}

/// Makes sure that no process has the database open, and folds the log into the file.
///
/// # Errors
/// [`OpenError::InUse`].
pub fn claim(database: &Path) -> Result<(), OpenError> {
    let c = connection::open(database)?;
    c.busy_timeout(Duration::from_secs(1))?;
    // Leaving WAL mode succeeds only when nobody else has the file open.
    let left = c.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    match left {
        Ok(mode) if mode == "delete" => Ok(()),
        Err(error) if error.sqlite_error_code() != Some(rusqlite::ErrorCode::DatabaseBusy) => {
            Err(error.into())
        }
        _ => Err(OpenError::InUse(database.to_owned())),
    }
}

/// Brings a copy to this program's schema, ends its sessions, and takes away in it again what was taken away since in the
/// database that it will replace. An entry in every app's audit says so, and names the operator.
///
/// # Errors
/// [`OpenError`]; the copy may be half-way and is not to be used.
pub fn carry_over(
    copy: &Path,
    replaced: Option<&Path>,
    operator: &str,
    at: Micros,
) -> Result<Prepared, OpenError> {
    let mut c = connection::open(copy)?;
    connection::prepare_writer(&c)?;
    migrate::forward(&mut c)?;
    let of_today = replaced.map(|file| of_todays_schema(file, copy)).transpose()?;
    if let Some(file) = &of_today {
        c.execute("ATTACH ?1 AS replaced", [text_of(file.path())?])?;
    }
    let transaction = c.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let differences = match replaced {
        Some(_) => differences(&transaction, at).map_err(engine)?,
        None => Vec::new(),
    };
    let sessions = end_sessions(&transaction, at).map_err(engine)?;
    record(&transaction, &differences, operator, at).map_err(engine)?;
    transaction.commit()?;
    let _folded: i64 = c.query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    c.close().map_err(|(_, error)| error)?;
    drop(of_today);
    fs::File::open(copy)?.sync_all()?;
    Ok(Prepared { differences, sessions })
}

/// Makes a rename or a new file in its directory durable.
///
/// # Errors
/// [`OpenError::File`].
pub fn sync_directory(file: &Path) -> Result<(), OpenError> {
    #[cfg(unix)]
    {
        let parent = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// The file, and the files that SQLite keeps beside it.
pub fn files_of(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}

fn differences(c: &Connection, at: Micros) -> Result<Vec<Difference>, Fault> {
    let (in_copy, in_replaced) = (heads(c, "main")?, heads(c, "replaced")?);
    let head = |heads: &[(AppId, Anchor)], app| {
        heads.iter().find(|(id, _)| *id == app).map_or(Anchor::START, |(_, head)| *head)
    };
    join_nonces(c)?;
    let apps =
        all(c, "SELECT id FROM main.apps WHERE deleted_at IS NULL ORDER BY created_at, id", [], |row| {
            row.get("id")
        })?;
    apps.into_iter()
        .map(|app: AppId| {
            let id = app.to_string();
            let joined = join(c, app, at)?;
            Ok(Difference {
                app,
                copy: head(&in_copy, app),
                replaced: head(&in_replaced, app),
                lost: grants(c, LOST, &id)?,
                older: grants(c, OLDER, &id)?,
                revoked: revoke_grants(c, app, at)?,
                delegations: run(c, REVOKE_DELEGATIONS, [&id])? as u64,
                keys: run(c, REVOKE_KEYS, [&id])? as u64,
                agents: deleted_agents(&joined),
                carried: joined.carried,
                loosened: joined.loosened,
                sign_in_lost: joined.sign_in_lost,
            })
        })
        .collect()
}

const LOST: &str = "SELECT id FROM replaced.grants WHERE app_id = ?1 AND status = 'active'
    AND id NOT IN (SELECT id FROM main.grants) ORDER BY id";
const OLDER: &str = "SELECT g.id FROM main.grants g JOIN replaced.grants r ON r.id = g.id
    WHERE g.app_id = ?1 AND g.generation < r.generation AND r.status = 'active' ORDER BY g.id";
const REVOKED: &str = "SELECT g.id FROM main.grants g JOIN replaced.grants r ON r.id = g.id
    WHERE g.app_id = ?1 AND g.status = 'active' AND r.status = 'revoked' ORDER BY g.id";
/// The provider is asked again if it had not answered and the token can still be opened.
const REVOKE_GRANT: &str = "UPDATE main.grants SET status = 'revoked', revoked_at = r.revoked_at,
        revoked_reason = r.revoked_reason, updated_at = r.updated_at, access_token = X'', refresh_token = NULL,
        id_token = NULL,
        revocation = CASE WHEN r.revocation = 'pending'
            AND NOT EXISTS (SELECT 1 FROM main.revocations m WHERE m.grant_id = r.id)
            THEN 'given_up' ELSE r.revocation END
    FROM replaced.grants r WHERE r.id = grants.id AND grants.id = ?1";
const ASK_AGAIN: &str = "INSERT OR IGNORE INTO main.revocations
        (id, grant_id, app_id, config_id, is_refresh_token, token, attempts, next_at, created_at)
    SELECT q.id, q.grant_id, q.app_id, q.config_id, q.is_refresh_token, q.token, q.attempts, q.next_at, q.created_at
    FROM replaced.revocations q
    JOIN main.data_keys k ON k.app_id = q.app_id AND k.key_id = substr(q.token, 7, 16) AND k.retired_at IS NULL
    WHERE q.grant_id = ?1";
const END_ITS_DELEGATIONS: &str =
    "UPDATE main.delegations SET revoked_at = ?2 WHERE grant_id = ?1 AND revoked_at IS NULL";
const REVOKE_DELEGATIONS: &str =
    "UPDATE main.delegations SET revoked_at = r.revoked_at FROM replaced.delegations r
    WHERE r.agent_id = delegations.agent_id AND r.grant_id = delegations.grant_id AND r.revoked_at IS NOT NULL
      AND delegations.revoked_at IS NULL
      AND delegations.grant_id IN (SELECT id FROM main.grants WHERE app_id = ?1)";
const REVOKE_KEYS: &str = "UPDATE main.api_keys SET revoked_at = r.revoked_at, seal = NULL FROM replaced.api_keys r
    WHERE r.id = api_keys.id AND api_keys.app_id = ?1 AND r.revoked_at IS NOT NULL AND api_keys.revoked_at IS NULL";

fn grants(c: &Connection, sql: &str, app: &str) -> Result<Vec<GrantId>, Fault> {
    all(c, sql, [app], |row| row.get("id"))
}

fn revoke_grants(c: &Connection, app: AppId, at: Micros) -> Result<Vec<GrantId>, Fault> {
    let revoked = grants(c, REVOKED, &app.to_string())?;
    for grant in &revoked {
        let id = grant.to_string();
        run(c, ASK_AGAIN, [&id])?;
        run(c, REVOKE_GRANT, [&id])?;
        run(c, END_ITS_DELEGATIONS, params![id, at.0])?;
        let details = serde_json::json!({ "by": "restore" });
        let entry = AuditEntry::new(app, at, AuditKind::GrantRevoked, details);
        append(c, &AuditEntry { grant_id: Some(*grant), ..entry })?;
    }
    Ok(revoked)
}

fn record(c: &Connection, differences: &[Difference], operator: &str, at: Micros) -> Result<(), Fault> {
    for (app, copy) in heads(c, "main")? {
        let of_app = differences.iter().find(|d| d.app == app);
        let named = |list: fn(&Difference) -> &[Tightened]| of_app.map(|d| Tightened::named(list(d)));
        let details = serde_json::json!({
            "copy": of_app.map_or(copy, |d| d.copy).to_string(),
            "replaced": of_app.map(|d| d.replaced.to_string()),
            "carried_over": named(|d| &d.carried),
            "loosened": named(|d| &d.loosened),
            "operator": operator,
        });
        append(c, &AuditEntry::new(app, at, AuditKind::DatabaseRestored, details))?;
    }
    Ok(())
}

/// A copy may have the schema from before the chain.
fn heads(c: &Connection, schema: &str) -> Result<Vec<(AppId, Anchor)>, Fault> {
    let sql = format!("SELECT * FROM {schema}.audit_heads ORDER BY app_id");
    let chained = c.prepare(&sql)?.column_count() > 2;
    all(c, &sql, [], |row| {
        let hash = if chained { row.get("hash")? } else { CHAIN_START };
        Ok((row.get("app_id")?, Anchor { seq: row.get("seq")?, hash }))
    })
}

/// `immutable`: not even a lock is taken, and nothing is written beside the file.
fn open_immutable(file: &Path) -> Result<Connection, OpenError> {
    if !file.try_exists()? {
        return Err(OpenError::Missing(file.to_owned()));
    }
    let path = text_of(file)?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let c = Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)?;
    c.pragma_update(None, "trusted_schema", false)?;
    Ok(c)
}

pub(crate) fn text_of(path: &Path) -> Result<&str, OpenError> {
    path.to_str().ok_or_else(|| OpenError::Engine(format!("{} is not UTF-8", path.display())))
}

fn engine(fault: Fault) -> OpenError {
    OpenError::Engine(alter_core::StoreError::from(fault).to_string())
}
