//! Grants and their sealed credentials. Every statement names the app (T72).

use alter_core::{
    AgentId, AppId, ConfigId, Credential, Delegation, Grant, GrantFilter, GrantId, GrantStore, Level,
    ListedGrant, Principal, ReleaseCredential, RevocationOutcome, RevokedGrant, Saved, StoreError,
    store::storable,
};
use async_trait::async_trait;
use sqlx::{
    PgConnection,
    postgres::{PgArguments, PgRow},
};

use crate::{
    PostgresStore,
    column::{
        counter, json, optional_text, parsed, read, read_counter, read_json, read_optional_time, read_text,
        read_time, text,
    },
    data_key::refuse_retired,
    delegation::read_delegation,
    fault::Fault,
    release,
    statement::{run, values},
};

macro_rules! columns {
    () => {
        "g.id, g.app_id, g.principal, g.provider, g.config_id, g.subject, g.account_identifier,
         g.account_display_name, g.label, g.scopes, g.missing_scopes, g.level, g.created_at, g.updated_at,
         g.last_used_at, g.revoked_at, g.revoked_reason, g.revocation, g.generation, g.token_type,
         g.credential_expires_at, g.access_token, g.refresh_token, g.id_token"
    };
}

const INSERT: &str =
    "INSERT INTO grants (id, app_id, principal, provider, subject, generation, config_id, account_identifier,
                         account_display_name, label, scopes, missing_scopes, level, updated_at, token_type,
                         credential_expires_at, access_token, refresh_token, id_token, created_at, status)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, 'active')";

/// Everything but what makes the grant this grant: id, app, principal, provider, subject, and when it was made ($20).
const REPLACE: &str = "UPDATE grants SET
        generation = $6, config_id = $7, account_identifier = $8, account_display_name = $9, label = $10,
        scopes = $11, missing_scopes = $12, level = $13, updated_at = $14, token_type = $15,
        credential_expires_at = $16, access_token = $17, refresh_token = $18, id_token = $19
    WHERE id = $1 AND app_id = $2 AND principal = $3 AND provider = $4 AND subject = $5
      AND generation = $6 - 1 AND status = 'active'";

/// What every list has in common; `NULL` = any. $6 is the principal, $7 the agent.
macro_rules! filtered {
    () => {
        "g.app_id = $1 AND ($2 IS NULL OR g.provider = $2) AND ($3 IS NULL OR g.status = $3)
         AND ($4 IS NULL OR g.account_identifier = $4) AND ($5 IS NULL OR g.label = $5)"
    };
}

/// The three ways to look, each along an index of its own: an app's, a principal's, an agent's.
macro_rules! lookup {
    ($what:expr, $order:expr) => {
        [
            concat!("SELECT ", $what, " FROM grants g WHERE ", filtered!(), $order),
            concat!("SELECT ", $what, " FROM grants g WHERE g.principal = $6 AND ", filtered!(), $order),
            concat!(
                "SELECT ",
                $what,
                " FROM delegations d JOIN grants g ON g.id = d.grant_id
                 WHERE d.agent_id = $7 AND d.revoked_at IS NULL AND g.status = 'active'
                   AND ($6 IS NULL OR g.principal = $6) AND ",
                filtered!(),
                $order
            ),
        ]
    };
}

const LIST: [&str; 3] = lookup!(columns!(), " ORDER BY g.created_at DESC, g.id DESC LIMIT $8 OFFSET $9");
const COUNT: [&str; 3] = lookup!("COUNT(*) AS n", "");

