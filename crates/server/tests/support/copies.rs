//! Many grants without many consents: copies of one, each with tokens of its own at the provider.

use alter_core::{
    CredentialPlace, Grant, GrantId, GrantSecret, Holder, Principal, Random as _, SystemRandom,
};
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

/// Puts a grant's tokens back as they were sealed before they were bound to their grant's holder.
pub(crate) async fn unbind(server: &TestServer, app: &TestApp, grant: &str) {
    let (key, id) = (data_key(server, app).await, GrantId::parse(grant).unwrap());
    let grant = server.store.get_grant(app.id, id).await.unwrap().unwrap();
    let user = match grant.principal {
        Principal::App => None,
        Principal::User(id) => server.store.get_user(app.id, id).await.unwrap(),
    };
    let (credential, holder) = (&grant.credential, grant.holder(user.as_ref()).digest());
    for (secret, sealed) in [
        (GrantSecret::AccessToken, Some(&credential.access_token)),
        (GrantSecret::RefreshToken, credential.refresh_token.as_ref()),
        (GrantSecret::IdToken, credential.id_token.as_ref()),
    ] {
        let (Some(sealed), place, app) = (sealed, grant.place(secret, holder), app.id.to_string()) else {
            continue;
        };
        let bound = Place {
            app: &app,
            table: place.column.sealed_table(),
            column: place.column.column(),
            row: &place.row,
            generation: place.generation,
            bound_to: place.bound_to.as_ref().map(|digest| digest.as_slice()),
        };
        let token = key.open(&bound, sealed).unwrap();
        let cell = Place { bound_to: None, ..bound };
        let before = key.seal(&cell, token.expose_secret(), &|buffer| SystemRandom.fill(buffer)).unwrap();
        let (column, value) = (place.column.column(), sql::bytes(server, &before));
        sql::run(server, &format!("UPDATE grants SET {column} = {value} WHERE id = '{id}'"), []);
    }
}

async fn data_key(server: &TestServer, app: &TestApp) -> DataKey {
    let vault = Vault::new(RootKey::from_base64(server.root_key().expose_secret()).unwrap());
    let stored = server.store.get_app(app.id).await.unwrap().unwrap();
    vault.data_key(&app.id.to_string(), &stored.wrapped_key).unwrap()
}

fn copy(server: &TestServer, key: &DataKey, original: &Grant, id: GrantId, client: &str) -> String {
    let tokens = server.mock.make_grant(client, "acme-1001", &original.scopes.join(" "));
    let generation = original.credential.generation;
    let subject = id.to_string();
    assert_eq!(original.principal, Principal::App, "a user's grants would need the user here");
    let holder = Holder { subject: &subject, ..original.holder(None) }.digest();
    let place = CredentialPlace { app: original.app_id, grant: id, generation, holder };
    let seal = |secret, text: &str| {
        let (place, app) = (place.of(secret), original.app_id.to_string());
        let place = Place {
            app: &app,
            table: place.column.sealed_table(),
            column: place.column.column(),
            row: &place.row,
            generation,
            bound_to: Some(&holder),
        };
        sql::bytes(server, &key.seal(&place, text.as_bytes(), &|buffer| SystemRandom.fill(buffer)).unwrap())
    };
    let kept = "app_id, principal, provider, config_id, account_identifier, account_verified, account_display_name, \
                label, scopes, missing_scopes, level, created_at, updated_at, refresh, refresh_at, ends_at, status, \
                generation, token_type, credential_issued_at, credential_expires_at";
    format!(
        "INSERT INTO grants (id, subject, access_token, refresh_token, {kept})
         SELECT '{id}', '{id}', {}, {}, {kept} FROM grants WHERE id = '{}'",
        seal(GrantSecret::AccessToken, &tokens.access_token),
        seal(GrantSecret::RefreshToken, &tokens.refresh_token),
        original.id,
    )
}
