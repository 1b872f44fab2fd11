//! Tokens from before tokens were bound to their grant's holder ([`alter_core::Holder`]): each is sealed again, for the
//! row as it is. And which grants have tokens that do not open.
//!
//! Nothing tells a row from before from one that somebody changed before this ran. Afterwards, only a value from a backup
//! of that time is unbound: nobody can make one of a bound value.

use alter_core::{AppId, Grant, GrantId, GrantSecret, SealedValue, StoreError};
use alter_vault::{DataKey, is_bound};
use secrecy::ExposeSecret;

use crate::{Flows, fault::FlowFault, rounds::Rounds};

/// Grants per page, and per commit.
const BATCH: u32 = 200;
/// How many times a page is tried whose data key is being replaced.
const ROUNDS: usize = 8;

/// A grant that no token is released of.
#[derive(Debug)]
pub struct UnprovenGrant {
    pub app: AppId,
    pub grant: GrantId,
    pub why: FlowFault,
}

/// Binds the tokens of all apps that are not bound yet; returns how many. Two processes may do so at once.
///
/// # Errors
/// Our own failure; what was done stays done.
pub async fn bind_tokens(flows: &Flows) -> Result<u64, FlowFault> {
    let mut bound = 0;
    for app in flows.store().list_apps().await? {
        let mut after = String::new();
        loop {
            let page = flows.store().list_active_grants(app.id, true, &after, BATCH).await?;
            let Some(last) = page.last() else { break };
            after = last.id.to_string();
            bound += bind_page(flows, app.id, &page).await?;
        }
    }
    Ok(bound)
}

async fn bind_page(flows: &Flows, app: AppId, page: &[Grant]) -> Result<u64, FlowFault> {
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let key = flows.sealer().current_key(app).await?;
        let mut values = Vec::new();
        for grant in page {
            match bound(flows, &key, grant).await {
                Ok(bound) => values.extend(bound),
                // It is read again at the next start.
                Err(fault) if fault.is_overtaken() => {}
                Err(error) => tracing::error!(grant_id = %grant.id, %error, "a grant's tokens do not open"),
            }
        }
        match flows.store().replace_sealed(app, values).await {
            Err(StoreError::KeyRetired) => {}
            replaced => return Ok(replaced?),
        }
    }
}

/// The values of a grant that are not bound yet, each with what takes its place.
async fn bound(
    flows: &Flows,
    key: &DataKey,
    grant: &Grant,
) -> Result<Vec<(SealedValue, Vec<u8>)>, FlowFault> {
    let (mut values, holder) = (Vec::new(), flows.holder(grant).await?);
    for (secret, sealed) in tokens(grant) {
        if is_bound(sealed)? {
            continue;
        }
        let place = grant.place(secret, holder);
        let opened = flows.sealer().open(key, &place, sealed).await?;
        let again = flows.sealer().seal(key, &place, opened.expose_secret())?;
        let (column, row, generation) = (place.column, place.row, place.generation);
        values.push((SealedValue { column, row, generation, sealed: sealed.clone() }, again));
    }
    Ok(values)
}

fn tokens(grant: &Grant) -> impl Iterator<Item = (GrantSecret, &Vec<u8>)> {
    let credential = &grant.credential;
    let all = [
        (GrantSecret::AccessToken, Some(&credential.access_token)),
        (GrantSecret::RefreshToken, credential.refresh_token.as_ref()),
        (GrantSecret::IdToken, credential.id_token.as_ref()),
    ];
    all.into_iter().filter_map(|(secret, sealed)| Some((secret, sealed?)))
}

/// Lists the active grants of all apps that have a token that does not open.
///
/// # Errors
/// Our own failure.
pub async fn unproven_grants(flows: &Flows) -> Result<Vec<UnprovenGrant>, FlowFault> {
    let mut found = Vec::new();
    for app in flows.store().list_apps().await? {
        let key = flows.sealer().data_key(&app)?;
        let mut after = String::new();
        loop {
            let page = flows.store().list_active_grants(app.id, false, &after, BATCH).await?;
            let Some(last) = page.last() else { break };
            after = last.id.to_string();
            for grant in &page {
                if let Err(why) = opens(flows, &key, grant).await {
                    found.push(UnprovenGrant { app: app.id, grant: grant.id, why });
                }
            }
        }
    }
    Ok(found)
}

async fn opens(flows: &Flows, key: &DataKey, grant: &Grant) -> Result<(), FlowFault> {
    let holder = flows.holder(grant).await?;
    for (secret, sealed) in tokens(grant) {
        match flows.sealer().open_token(key, &grant.place(secret, holder), sealed).await {
            // A server has just replaced it.
            Err(fault) if fault.is_overtaken() => {}
            opened => drop(opened?),
        }
    }
    Ok(())
}
