//! Grants and their sealed credentials. Every statement names the app (T72).

use alter_core::{
    AppId, AuditEntry, CallNonce, ConfigId, Credential, Grant, GrantId, GrantStore, Level, StoreError,
};
use async_trait::async_trait;
use rusqlite::{Connection, Row, ToSql, named_params, params};

use crate::{
    SqliteStore,
    audit::append,
    column::{
        counter, json, optional_text, parsed, read_counter, read_json, read_optional_time, read_text,
        read_time, text,
    },
    fault::Fault,
    statement::{all, one, run},
    store::{record_nonce, refuse_known_nonce},
};

macro_rules! columns {
    () => {
        "id, app_id, provider, config_id, subject, account_identifier, account_display_name, scopes,
         missing_scopes, level, created_at, updated_at, generation, token_type, credential_expires_at,
         access_token, refresh_token, id_token"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO grants (",
    columns!(),
    ") VALUES (:id, :app_id, :provider, :config_id, :subject, :account_identifier, :account_display_name, :scopes,
               :missing_scopes, :level, :created_at, :updated_at, :generation, :token_type, :credential_expires_at,
               :access_token, :refresh_token, :id_token)"
);

/// Everything but what makes the grant this grant: id, app, provider, subject, and when it was made.
const REPLACE: &str = "UPDATE grants SET
        config_id = :config_id, account_identifier = :account_identifier,
        account_display_name = :account_display_name, scopes = :scopes, missing_scopes = :missing_scopes,
        level = :level, updated_at = :updated_at, generation = :generation, token_type = :token_type,
        credential_expires_at = :credential_expires_at, access_token = :access_token,
        refresh_token = :refresh_token, id_token = :id_token
    WHERE id = :id AND app_id = :app_id AND provider = :provider AND subject = :subject
      AND generation = :generation - 1";

#[async_trait]
impl GrantStore for SqliteStore {
    async fn get_grant(&self, app: AppId, id: GrantId) -> Result<Option<Grant>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM grants WHERE id = ?1 AND app_id = ?2");
        self.read(|c| one(c, sql, [id.to_string(), app.to_string()], read_grant)).await
    }

    async fn find_grant(
        &self,
        app: AppId,
        provider: &str,
        subject: &str,
    ) -> Result<Option<Grant>, StoreError> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM grants WHERE app_id = ?1 AND provider = ?2 AND subject = ?3"
        );
        self.read(|c| one(c, sql, params![app.to_string(), provider, subject], read_grant)).await
    }

    async fn list_grants(&self, app: AppId, limit: u32, offset: u32) -> Result<Vec<Grant>, StoreError> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM grants WHERE app_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3"
        );
        self.read(|c| all(c, sql, params![app.to_string(), limit, offset], read_grant)).await
    }

    async fn release_credential(
        &self,
        call: Option<CallNonce>,
        grant: GrantId,
        generation: u64,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let generation = counter(generation)?;
        self.write(move |c| release(c, call, grant, generation, &audit)).await
    }
}

/// A moved grant records nothing, the nonce neither: the caller reads again and asks again with the same nonce.
fn release(
    c: &Connection,
    call: Option<CallNonce>,
    grant: GrantId,
    generation: i64,
    audit: &AuditEntry,
) -> Result<bool, Fault> {
    let sql = "SELECT id FROM grants WHERE id = ?1 AND app_id = ?2 AND generation = ?3";
    let values = params![grant.to_string(), audit.app_id.to_string(), generation];
    if one(c, sql, values, |_| Ok(()))?.is_none() {
        refuse_known_nonce(c, call)?;
        return Ok(false);
    }
    record_nonce(c, call)?;
    append(c, audit)?;
    Ok(true)
}

/// Writes a grant: generation 1 is new, any other replaces the one before it.
///
/// # Errors
/// [`StoreError::Conflict`]: the account or the id is there already, or the generation has moved.
pub(crate) fn put(c: &Connection, grant: &Grant) -> Result<(), Fault> {
    let credential = &grant.credential;
    let values = named_params! {
        ":id": grant.id.to_string(),
        ":app_id": grant.app_id.to_string(),
        ":provider": text(&grant.provider)?,
        ":config_id": grant.config_id.as_str(),
        ":subject": text(&grant.subject)?,
        ":account_identifier": text(&grant.account_identifier)?,
        ":account_display_name": optional_text(grant.account_display_name.as_deref())?,
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
        return Err(StoreError::Conflict.into());
    }
    Ok(())
}

fn read_grant(row: &Row<'_>) -> Result<Grant, Fault> {
    Ok(Grant {
        id: parsed(row, "id", GrantId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        provider: read_text(row, "provider")?,
        config_id: parsed(row, "config_id", ConfigId::parse)?,
        subject: read_text(row, "subject")?,
        account_identifier: read_text(row, "account_identifier")?,
        account_display_name: row.get("account_display_name")?,
        scopes: read_json(row, "scopes")?,
        missing_scopes: read_json(row, "missing_scopes")?,
        level: parsed(row, "level", Level::parse)?,
        created_at: read_time(row, "created_at")?,
        updated_at: read_time(row, "updated_at")?,
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
