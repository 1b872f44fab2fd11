//! Grants and their sealed credentials. Every statement names the app (T72).

use alter_core::{
    AccountFilter, AgentId, AppId, Grant, GrantFilter, GrantId, GrantStore, ListedGrant, Micros, Principal,
    ReleaseCredential, Saved, StoreError, grant::LAST_USED_STEP,
};
use alter_rows::{
    Columns, Noun,
    grant::{IDENTITY, KEPT},
    sql::Piece::{Names, Of, Place, Places, Same, Set},
    storable::counter,
};
use async_trait::async_trait;
use rusqlite::{Connection, ToSql, params};

use crate::{
    SqliteStore, agent,
    audit::append,
    data_key::refuse_retired,
    delegation,
    fault::Fault,
    row::{bound, sql},
    statement::{all, one, run},
    store::{record_nonce, refuse_known_nonce},
};

const INSERT: &str = sql!(
    "INSERT INTO grants ({}, status) VALUES ({}, 'active')",
    Names(Grant::WRITTEN),
    Places(Grant::WRITTEN)
);

const REPLACE: &str = sql!(
    "UPDATE grants SET {} WHERE {} AND generation = {} - 1 AND status = 'active'",
    Set(Grant::WRITTEN, KEPT),
    Same(Grant::WRITTEN, IDENTITY),
    Place(Grant::WRITTEN, "generation"),
);

/// Along the primary key, so that a page starts where the one before ended.
const ACTIVE: &str = sql!(
    "SELECT {} FROM grants WHERE id > ?2 AND +app_id = ?1 AND status = 'active' ORDER BY id LIMIT ?3",
    Names(Grant::COLUMNS),
);

/// The same condition as in the index.
const UNBOUND: &str = sql!(
    "SELECT {} FROM grants
     WHERE (substr(access_token, 5, 1) = X'01' OR substr(refresh_token, 5, 1) = X'01'
            OR substr(id_token, 5, 1) = X'01')
           AND id > ?2 AND +app_id = ?1 AND status = 'active' ORDER BY id LIMIT ?3",
    Names(Grant::COLUMNS),
);

/// `grants_by_subject` would do too, and which of the two is taken depends on the order in which the schema was read. That one has
/// all the account's revoked grants.
const OF_ACCOUNT: &str = "SELECT id FROM grants INDEXED BY grants_by_account
     WHERE app_id = ?1 AND provider = ?2 AND subject = ?3 AND status = 'active' LIMIT 1";

#[async_trait]
impl GrantStore for SqliteStore {
    async fn get_grant(&self, app: AppId, id: GrantId) -> Result<Option<Grant>, StoreError> {
        let sql = sql!("SELECT {} FROM grants WHERE id = ?1 AND app_id = ?2", Names(Grant::COLUMNS));
        self.read(|c| one(c, sql, [id.to_string(), app.to_string()], Grant::read)).await
    }

