//! Grants and their sealed credentials. Every statement names the app (T72).

use alter_core::{
    AgentId, AppId, ConfigId, Credential, Grant, GrantFilter, GrantId, GrantStore, Level, ListedGrant,
    Principal, ReleaseCredential, RevocationOutcome, RevokedGrant, Saved, StoreError, grant::LAST_USED_STEP,
};
use async_trait::async_trait;
use rusqlite::{Connection, Row, ToSql, named_params, params};

use crate::{
    SqliteStore, agent,
    audit::append,
    column::{
        counter, json, optional_text, parsed, read_counter, read_json, read_optional_time, read_text,
        read_time, text,
    },
    data_key::refuse_retired,
    delegation,
    fault::Fault,
    statement::{all, one, run},
    store::{record_nonce, refuse_known_nonce},
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
    "INSERT INTO grants (id, app_id, principal, provider, config_id, subject, account_identifier,
                         account_display_name, label, scopes, missing_scopes, level, created_at, updated_at, status,
                         generation, token_type, credential_expires_at, access_token, refresh_token, id_token)
     VALUES (:id, :app_id, :principal, :provider, :config_id, :subject, :account_identifier,
             :account_display_name, :label, :scopes, :missing_scopes, :level, :created_at, :updated_at, 'active',
             :generation, :token_type, :credential_expires_at, :access_token, :refresh_token, :id_token)";

/// Everything but what makes the grant this grant: id, app, principal, provider, subject, and when it was made.
const REPLACE: &str = "UPDATE grants SET
        config_id = :config_id, account_identifier = :account_identifier,
        account_display_name = :account_display_name, label = :label, scopes = :scopes,
        missing_scopes = :missing_scopes, level = :level, updated_at = :updated_at, generation = :generation,
        token_type = :token_type, credential_expires_at = :credential_expires_at, access_token = :access_token,
        refresh_token = :refresh_token, id_token = :id_token
    WHERE id = :id AND app_id = :app_id AND principal = :principal AND provider = :provider
      AND subject = :subject AND generation = :generation - 1 AND status = 'active'";

const OF_ACCOUNT: &str = "SELECT id FROM grants WHERE app_id = ?1 AND provider = ?2 AND subject = ?3 AND status = 'active' LIMIT 1";

#[async_trait]
impl GrantStore for SqliteStore {
    async fn get_grant(&self, app: AppId, id: GrantId) -> Result<Option<Grant>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM grants g WHERE g.id = ?1 AND g.app_id = ?2");
        self.read(|c| one(c, sql, [id.to_string(), app.to_string()], read_grant)).await
    }

    async fn find_grant(
        &self,
        app: AppId,
        principal: Principal,
        provider: &str,
        subject: &str,
    ) -> Result<Option<Grant>, StoreError> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM grants g
              WHERE g.app_id = ?1 AND g.principal = ?2 AND g.provider = ?3 AND g.subject = ?4 AND g.status = 'active'"
        );
        self.read(|c| {
            one(c, sql, params![app.to_string(), principal.to_text(), provider, subject], read_grant)
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
            let grants = looked_up(c, &list_sql(filter), app, filter, &page, read_grant)?;
            grants.into_iter().map(|grant| listed(c, grant, filter.agent)).collect()
        })
        .await
    }

    async fn count_grants(&self, app: AppId, filter: &GrantFilter) -> Result<u64, StoreError> {
        let count =
            |c: &Connection| looked_up(c, &count_sql(filter), app, filter, &[], |row| read_counter(row, "n"));
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

    async fn release_credential(&self, release: ReleaseCredential) -> Result<Saved, StoreError> {
        self.write(move |c| release_in(c, &release)).await
    }
}

fn list_sql(filter: &GrantFilter) -> String {
    let columns = columns!();
    let order = "ORDER BY g.created_at DESC, g.id DESC LIMIT :limit OFFSET :offset";
    format!("SELECT {columns} {} {order}", lookup(filter))
}

fn count_sql(filter: &GrantFilter) -> String {
    format!("SELECT COUNT(*) AS n {}", lookup(filter))
}

/// Where to look. A condition that was not asked for is not in the statement: with `:status IS NULL OR ...` in it, a count
/// would read every row where an index is enough.
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
        (filter.account.is_some(), " AND g.account_identifier = :account"),
        (filter.label.is_some(), " AND g.label = :label"),
    ];
    std::iter::once(from).chain(asked.into_iter().filter_map(|(is, sql)| is.then_some(sql))).collect()
}

fn looked_up<T>(
    c: &Connection,
    sql: &str,
    app: AppId,
    filter: &GrantFilter,
    more: &[(&str, &dyn ToSql)],
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let GrantFilter { principal, agent, provider, status, account, label } = filter;
    let (app, principal) = (app.to_string(), principal.map(Principal::to_text));
    let (agent, status) = (agent.map(|id| id.to_string()), status.map(|s| s.as_str()));
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":app", &app)];
    let asked: [(&str, Option<&dyn ToSql>); 6] = [
        (":agent", agent.as_ref().map(|v| v as &dyn ToSql)),
        (":principal", principal.as_ref().map(|v| v as &dyn ToSql)),
        (":provider", provider.as_ref().map(|v| v as &dyn ToSql)),
        (":status", status.as_ref().map(|v| v as &dyn ToSql)),
        (":account", account.as_ref().map(|v| v as &dyn ToSql)),
        (":label", label.as_ref().map(|v| v as &dyn ToSql)),
    ];
    values.extend(asked.into_iter().filter_map(|(name, value)| Some((name, value?))));
    values.extend(more);
    all(c, sql, values.as_slice(), read)
}

