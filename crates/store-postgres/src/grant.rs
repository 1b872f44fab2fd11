//! Grants and their sealed credentials. Every statement names the app (T72).

use alter_core::{
    AccountFilter, AgentId, AppId, Delegation, Grant, GrantFilter, GrantId, GrantStore, ListedGrant,
    Principal, ReleaseCredential, Saved, StoreError, stored::storable,
};
use alter_rows::{
    Noun,
    grant::{IDENTITY, KEPT},
    sql::Piece::{Names, Of, Place, Places, Same, Set, Text},
};
use async_trait::async_trait;
use sqlx::postgres::PgArguments;

use crate::{
    PostgresStore,
    connection::Connection,
    data_key::refuse_retired,
    fault::Fault,
    release,
    row::{bound, sql},
    statement::{one, run, values},
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

/// The conditions that every list has; `NULL` = any. $6 is the principal, $7 the agent, $8 and $9 the page.
macro_rules! filtered {
    () => {
        "g.app_id = $1 AND ($2 IS NULL OR g.provider = $2) AND ($3 IS NULL OR g.status = $3)
         AND ($4 IS NULL OR g.account_identifier = $4) AND ($5 IS NULL OR g.label = $5)
         AND ($10 IS NULL OR g.subject = $10) AND ($11 IS NULL OR g.account_verified = $11)"
    };
}

/// The three kinds of list, each with its own index: an app's grants, a principal's, an agent's.
macro_rules! lookup {
    ($what:expr, $order:expr) => {
        [
            sql!(concat!("SELECT {} FROM grants g WHERE ", filtered!(), $order), $what),
            sql!(concat!("SELECT {} FROM grants g WHERE g.principal = $6 AND ", filtered!(), $order), $what),
            sql!(
                concat!(
                    "SELECT {} FROM delegations d JOIN grants g ON g.id = d.grant_id
                     WHERE d.agent_id = $7 AND d.revoked_at IS NULL AND g.status = 'active'
                       AND ($6 IS NULL OR g.principal = $6) AND ",
                    filtered!(),
                    $order
                ),
                $what
            ),
        ]
    };
}

const ACTIVE: &str = sql!(
    "SELECT {} FROM grants WHERE id > $2 AND app_id = $1 AND status = 'active' ORDER BY id LIMIT $3",
    Names(Grant::COLUMNS),
);

/// The same condition as in the index.
const UNBOUND: &str = sql!(
    r"SELECT {} FROM grants
     WHERE (substr(access_token, 5, 1) = '\x01' OR substr(refresh_token, 5, 1) = '\x01'
            OR substr(id_token, 5, 1) = '\x01')
           AND id > $2 AND app_id = $1 AND status = 'active' ORDER BY id LIMIT $3",
    Names(Grant::COLUMNS),
);

const LIST: [&str; 3] =
    lookup!(Of("g.", Grant::COLUMNS), " ORDER BY g.created_at DESC, g.id DESC LIMIT $8 OFFSET $9");
const COUNT: [&str; 3] = lookup!(Text("COUNT(*) AS n"), "");

#[async_trait]
impl GrantStore for PostgresStore {
    async fn get_grant(&self, app: AppId, id: GrantId) -> Result<Option<Grant>, StoreError> {
        let sql = sql!("SELECT {} FROM grants WHERE id = $1 AND app_id = $2", Names(Grant::COLUMNS));
        self.one(sql, values![id.to_string(), app.to_string()], Grant::read).await
    }

    async fn find_grant(
        &self,
        app: AppId,
        principal: Principal,
        provider: &str,
        subject: &str,
    ) -> Result<Option<Grant>, StoreError> {
        if !storable(provider) || !storable(subject) {
            return Ok(None);
        }
        let sql = sql!(
            "SELECT {} FROM grants
             WHERE app_id = $1 AND principal = $2 AND provider = $3 AND subject = $4 AND status = 'active'",
            Names(Grant::COLUMNS),
        );
        self.one(sql, values![app.to_string(), principal.to_text(), provider, subject], Grant::read).await
    }

    async fn list_grants(
        &self,
        app: AppId,
        filter: &GrantFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<ListedGrant>, StoreError> {
        let Some(values) = filter_values(app, filter, limit, offset) else { return Ok(Vec::new()) };
        let grants = self.all(along(&LIST, filter), values, Grant::read).await?;
        // One statement for all grants: each statement costs a round trip to the server.
        let sql = sql!(
            "SELECT {} FROM delegations WHERE grant_id = ANY($1) AND revoked_at IS NULL ORDER BY agent_id",
            Names(Delegation::COLUMNS),
        );
        let active = grants.iter().filter(|grant| grant.revoked.is_none());
        let ids: Vec<_> = active.map(|grant| grant.id.to_string()).collect();
        let delegations = self.all(sql, values![ids], Delegation::read).await?;
        Ok(grants.into_iter().map(|grant| listed(grant, &delegations, filter.agent)).collect())
    }

    async fn count_grants(&self, app: AppId, filter: &GrantFilter) -> Result<u64, StoreError> {
        let Some(values) = filter_values(app, filter, 0, 0) else { return Ok(0) };
        let found = self.one(along(&COUNT, filter), values, |row| row.get("n")).await?;
        Ok(found.unwrap_or_default())
    }

    async fn has_grant_of_account(
        &self,
        app: AppId,
        provider: &str,
        subject: &str,
    ) -> Result<bool, StoreError> {
        if !(storable(provider) && storable(subject)) {
            return Ok(false);
        }
        let sql = "SELECT id FROM grants
                   WHERE app_id = $1 AND provider = $2 AND subject = $3 AND status = 'active' LIMIT 1";
        let values = values![app.to_string(), provider.to_owned(), subject.to_owned()];
        Ok(self.one(sql, values, |_| Ok(())).await?.is_some())
    }

    async fn list_active_grants(
        &self,
        app: AppId,
        only_unbound: bool,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError> {
        let sql = if only_unbound { UNBOUND } else { ACTIVE };
        self.all(sql, values![app.to_string(), after, i64::from(limit)], Grant::read).await
    }

    async fn release_credential(&self, release: ReleaseCredential) -> Result<Saved, StoreError> {
        release::stand_in_line(&self.releases, &self.pool, release).await
    }
}

fn along(lookup: &[&'static str; 3], filter: &GrantFilter) -> &'static str {
    match (filter.agent, filter.principal) {
        (None, None) => lookup[0],
        (None, Some(_)) => lookup[1],
        (Some(_), _) => lookup[2],
    }
}

/// The values for any of the three lists, including those that a list does not use; `None` when nothing can be found.
fn filter_values(app: AppId, filter: &GrantFilter, limit: u32, offset: u32) -> Option<PgArguments> {
    let GrantFilter { principal, agent, provider, status, account, label } = filter;
    let (subject, name, verified) = match account {
        None => (None, None, None),
        Some(AccountFilter::Subject(subject)) => (Some(subject.as_str()), None, None),
        Some(AccountFilter::Identifier(name)) => (None, Some(name.as_str()), None),
        Some(AccountFilter::Verified(name)) => (None, Some(name.as_str()), Some(true)),
    };
    let texts = [provider.as_deref(), subject, name, label.as_deref()];
    if !texts.into_iter().flatten().all(storable) {
        return None;
    }
    Some(values![
        app.to_string(),
        provider.as_deref(),
        status.map(|status| status.as_str()),
        name,
        label.as_deref(),
        principal.map(Principal::to_text),
        agent.map(|id| id.to_string()),
        i64::from(limit),
        i64::from(offset),
        subject,
        verified,
    ])
}

fn listed(grant: Grant, delegations: &[Delegation], agent: Option<AgentId>) -> ListedGrant {
    let of_grant = || delegations.iter().filter(|d| d.grant_id == grant.id);
    let agents = of_grant().map(|d| d.agent_id).collect();
    let delegation = of_grant().find(|d| Some(d.agent_id) == agent).cloned();
    ListedGrant { agents, delegation, grant }
}

/// Locks a grant before rows that belong to it are changed: whoever needs both locks the grant first.
pub(crate) async fn lock(c: &mut Connection, id: GrantId) -> Result<(), Fault> {
    one(c, "SELECT id FROM grants WHERE id = $1 FOR UPDATE", values![id.to_string()], |_| Ok(())).await?;
    Ok(())
}

/// Writes a grant: generation 1 is a new grant, any other generation replaces the previous one.
///
/// # Errors
/// [`StoreError::Exists`]: the account or the id; [`StoreError::Moved`]: the generation; [`StoreError::KeyRetired`].
pub(crate) async fn put(c: &mut Connection, grant: &Grant) -> Result<(), Fault> {
    let credential = &grant.credential;
    let sealed = [
        Some(&*credential.access_token),
        credential.refresh_token.as_deref(),
        credential.id_token.as_deref(),
    ];
    refuse_retired(c, grant.app_id, &sealed).await?;
    let sql = if credential.generation == 1 { INSERT } else { REPLACE };
    match run(c, sql, bound(grant.values()?)).await? {
        0 => Err(StoreError::Moved.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user has few of an app's grants; the app itself has half of them.
    const FILL: &str = "INSERT INTO grants (id, app_id, principal, provider, config_id, subject, account_identifier, scopes,
            missing_scopes, level, created_at, updated_at, refresh, status, generation, token_type, credential_issued_at,
            access_token)
        SELECT n, 'app', CASE n % 2 WHEN 0 THEN 'app' ELSE 'user' || n / 4 END, 'google', 'c', n, n || '@example.com',
            '[]', '[]', 'L2', n, n, '{}', 'active', 1, 'bearer', n, ''
        FROM generate_series(1, 5000) n";

    #[tokio::test]
    async fn every_list_goes_along_its_index_without_sorting_where_there_may_be_many() {
        let none = "NULL::text";
        let any = ["'app'", none, none, none, none, "'app'", "'agent'", "9", "0", none, "NULL::boolean"];
        for (sql, index) in LIST.iter().zip(["grants_by_app", "grants_by_principal"]) {
            let plan = crate::migrate::plan(FILL, sql, &any).await;
            let along = plan.contains(&format!("Index Scan Backward using {index}"));
            assert!(along && !plan.contains("Sort"), "{plan}");
        }
        let mut of_app = any;
        of_app[5] = "NULL::text";
        for status in ["NULL::text", "'active'"] {
            of_app[2] = status;
            let plan = crate::migrate::plan(FILL, COUNT[0], &of_app).await;
            assert!(plan.contains("Index Only Scan using grants_by_"), "{plan}");
        }
        let mut account = any;
        (account[1], account[3]) = ("'google'", "'17@example.com'");
        let plan = crate::migrate::plan(FILL, COUNT[1], &account).await;
        assert!(plan.contains("grants_by_identifier"), "{plan}");
        (account[3], account[9]) = (none, "'17'");
        let plan = crate::migrate::plan(FILL, COUNT[0], &account).await;
        assert!(plan.contains("grants_by_subject"), "{plan}");
        let plan = crate::migrate::plan("", LIST[2], &any).await;
        assert!(plan.contains("using delegations_pkey"), "{plan}");
    }
}