    async fn find_grant(
        &self,
        app: AppId,
        principal: Principal,
        provider: &str,
        subject: &str,
    ) -> Result<Option<Grant>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM grants
             WHERE app_id = ?1 AND principal = ?2 AND provider = ?3 AND subject = ?4 AND status = 'active'",
            Names(Grant::COLUMNS),
        );
        self.read(|c| {
            one(c, sql, params![app.to_string(), principal.to_text(), provider, subject], Grant::read)
        })
        .await
    }

    async fn list_grants(
        &self,
        app: AppId,
        filter: &GrantFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<ListedGrant>, StoreError> {
        self.read(|c| {
            let page: [(&str, &dyn ToSql); 2] = [(":limit", &limit), (":offset", &offset)];
            let grants = looked_up(c, &list_sql(filter), app, filter, &page, Grant::read)?;
            grants.into_iter().map(|grant| listed(c, grant, filter.agent)).collect()
        })
        .await
    }

    async fn count_grants(&self, app: AppId, filter: &GrantFilter) -> Result<u64, StoreError> {
        let count = |c: &Connection| looked_up(c, &count_sql(filter), app, filter, &[], |row| row.get("n"));
        self.read(|c| Ok(count(c)?.first().copied().unwrap_or_default())).await
    }

    async fn has_grant_of_account(
        &self,
        app: AppId,
        provider: &str,
        subject: &str,
    ) -> Result<bool, StoreError> {
        self.read(|c| {
            let values = params![app.to_string(), provider, subject];
            Ok(one(c, OF_ACCOUNT, values, |_| Ok(()))?.is_some())
        })
        .await
    }

    async fn list_active_grants(
        &self,
        app: AppId,
        only_unbound: bool,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError> {
        let sql = if only_unbound { UNBOUND } else { ACTIVE };
        self.read(|c| all(c, sql, params![app.to_string(), after, limit], Grant::read)).await
    }

    async fn release_credential(&self, release: ReleaseCredential) -> Result<Saved, StoreError> {
        self.write(move |c| release_in(c, &release)).await
    }
}

fn list_sql(filter: &GrantFilter) -> String {
    let columns = sql!("{}", Of("g.", Grant::COLUMNS));
    let order = "ORDER BY g.created_at DESC, g.id DESC LIMIT :limit OFFSET :offset";
    format!("SELECT {columns} {} {order}", lookup(filter))
}

fn count_sql(filter: &GrantFilter) -> String {
    format!("SELECT COUNT(*) AS n {}", lookup(filter))
}

/// The conditions of a search. A condition that was not asked for is left out of the statement: with `:status IS NULL OR
/// ...`, a count would read every row where an index is enough.
fn lookup(filter: &GrantFilter) -> String {
    let from = match filter.agent {
        // CROSS JOIN begins with the agent's delegations, which are few, rather than with the app's grants.
        Some(_) => {
            "FROM delegations d CROSS JOIN grants g ON g.id = d.grant_id
             WHERE d.agent_id = :agent AND d.revoked_at IS NULL AND g.status = 'active' AND g.app_id = :app"
        }
        None => "FROM grants g WHERE g.app_id = :app",
    };
    let asked = [
        (filter.principal.is_some(), " AND g.principal = :principal"),
        (filter.provider.is_some(), " AND g.provider = :provider"),
        (filter.status.is_some(), " AND g.status = :status"),
        (filter.label.is_some(), " AND g.label = :label"),
    ];
    let account = filter.account.as_ref().map(|account| account_sql(account).0);
    let asked = asked.into_iter().filter_map(|(is, sql)| is.then_some(sql));
    std::iter::once(from).chain(asked).chain(account).collect()
}

/// The condition, and the value of its `:account`.
fn account_sql(account: &AccountFilter) -> (&'static str, &String) {
    match account {
        AccountFilter::Subject(subject) => (" AND g.subject = :account", subject),
        AccountFilter::Identifier(name) => (" AND g.account_identifier = :account", name),
        AccountFilter::Verified(name) => {
            (" AND g.account_identifier = :account AND g.account_verified", name)
        }
    }
}

fn looked_up<T>(
    c: &Connection,
    sql: &str,
    app: AppId,
    filter: &GrantFilter,
    more: &[(&str, &dyn ToSql)],
    read: impl Fn(&dyn Columns) -> Result<T, StoreError>,
) -> Result<Vec<T>, Fault> {
    let GrantFilter { principal, agent, provider, status, account, label } = filter;
    let (app, principal) = (app.to_string(), principal.map(Principal::to_text));
    let (agent, status) = (agent.map(|id| id.to_string()), status.map(|s| s.as_str()));
    let account = account.as_ref().map(|account| account_sql(account).1);
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":app", &app)];
    let asked: [(&str, Option<&dyn ToSql>); 6] = [
        (":agent", agent.as_ref().map(|v| v as &dyn ToSql)),
        (":principal", principal.as_ref().map(|v| v as &dyn ToSql)),
        (":provider", provider.as_ref().map(|v| v as &dyn ToSql)),
        (":status", status.as_ref().map(|v| v as &dyn ToSql)),
        (":account", account.map(|v| v as &dyn ToSql)),
        (":label", label.as_ref().map(|v| v as &dyn ToSql)),
    ];
    values.extend(asked.into_iter().filter_map(|(name, value)| Some((name, value?))));
    values.extend(more);
    all(c, sql, values.as_slice(), read)
}

fn listed(c: &Connection, grant: Grant, agent: Option<AgentId>) -> Result<ListedGrant, Fault> {
    let sql = "SELECT agent_id FROM delegations WHERE grant_id = ?1 AND revoked_at IS NULL ORDER BY agent_id";
    let agents = match grant.revoked {
        None => all(c, sql, [grant.id.to_string()], |row| row.get("agent_id"))?,
        Some(_) => Vec::new(),
    };
    let delegation = match agent {
        Some(agent) => delegation::find(c, grant.app_id, grant.id, agent)?,
        None => None,
    };
    Ok(ListedGrant { grant, agents, delegation })
}

