//! What a restore carries over of the database that it replaces, beside revocations: everything by which somebody may do
//! less than at the time of the backup (`alter_core::tightening` is the list). What cannot be carried over is named.

use alter_core::{
    Agent, App, AppId, AppSettings, AuditKind, Cause, ConfigId, Failure, Micros, ProviderConfig, Session,
    SignInClient, Tightening, provider::SIGN_IN, tightening,
};
use alter_rows::{
    Noun,
    session::Save,
    sql::Piece::{Names, Places},
    storable::{counter, json},
};
use rusqlite::{Connection, params};

use crate::{
    app,
    fault::Fault,
    row::{bound, sql},
    session,
    statement::{all, one, run},
};

/// Something that was tightened since the backup was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tightened {
    /// What was taken away.
    pub what: Tightening,
    /// Whose it is: an agent's name, a provider's id, a grant's id. Empty for the app itself.
    pub whose: String,
}

impl Tightened {
    /// For audit entries and the command's JSON.
    pub fn named(list: &[Self]) -> serde_json::Value {
        let one = |t: &Self| serde_json::json!({ "what": t.what.as_str(), "whose": t.whose });
        list.iter().map(one).collect()
    }
}

/// What became of one app's tightenings.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// Carried over into the copy.
    pub(crate) carried: Vec<Tightened>,
    /// Loose again in the copy.
    pub(crate) loosened: Vec<Tightened>,
    /// Today's settings name a client by which users sign in, and the copy has none.
    pub(crate) sign_in_lost: bool,
}

impl Joined {
    fn carry(&mut self, whose: &str, found: impl IntoIterator<Item = Tightening>) {
        self.carried.extend(found.into_iter().map(|what| Tightened { what, whose: whose.to_owned() }));
    }

    fn loosen(&mut self, whose: &str, what: Tightening) {
        self.loosened.push(Tightened { what, whose: whose.to_owned() });
    }
}

/// Joins what the copy (`main`) has of an app with what the replaced database has.
pub(crate) fn join(c: &Connection, app: AppId, at: Micros) -> Result<Joined, Fault> {
    let mut joined = Joined::default();
    let deleted = "SELECT id FROM replaced.apps WHERE id = ?1 AND deleted_at IS NOT NULL";
    if one(c, deleted, [app.to_string()], |_| Ok(()))?.is_some() {
        let _gone_with_it = app::delete(c, app, at)?;
        joined.carry("", [Tightening::AppDeleted]);
        return Ok(joined);
    }
    join_settings(c, app, &mut joined)?;
    join_agents(c, app, at, &mut joined)?;
    join_delegations(c, app, &mut joined)?;
    join_providers(c, app, &mut joined)?;
    joined.sign_in_lost = join_sign_in(c, app)?;
    join_grants(c, app, &mut joined)?;
    Ok(joined)
}

fn join_settings(c: &Connection, app: AppId, joined: &mut Joined) -> Result<(), Fault> {
    let of = |sql| one(c, sql, [app.to_string()], App::read);
    let before = of(sql!("SELECT {} FROM main.apps WHERE id = ?1", Names(App::COLUMNS)))?;
    let today = of(sql!("SELECT {} FROM replaced.apps WHERE id = ?1", Names(App::COLUMNS)))?;
    let (Some(before), Some(today)) = (before, today) else { return Ok(()) };
    let (settings, found): (AppSettings, _) = tightening::settings(&before, &today);
    run(c, "UPDATE main.apps SET settings = ?2 WHERE id = ?1", params![app.to_string(), json(&settings)?])?;
    joined.carry("", found);
    Ok(())
}

fn join_agents(c: &Connection, app: AppId, at: Micros, joined: &mut Joined) -> Result<(), Fault> {
    let of = |sql| all(c, sql, [app.to_string()], Agent::read);
    let today = of(sql!("SELECT {} FROM replaced.agents WHERE app_id = ?1", Names(Agent::COLUMNS)))?;
    for before in of(sql!("SELECT {} FROM main.agents WHERE app_id = ?1 ORDER BY id", Names(Agent::COLUMNS)))?
    {
        let Some(today) = today.iter().find(|agent| agent.id == before.id) else { continue };
        let (agent, found) = tightening::agent(&before, today);
        if found.is_empty() {
            continue;
        }
        let sql =
            "UPDATE main.agents SET status = ?2, data = ?3, version = ?4, updated_at = ?5 WHERE id = ?1";
        let (status, version) = (agent.status.as_str(), counter(agent.version)?);
        run(c, sql, params![agent.id.to_string(), status, json(&agent.data)?, version, at.0])?;
        joined.carry(&agent.name, found);
    }
    Ok(())
}