fn listed(c: &Connection, grant: Grant, agent: Option<AgentId>) -> Result<ListedGrant, Fault> {
    let sql = "SELECT agent_id FROM delegations WHERE grant_id = ?1 AND revoked_at IS NULL ORDER BY agent_id";
    let agents = match grant.revoked {
        None => all(c, sql, [grant.id.to_string()], |row| parsed(row, "agent_id", AgentId::parse))?,
        Some(_) => Vec::new(),
    };
    let delegation = match agent {
        Some(agent) => delegation::find(c, grant.app_id, grant.id, agent)?,
        None => None,
    };
    Ok(ListedGrant { grant, agents, delegation })
}

/// A moved grant records nothing, the nonce neither: the caller reads again and asks again with the same nonce.
fn release_in(c: &Connection, release: &ReleaseCredential) -> Result<Saved, Fault> {
    let ReleaseCredential { call, app_id, grant_id, generation, agent, at, audit } = release;
    let sql = "SELECT last_used_at FROM grants WHERE id = ?1 AND app_id = ?2 AND generation = ?3 AND status = 'active'";
    let values = params![grant_id.to_string(), app_id.to_string(), counter(*generation)?];
    let last_used = one(c, sql, values, |row| read_optional_time(row, "last_used_at"))?;
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

/// Writes a grant: generation 1 is new, any other replaces the one before it.
///
/// # Errors
/// [`StoreError::Exists`]: the account or the id; [`StoreError::Moved`]: the generation; [`StoreError::KeyRetired`].
pub(crate) fn put(c: &Connection, grant: &Grant) -> Result<(), Fault> {
    let credential = &grant.credential;
    let sealed =
        [Some(&credential.access_token), credential.refresh_token.as_ref(), credential.id_token.as_ref()];
    refuse_retired(c, grant.app_id, sealed)?;
    let values = named_params! {
        ":id": grant.id.to_string(),
        ":app_id": grant.app_id.to_string(),
        ":principal": grant.principal.to_text(),
        ":provider": text(&grant.provider)?,
        ":config_id": grant.config_id.as_str(),
        ":subject": text(&grant.subject)?,
        ":account_identifier": text(&grant.account_identifier)?,
        ":account_display_name": optional_text(grant.account_display_name.as_deref())?,
        ":label": optional_text(grant.label.as_deref())?,
        ":scopes": json(&grant.scopes)?,
        ":missing_scopes": json(&grant.missing_scopes)?,
        ":level": grant.level.as_str(),
        ":updated_at": grant.updated_at.0,
        ":generation": counter(credential.generation)?,
        ":token_type": text(&credential.token_type)?,
        ":credential_expires_at": credential.expires_at.map(|at| at.0),
        ":access_token": credential.access_token,
        ":refresh_token": credential.refresh_token,
        ":id_token": credential.id_token,
    };
    if credential.generation == 1 {
        let created: (&str, &dyn ToSql) = (":created_at", &grant.created_at.0);
        let values: Vec<_> = values.iter().copied().chain([created]).collect();
        run(c, INSERT, values.as_slice())?;
    } else if run(c, REPLACE, values)? == 0 {
        return Err(StoreError::Moved.into());
    }
    Ok(())
}

fn read_grant(row: &Row<'_>) -> Result<Grant, Fault> {
    Ok(Grant {
        id: parsed(row, "id", GrantId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        principal: parsed(row, "principal", Principal::parse)?,
        provider: read_text(row, "provider")?,
        config_id: parsed(row, "config_id", ConfigId::parse)?,
        subject: read_text(row, "subject")?,
        account_identifier: read_text(row, "account_identifier")?,
        account_display_name: row.get("account_display_name")?,
        label: row.get("label")?,
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
            access_token: row.get("access_token")?,
            refresh_token: row.get("refresh_token")?,
            id_token: row.get("id_token")?,
        },
    })
}

fn read_revoked(row: &Row<'_>) -> Result<Option<RevokedGrant>, Fault> {
    let Some(at) = read_optional_time(row, "revoked_at")? else { return Ok(None) };
    let outcome = parsed(row, "revocation", RevocationOutcome::parse)?;
    Ok(Some(RevokedGrant { at, reason: row.get("revoked_reason")?, outcome }))
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
            account: Some("ada@example.com".to_owned()),
            ..of_app
        };
        let plan = crate::migrate::plan(&list_sql(&filter));
        assert!(
            plan.contains("grants_by_identifier (app_id=? AND account_identifier=? AND provider=?)"),
            "{plan}"
        );
        let plan = crate::migrate::plan(OF_ACCOUNT);
        assert!(plan.contains("grants_by_account (app_id=? AND provider=? AND subject=?)"), "{plan}");
        let filter = GrantFilter { agent: Some(AgentId::new(&SystemRandom)), ..GrantFilter::default() };
        let plan = crate::migrate::plan(&list_sql(&filter));
        assert!(plan.contains("SEARCH d USING PRIMARY KEY (agent_id=?)"), "{plan}");
    }
}