/// When the grant has moved, nothing is recorded, not even the nonce: the caller reads again and tries again with the same
/// nonce.
fn release_in(c: &Connection, release: &ReleaseCredential) -> Result<Saved, Fault> {
    let ReleaseCredential { call, app_id, grant_id, generation, agent, at, audit } = release;
    let sql = "SELECT last_used_at FROM grants WHERE id = ?1 AND app_id = ?2 AND generation = ?3 AND status = 'active'";
    let values = params![grant_id.to_string(), app_id.to_string(), counter(*generation)?];
    let last_used = one(c, sql, values, |row| row.get::<Option<Micros>>("last_used_at"))?;
    let delegated = match agent {
        None => true,
        Some((agent, version)) => {
            agent::is_active(c, *app_id, *agent, *version)?
                && delegation::find(c, *app_id, *grant_id, *agent)?.is_some()
        }
    };
    let Some(last_used) = last_used.filter(|_| delegated) else {
        refuse_known_nonce(c, *call)?;
        return Ok(Saved::Moved);
    };
    record_nonce(c, *call)?;
    if last_used.is_none_or(|used| used.plus_seconds(LAST_USED_STEP) <= *at) {
        run(c, "UPDATE grants SET last_used_at = ?2 WHERE id = ?1", params![grant_id.to_string(), at.0])?;
    }
    append(c, audit)?;
    Ok(Saved::Done)
}

/// Writes a grant: generation 1 is a new grant, any other generation replaces the previous one.
///
/// # Errors
/// [`StoreError::Exists`]: the account or the id; [`StoreError::Moved`]: the generation; [`StoreError::KeyRetired`].
pub(crate) fn put(c: &Connection, grant: &Grant) -> Result<(), Fault> {
    let credential = &grant.credential;
    let sealed =
        [Some(&credential.access_token), credential.refresh_token.as_ref(), credential.id_token.as_ref()];
    refuse_retired(c, grant.app_id, sealed)?;
    let values = bound(grant.values()?);
    if credential.generation == 1 {
        run(c, INSERT, values)?;
    } else if run(c, REPLACE, values)? == 0 {
        return Err(StoreError::Moved.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alter_core::{GrantStatus, SystemRandom};

    use super::*;

    #[test]
    fn every_list_goes_along_its_index_without_sorting_where_there_may_be_many() {
        let of_app = GrantFilter { principal: Some(Principal::App), ..GrantFilter::default() };
        for (filter, index) in
            [(GrantFilter::default(), "grants_by_app"), (of_app.clone(), "grants_by_principal")]
        {
            let plan = crate::migrate::plan(&list_sql(&filter));
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        for status in [None, Some(GrantStatus::Active)] {
            for provider in [None, Some("google".to_owned())] {
                let plan = crate::migrate::plan(&count_sql(&GrantFilter {
                    status,
                    provider,
                    ..GrantFilter::default()
                }));
                assert!(plan.contains("COVERING INDEX"), "{plan}");
            }
        }
        let filter = GrantFilter {
            provider: Some("google".to_owned()),
            account: Some(AccountFilter::Verified("ada@example.com".to_owned())),
            ..of_app
        };
        let plan = crate::migrate::plan(&list_sql(&filter));
        assert!(
            plan.contains("grants_by_identifier (app_id=? AND account_identifier=? AND provider=?)"),
            "{plan}"
        );
        let filter =
            GrantFilter { account: Some(AccountFilter::Subject("108".to_owned())), agent: None, ..filter };
        let plan = crate::migrate::plan(&list_sql(&GrantFilter { principal: None, ..filter }));
        assert!(plan.contains("grants_by_subject (app_id=? AND subject=? AND provider=?)"), "{plan}");
        let plan = crate::migrate::plan(UNBOUND);
        assert!(plan.contains("grants_unbound") && !plan.contains("TEMP B-TREE"), "{plan}");
        let plan = crate::migrate::plan(ACTIVE);
        assert!(plan.contains("sqlite_autoindex_grants") && !plan.contains("TEMP B-TREE"), "{plan}");
        let plan = crate::migrate::plan(OF_ACCOUNT);
        assert!(plan.contains("grants_by_account (app_id=? AND provider=? AND subject=?)"), "{plan}");
        let filter = GrantFilter { agent: Some(AgentId::new(&SystemRandom)), ..GrantFilter::default() };
        let plan = crate::migrate::plan(&list_sql(&filter));
        assert!(plan.contains("SEARCH d USING PRIMARY KEY (agent_id=?)"), "{plan}");
    }
}
