//! Provider configurations: one per app and provider id.

use alter_core::{AppId, Changed, ConfigId, ProviderConfig, ProviderStore, StoreError, store::storable};
use async_trait::async_trait;
use sqlx::postgres::PgRow;

use crate::{
    PostgresStore,
    column::{counter, json, parsed, read, read_counter, read_json, read_text, read_time, text},
    data_key::refuse_retired,
    fault::Fault,
    statement::{one, values},
};

macro_rules! columns {
    () => {
        "config_id, app_id, recipe, client_id, client_secret, generation, scopes, created_at, updated_at"
    };
}

#[async_trait]
impl ProviderStore for PostgresStore {
    async fn save_provider(&self, config: ProviderConfig) -> Result<ProviderConfig, StoreError> {
        let sql = concat!(
            "INSERT INTO providers (config_id, app_id, provider, recipe, client_id, client_secret, generation,
                                    scopes, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (app_id, provider) DO UPDATE SET
                 recipe = excluded.recipe, client_id = excluded.client_id,
                 client_secret = excluded.client_secret, generation = excluded.generation,
                 scopes = excluded.scopes, updated_at = excluded.updated_at
             RETURNING ",
            columns!()
        );
        let values = values![
            config.config_id.as_str(),
            config.app_id.to_string(),
            text(&config.recipe.id)?,
            json(&config.recipe)?,
            text(&config.client_id)?,
            config.client_secret.as_deref(),
            counter(config.generation)?,
            json(&config.scopes)?,
            config.created_at.0,
            config.updated_at.0,
        ];
        let config = &config;
        self.write(|tx| {
            let values = values.clone();
            Box::pin(async move {
                refuse_retired(tx.c, config.app_id, &[config.client_secret.as_deref()]).await?;
                one(tx.c, sql, values, read_provider).await?.ok_or(Fault::corrupt("config_id"))
            })
        })
        .await
    }

    async fn get_provider(&self, config_id: &ConfigId) -> Result<Option<ProviderConfig>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM providers WHERE config_id = $1");
        self.one(sql, values![config_id.as_str()], read_provider).await
    }

    async fn list_provider_ids(&self, app: AppId) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT provider FROM providers WHERE app_id = $1 ORDER BY provider";
        self.all(sql, values![app.to_string()], |row| read_text(row, "provider")).await
    }

    async fn list_providers(&self, app: AppId) -> Result<Vec<ProviderConfig>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM providers WHERE app_id = $1 ORDER BY provider");
        self.all(sql, values![app.to_string()], read_provider).await
    }

    async fn delete_provider(&self, app: AppId, provider: &str) -> Result<Changed, StoreError> {
        if !storable(provider) {
            return Ok(Changed::Absent);
        }
        let sql = "DELETE FROM providers WHERE app_id = $1 AND provider = $2";
        Ok(Changed::when(self.run(sql, values![app.to_string(), provider]).await? == 1))
    }
}

fn read_provider(row: &PgRow) -> Result<ProviderConfig, Fault> {
    Ok(ProviderConfig {
        config_id: parsed(row, "config_id", ConfigId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        recipe: read_json(row, "recipe")?,
        client_id: read_text(row, "client_id")?,
        client_secret: read(row, "client_secret")?,
        generation: read_counter(row, "generation")?,
        scopes: read_json(row, "scopes")?,
        created_at: read_time(row, "created_at")?,
        updated_at: read_time(row, "updated_at")?,
    })
}