/// How many agents were deleted since.
pub(crate) fn deleted_agents(joined: &Joined) -> u64 {
    joined.carried.iter().filter(|tightened| tightened.what == Tightening::AgentDeleted).count() as u64
}

/// Live delegations of the copy that are live in the replaced database too, and have other scopes there.
const DELEGATIONS: &str = "SELECT d.agent_id, d.grant_id, d.scopes AS scopes, r.scopes AS today
    FROM main.delegations d
    JOIN replaced.delegations r ON r.agent_id = d.agent_id AND r.grant_id = d.grant_id
    JOIN main.grants g ON g.id = d.grant_id
    WHERE g.app_id = ?1 AND d.revoked_at IS NULL AND r.revoked_at IS NULL AND d.scopes <> r.scopes
    ORDER BY d.grant_id, d.agent_id";

fn join_delegations(c: &Connection, app: AppId, joined: &mut Joined) -> Result<(), Fault> {
    let found = all(c, DELEGATIONS, [app.to_string()], |row| {
        let ids: (String, String) = (row.get("agent_id")?, row.get("grant_id")?);
        Ok((ids, row.get::<Vec<String>>("scopes")?, row.get::<Vec<String>>("today")?))
    })?;
    for ((agent, grant), before, today) in found {
        let scopes = tightening::in_both(&before, &today);
        if scopes.len() < before.len() {
            let sql = "UPDATE main.delegations SET scopes = ?3 WHERE agent_id = ?1 AND grant_id = ?2";
            run(c, sql, params![agent, grant, json(&scopes)?])?;
            joined.carry(&grant, [Tightening::DelegationScopes]);
        }
    }
    Ok(())
}

fn join_providers(c: &Connection, app: AppId, joined: &mut Joined) -> Result<(), Fault> {
    let of = |sql| all(c, sql, [app.to_string()], ProviderConfig::read);
    let today =
        of(sql!("SELECT {} FROM replaced.providers WHERE app_id = ?1", Names(ProviderConfig::COLUMNS)))?;
    let before = of(sql!(
        "SELECT {} FROM main.providers WHERE app_id = ?1 ORDER BY provider",
        Names(ProviderConfig::COLUMNS)
    ))?;
    for before in before {
        let id = before.recipe.id.clone();
        match today.iter().find(|config| config.recipe.id == id) {
            Some(today) => join_provider(c, &before, today, joined)?,
            None if was_removed(c, app, &id)? => {
                delete_provider(c, &before.config_id)?;
                joined.carry(&id, [Tightening::ProviderRemoved]);
            }
            // The replaced database is older than the copy.
            None => {}
        }
    }
    Ok(())
}

fn join_provider(
    c: &Connection,
    before: &ProviderConfig,
    today: &ProviderConfig,
    joined: &mut Joined,
) -> Result<(), Fault> {
    let id = &before.recipe.id;
    let (mut config, mut found) = tightening::provider(before, today);
    if found.contains(&Tightening::ProviderChanged) && !opens(c, &config)? {
        joined.loosen(id, Tightening::ProviderChanged);
        config = ProviderConfig { scopes: config.scopes, ..before.clone() };
        found.retain(|what| *what != Tightening::ProviderChanged);
    }
    if !found.is_empty() || config.config_id != before.config_id {
        delete_provider(c, &before.config_id)?;
        let sql = sql!(
            "INSERT INTO main.providers ({}) VALUES ({})",
            Names(ProviderConfig::WRITTEN),
            Places(ProviderConfig::WRITTEN)
        );
        run(c, sql, bound(config.values()?))?;
    }
    joined.carry(id, found);
    Ok(())
}

/// Settings and provider rows were joined each for itself: the settings name the client by which users sign in that has a row,
/// or none. Returns whether they have lost it.
fn join_sign_in(c: &Connection, app: AppId) -> Result<bool, Fault> {
    let id = app.to_string();
    let found =
        one(c, sql!("SELECT {} FROM main.apps WHERE id = ?1", Names(App::COLUMNS)), [&id], App::read)?;
    let Some(mut found) = found else { return Ok(false) };
    let Some(idp) = &mut found.settings.identity_provider else { return Ok(false) };
    let row = sql!(
        "SELECT {} FROM main.providers WHERE app_id = ?1 AND provider = ?2",
        Names(ProviderConfig::COLUMNS)
    );
    let row = one(c, row, [&id, SIGN_IN], ProviderConfig::read)?;
    // A code of another identity provider is worth nothing here.
    let row = row.filter(|row| row.recipe.issuer.as_ref() == Some(&idp.issuer));
    let client = row.map(|row| SignInClient { config_id: row.config_id, client_id: row.client_id });
    let lost = idp.sign_in.is_some() && client.is_none();
    // A row that the settings do not name is left alone: nothing is sent with it.
    if idp.sign_in.is_some() && idp.sign_in != client {
        idp.sign_in = client;
        run(c, "UPDATE main.apps SET settings = ?2 WHERE id = ?1", params![id, json(&found.settings)?])?;
    }
    Ok(lost)
}

