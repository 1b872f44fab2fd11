//! Many grants without many consents: copies of one, each with tokens of its own at the provider.

use alter_core::{CredentialPlace, Grant, GrantId, GrantSecret, Random as _, SystemRandom};
use alter_testkit::{TestApp, TestServer};
use alter_vault::{DataKey, Place, RootKey, Vault};
use secrecy::ExposeSecret;

use super::sql;

/// Rows per statement: `psql` takes so much text at once.
const AT_ONCE: usize = 50;

/// Makes copies of a grant of `app`. Returns their ids.
pub(crate) async fn copies(server: &TestServer, app: &TestApp, original: &str, count: usize) -> Vec<String> {
    let original = GrantId::parse(original).unwrap();
    let original = server.store.get_grant(app.id, original).await.unwrap().unwrap();
    let client = format!("client-{}-{}", app.id, original.provider);
    let key = data_key(server, app).await;
    let ids: Vec<_> = (0..count).map(|_| GrantId::new(&SystemRandom)).collect();
    for some in ids.chunks(AT_ONCE) {
        let rows: Vec<_> = some.iter().map(|id| copy(server, &key, &original, *id, &client)).collect();
        sql::batch(server, &rows.join(";\n"));
    }
    ids.iter().map(ToString::to_string).collect()
}

async fn data_key(server: &TestServer, app: &TestApp) -> DataKey {
    let vault = Vault::new(RootKey::from_base64(server.root_key().expose_secret()).unwrap());
    let stored = server.store.get_app(app.id).await.unwrap().unwrap();
    vault.data_key(&app.id.to_string(), &stored.wrapped_key).unwrap()
}

fn copy(server: &TestServer, key: &DataKey, original: &Grant, id: GrantId, client: &str) -> String {
    let tokens = server.mock.make_grant(client, "acme-1001", &original.scopes.join(" "));
    let generation = original.credential.generation;
    let place = CredentialPlace { app: original.app_id, grant: id, generation };
    let seal = |secret, text: &str| {
        let (place, app) = (place.of(secret), original.app_id.to_string());
        let place = Place {
            app: &app,
            table: place.column.sealed_table(),
            column: place.column.column(),
            row: &place.row,
            generation,
        };
        sql::bytes(server, &key.seal(&place, text.as_bytes(), &|buffer| SystemRandom.fill(buffer)).unwrap())
    };
    let kept = "app_id, principal, provider, config_id, account_identifier, account_display_name, label, scopes, \
                missing_scopes, level, created_at, updated_at, refresh, refresh_at, ends_at, status, generation, \
                token_type, credential_issued_at, credential_expires_at";
    format!(
        "INSERT INTO grants (id, subject, access_token, refresh_token, {kept})
         SELECT '{id}', '{id}', {}, {}, {kept} FROM grants WHERE id = '{}'",
        seal(GrantSecret::AccessToken, &tokens.access_token),
        seal(GrantSecret::RefreshToken, &tokens.refresh_token),
        original.id,
    )
}