#[async_trait]
impl GrantStore for PostgresStore {
    async fn get_grant(&self, app: AppId, id: GrantId) -> Result<Option<Grant>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM grants g WHERE g.id = $1 AND g.app_id = $2");
        self.one(sql, values![id.to_string(), app.to_string()], read_grant).await
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
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM grants g
              WHERE g.app_id = $1 AND g.principal = $2 AND g.provider = $3 AND g.subject = $4 AND g.status = 'active'"
        );
        self.one(sql, values![app.to_string(), principal.to_text(), provider, subject], read_grant).await
    }

    async fn list_grants(
        &self,
        app: AppId,
        filter: &GrantFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<ListedGrant>, StoreError> {
        let Some(values) = filter_values(app, filter, limit, offset) else { return Ok(Vec::new()) };
        let grants = self.all(along(&LIST, filter), values, read_grant).await?;
        // One statement for all of them: each costs a journey to the server.
        let sql = "SELECT grant_id, agent_id, scopes, created_at FROM delegations
                   WHERE grant_id = ANY($1) AND revoked_at IS NULL ORDER BY agent_id";
        let active = grants.iter().filter(|grant| grant.revoked.is_none());
        let ids: Vec<_> = active.map(|grant| grant.id.to_string()).collect();
        let delegations = self.all(sql, values![ids], read_delegation).await?;
        Ok(grants.into_iter().map(|grant| listed(grant, &delegations, filter.agent)).collect())
    }

    async fn count_grants(&self, app: AppId, filter: &GrantFilter) -> Result<u64, StoreError> {
        let Some(values) = filter_values(app, filter, 0, 0) else { return Ok(0) };
        let found = self.one(along(&COUNT, filter), values, |row| read_counter(row, "n")).await?;
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

/// The values of every lookup, also those that one of them does not use; `None` when nothing can be found.
fn filter_values(app: AppId, filter: &GrantFilter, limit: u32, offset: u32) -> Option<PgArguments> {
    let GrantFilter { principal, agent, provider, status, account, label } = filter;
    let texts = [provider, account, label];
    if !texts.iter().all(|text| text.as_deref().is_none_or(storable)) {
        return None;
    }
    Some(values![
        app.to_string(),
        provider.as_deref(),
        status.map(|status| status.as_str()),
        account.as_deref(),
        label.as_deref(),
        principal.map(Principal::to_text),
        agent.map(|id| id.to_string()),
        i64::from(limit),
        i64::from(offset),
    ])
}

fn listed(grant: Grant, delegations: &[Delegation], agent: Option<AgentId>) -> ListedGrant {
    let of_grant = || delegations.iter().filter(|d| d.grant_id == grant.id);
    let agents = of_grant().map(|d| d.agent_id).collect();
    let delegation = of_grant().find(|d| Some(d.agent_id) == agent).cloned();
    ListedGrant { agents, delegation, grant }
}

/// Writes a grant: generation 1 is new, any other replaces the one before it.
///
/// # Errors
/// [`StoreError::Exists`]: the account or the id; [`StoreError::Moved`]: the generation; [`StoreError::KeyRetired`].
pub(crate) async fn put(c: &mut PgConnection, grant: &Grant) -> Result<(), Fault> {
    let credential = &grant.credential;
    let sealed = [
        Some(&*credential.access_token),
        credential.refresh_token.as_deref(),
        credential.id_token.as_deref(),
    ];
    refuse_retired(c, grant.app_id, &sealed).await?;
    let values = values![
        grant.id.to_string(),
        grant.app_id.to_string(),
        grant.principal.to_text(),
        text(&grant.provider)?,
        text(&grant.subject)?,
        counter(credential.generation)?,
        grant.config_id.as_str(),
        text(&grant.account_identifier)?,
        optional_text(grant.account_display_name.as_deref())?,
        optional_text(grant.label.as_deref())?,
        json(&grant.scopes)?,
        json(&grant.missing_scopes)?,
        grant.level.as_str(),
        grant.updated_at.0,
        text(&credential.token_type)?,
        credential.expires_at.map(|at| at.0),
        &*credential.access_token,
        credential.refresh_token.as_deref(),
        credential.id_token.as_deref(),
        grant.created_at.0,
    ];
    let sql = if credential.generation == 1 { INSERT } else { REPLACE };
    match run(c, sql, values).await? {
        0 => Err(StoreError::Moved.into()),
        _ => Ok(()),
    }
}

fn read_grant(row: &PgRow) -> Result<Grant, Fault> {
    Ok(Grant {
        id: parsed(row, "id", GrantId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        principal: parsed(row, "principal", Principal::parse)?,
        provider: read_text(row, "provider")?,
        config_id: parsed(row, "config_id", ConfigId::parse)?,
        subject: read_text(row, "subject")?,
        account_identifier: read_text(row, "account_identifier")?,
        account_display_name: read(row, "account_display_name")?,
        label: read(row, "label")?,
        scopes: read_json(row, "scopes")?,
        missing_scopes: read_json(row, "missing_scopes")?,
        level: parsed(row, "level", Level::parse)?,
        created_at: read_time(row, "created_at")?,
        updated_at: read_time(row, "updated_at")?,
        last_used_at: read_optional_time(row, "last_used_at")?,
        revoked: read_revoked(row)?,
        credential: Credential {
            generation: read_counter(row, "generation")?,
            token_type: read_text(row, "token_type")?,
            expires_at: read_optional_time(row, "credential_expires_at")?,
            access_token: read(row, "access_token")?,
            refresh_token: read(row, "refresh_token")?,
            id_token: read(row, "id_token")?,
        },
    })
}

fn read_revoked(row: &PgRow) -> Result<Option<RevokedGrant>, Fault> {
    let Some(at) = read_optional_time(row, "revoked_at")? else { return Ok(None) };
    let outcome = parsed(row, "revocation", RevocationOutcome::parse)?;
    Ok(Some(RevokedGrant { at, reason: read(row, "revoked_reason")?, outcome }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One user has few of an app's grants, the app itself half of them.
    const FILL: &str = "INSERT INTO grants (id, app_id, principal, provider, config_id, subject, account_identifier, scopes,
            missing_scopes, level, created_at, updated_at, status, generation, token_type, access_token)
        SELECT n, 'app', CASE n % 2 WHEN 0 THEN 'app' ELSE 'user' || n / 4 END, 'google', 'c', n, n || '@example.com',
            '[]', '[]', 'L2', n, n, 'active', 1, 'bearer', ''
        FROM generate_series(1, 5000) n";

    #[tokio::test]
    async fn every_list_goes_along_its_index_without_sorting_where_there_may_be_many() {
        let any =
            ["'app'", "NULL::text", "NULL::text", "NULL::text", "NULL::text", "'app'", "'agent'", "9", "0"];
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
        let plan = crate::migrate::plan("", LIST[2], &any).await;
        assert!(plan.contains("using delegations_pkey"), "{plan}");
    }
}