fn delete_provider(c: &Connection, id: &ConfigId) -> Result<(), Fault> {
    run(c, "DELETE FROM main.providers WHERE config_id = ?1", [id.as_str()])?;
    Ok(())
}

fn was_removed(c: &Connection, app: AppId, provider: &str) -> Result<bool, Fault> {
    let sql = "SELECT 1 AS found FROM replaced.audit
               WHERE app_id = ?1 AND kind = ?2 AND json_extract(details, '$.provider') = ?3 LIMIT 1";
    let values = params![app.to_string(), AuditKind::ProviderRemoved.as_str(), provider];
    Ok(one(c, sql, values, |_| Ok(()))?.is_some())
}

/// Whether the copy has the data keys under which the client secret and the seal of today are.
fn opens(c: &Connection, config: &ProviderConfig) -> Result<bool, Fault> {
    let sql = "SELECT 1 AS found FROM main.data_keys
               WHERE app_id = ?1 AND key_id = substr(?2, 7, 16) AND retired_at IS NULL";
    for sealed in [&config.client_secret, &config.seal].into_iter().flatten() {
        if one(c, sql, params![config.app_id.to_string(), sealed], |_| Ok(()))?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

const END_EARLIER: &str = "UPDATE main.grants SET ends_at = r.ends_at FROM replaced.grants r
    WHERE r.id = grants.id AND grants.app_id = ?1 AND grants.status = 'active' AND r.status = 'active'
      AND r.ends_at IS NOT NULL AND (grants.ends_at IS NULL OR grants.ends_at > r.ends_at)
    RETURNING id";
/// Connected again since: the copy has the credential from before.
const OLDER: &str = "SELECT g.id, g.scopes AS scopes, r.scopes AS today
    FROM main.grants g JOIN replaced.grants r ON r.id = g.id
    WHERE g.app_id = ?1 AND g.status = 'active' AND r.status = 'active' AND g.generation < r.generation
    ORDER BY g.id";

fn join_grants(c: &Connection, app: AppId, joined: &mut Joined) -> Result<(), Fault> {
    let app = app.to_string();
    for grant in all(c, END_EARLIER, [&app], |row| row.get::<String>("id"))? {
        joined.carry(&grant, [Tightening::GrantEndsEarlier]);
    }
    let older = all(c, OLDER, [&app], |row| {
        let scopes: (Vec<String>, Vec<String>) = (row.get("scopes")?, row.get("today")?);
        Ok((row.get::<String>("id")?, scopes))
    })?;
    for (grant, (before, today)) in older {
        if tightening::in_both(&before, &today).len() < before.len() {
            joined.loosen(&grant, Tightening::GrantScopes);
        }
    }
    Ok(())
}

/// The nonces of signed calls that the replaced database has seen: no call is repeated by a restore (T61).
pub(crate) fn join_nonces(c: &Connection) -> Result<(), Fault> {
    run(c, "INSERT OR IGNORE INTO main.call_nonces SELECT * FROM replaced.call_nonces", [])?;
    Ok(())
}

/// Ends every session that was under way when the copy was made, or waited for the app's word: since then its token or its
/// code may have been used, and it would be used a second time. A user token that waited to be fetched is wiped: it may have been
/// released since, and nobody gets one twice. Returns how many.
pub(crate) fn end_sessions(c: &Connection, at: Micros) -> Result<u64, Fault> {
    let open = sql!(
        "SELECT {} FROM main.sessions WHERE state IN ('minted', 'claimed')
             OR sid IN (SELECT sid FROM main.attempts WHERE status = 'staged')",
        Names(Session::COLUMNS),
    );
    let sessions = all(c, open, [], Session::read)?;
    for mut found in sessions.iter().cloned() {
        found.finish(at);
        for staged in std::mem::take(&mut found.data.staged) {
            let cause = Cause::NotConfirmed;
            let provider = Some(staged.provider);
            found.discarded(staged.attempt, Failure { cause, provider, request_id: None, said: None }, at);
        }
        let _nobody_else_writes = session::save(c, &Save::of(&found)?)?;
    }
    let attempts =
        "UPDATE main.attempts SET status = 'interrupted', status_at = ?1, verifier = X'', body = NULL, staged = NULL
                    WHERE status IN ('started', 'consumed', 'sent', 'staged')";
    run(c, attempts, [at.0])?;
    run(c, "UPDATE main.sessions SET user_token = NULL WHERE user_token IS NOT NULL", [])?;
    Ok(sessions.len() as u64)
}
