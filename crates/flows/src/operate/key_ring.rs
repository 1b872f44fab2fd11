//! Replacing keys while servers run.
//!
//! A data key:
//! 1. A new key becomes the current one; from now on everything is sealed under it. If an earlier run was interrupted, its
//!    key is current already, and this run goes on from there.
//! 2. Every value under an older key is put under the current one, one batch per commit, by compare-and-swap: a value that
//!    a server writes in the meantime stays. The ciphertexts are not touched and nothing is decrypted.
//! 3. Repeat step 2 while a count still finds values (a server sealed with the older key at that moment). When it finds
//!    none, wipe the older key in the same commit as the count.
//!
//! The process may be killed at any point: each commit leaves every value readable. The root key is replaced in one
//! commit.

use alter_core::{
    AddDataKey, App, AppId, AuditEntry, AuditKind, DataKeyId, ReplaceRootKey, Saved, SealedColumn,
    StoreError, StoredDataKey, secret::hex,
};
use alter_vault::{DataKey, Vault, VaultError, wrapped_key_id};

use crate::{Flows, Operator, actor::Actor, fault::FlowFault, rounds::Rounds};

/// Rounds over all columns before giving up. A second round is needed only if a server sealed with an old key.
const ROUNDS: usize = 20;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// An earlier run was finished; no new key was made.
    pub resumed: bool,
    /// How many values were put under the current key.
    pub rewrapped: u64,
    /// How many keys were wiped.
    pub retired: u64,
    /// Values that do not open under their own key, because they were damaged or tampered with. Their key is kept.
    pub unreadable: Vec<String>,
}

/// One of an app's data keys, as the operator is shown it.
#[derive(Debug, Clone)]
pub struct KeyState {
    pub key: StoredDataKey,
    /// New values are sealed under this key.
    pub current: bool,
    /// How many values are sealed under this key.
    pub values: u64,
}

/// Why a root key was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    #[error("this root key is already in use")]
    Same,
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

impl From<StoreError> for RootKeyError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<VaultError> for RootKeyError {
    fn from(error: VaultError) -> Self {
        Self::Fault(error.into())
    }
}

/// Lists an app's data keys, oldest first.
///
/// # Errors
/// [`FlowFault`].
pub async fn list_key_ring(flows: &Flows, app: &App) -> Result<Vec<KeyState>, FlowFault> {
    let current = wrapped_key_id(&app.wrapped_key)?;
    let mut states = Vec::new();
    for key in flows.store().list_data_keys(app.id).await? {
        let values = flows.store().count_sealed(app.id, key.key_id).await?;
        states.push(KeyState { current: key.key_id == current, key, values });
    }
    Ok(states)
}

/// Gives an app a new key and puts all its values under it, `batch` values per commit. If an older key is still in use,
/// the run that made the current one was interrupted: then that run is finished, and a new key is made only when `anew`
/// is set. `progress` gets the number of values done and the total.
///
/// # Errors
/// [`FlowFault`]; what was done stays done, and the next run goes on from there.
pub async fn rotate_data_key(
    flows: &Flows,
    by: &Operator,
    app: AppId,
    batch: u32,
    anew: bool,
    mut progress: impl FnMut(u64, u64),
) -> Result<Rotated, FlowFault> {
    let resumed = !anew && !older_keys(flows, app).await?.is_empty();
    let mut rotated = Rotated { resumed, ..Rotated::default() };
    let actor = Actor::operator(by, flows.app_of(app).await?);
    if !rotated.resumed {
        add_data_key(flows, &actor).await?;
    }
    let older = older_keys(flows, app).await?;
    let mut total = 0;
    for key in &older {
        total += flows.store().count_sealed(app, key.key_id).await?;
    }
    for key in older {
        empty_and_retire(flows, &actor, &key, batch, &mut rotated, &mut |done| {
            progress(done, total.max(done));
        })
        .await?;
    }
    Ok(rotated)
}

/// Lists the keys that are neither current nor wiped.
async fn older_keys(flows: &Flows, app: AppId) -> Result<Vec<StoredDataKey>, FlowFault> {
    let current = wrapped_key_id(&flows.app_of(app).await?.wrapped_key)?;
    let mut keys = flows.store().list_data_keys(app).await?;
    keys.retain(|key| key.wrapped.is_some() && key.key_id != current);
    Ok(keys)
}

/// Step 1. If another run made a key at this moment, that key is used.
async fn add_data_key(flows: &Flows, actor: &Actor) -> Result<(), FlowFault> {
    let (app, replaces) = (actor.app.id, actor.app.wrapped_key.clone());
    let fill = |buffer: &mut [u8]| flows.random().fill(buffer);
    let wrapped = flows.sealer().vault().new_data_key(&app.to_string(), &fill)?;
    let audit = data_key_entry(flows, actor, AuditKind::DataKeyAdded, &wrapped_key_id(&wrapped)?);
    let add = AddDataKey { app_id: app, wrapped, replaces, at: flows.now(), audit };
    let (Saved::Done | Saved::Moved) = flows.store().add_data_key(add).await?;
    Ok(())
}

fn data_key_entry(flows: &Flows, actor: &Actor, kind: AuditKind, key: &DataKeyId) -> AuditEntry {
    actor.entry(flows.now(), kind, serde_json::json!({ "data_key": hex(key) }))
}

/// Steps 2 and 3.
async fn empty_and_retire(
    flows: &Flows,
    actor: &Actor,
    stored: &StoredDataKey,
    batch: u32,
    rotated: &mut Rotated,
    progress: &mut impl FnMut(u64),
) -> Result<(), FlowFault> {
    let Some(wrapped) = &stored.wrapped else { return Ok(()) };
    let app = actor.app.id;
    let old = flows.sealer().vault().data_key(&app.to_string(), wrapped)?;
    for _ in 0..ROUNDS {
        // Another run may have made a newer key since, so read which one is current now.
        let new = flows.sealer().current_key(app).await?;
        let before = rotated.unreadable.len();
        for column in SealedColumn::ALL {
            rewrap_column(flows, app, *column, &old, &new, batch, rotated, progress).await?;
        }
        if rotated.unreadable.len() > before {
            return Ok(());
        }
        let audit = data_key_entry(flows, actor, AuditKind::DataKeyRetired, &stored.key_id);
        if flows.store().retire_data_key(app, stored.key_id, flows.now(), audit).await?.is_done() {
            rotated.retired += 1;
            return Ok(());
        }
        let state = flows.store().get_data_key(app, stored.key_id).await?;
        if state.is_none_or(|key| key.wrapped.is_none()) {
            // Another run has wiped the key.
            return Ok(());
        }
    }
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "one step of the loop above, split off so that both stay readable"
)]
async fn rewrap_column(
    flows: &Flows,
    app: AppId,
    column: SealedColumn,
    old: &DataKey,
    new: &DataKey,
    batch: u32,
    rotated: &mut Rotated,
    progress: &mut impl FnMut(u64),
) -> Result<(), FlowFault> {
    let mut after = String::new();
    loop {
        let values = flows.store().list_sealed(app, old.id(), column, &after, batch).await?;
        let Some(last) = values.last() else { return Ok(()) };
        after.clone_from(&last.row);
        let mut rewrapped = Vec::with_capacity(values.len());
        for value in values {
            let place = value.place(app);
            match flows.sealer().rewrap(old, new, &place, &value.sealed) {
                Ok(sealed) => rewrapped.push((value, sealed)),
                Err(error) => {
                    let what = place.to_string();
                    tracing::error!(value = what, %error, "a sealed value does not open under its own key");
                    rotated.unreadable.push(what);
                }
            }
        }
        rotated.rewrapped += flows.store().replace_sealed(app, rewrapped).await?;
        progress(rotated.rewrapped);
    }
}

/// Whether the database was last seen under the root key that is being replaced.
pub fn is_under_old_root_key(flows: &Flows) -> bool {
    flows.sealer().vault().is_under_other()
}

/// Puts every data key under the root key of `new`, and returns how many. From this moment on, servers that do not know
/// that root key fail, and report it on `/readyz`.
///
/// # Errors
/// [`RootKeyError`]; nothing was changed.
pub async fn replace_root_key(flows: &Flows, by: &Operator, new: &Vault) -> Result<u64, RootKeyError> {
    // If a data key is made at this moment, the whole commit fails and is tried again.
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let replace = under_root_of(flows, by, new).await?;
        let keys = replace.keys.len() as u64;
        if flows.store().replace_root_key(replace).await?.is_done() {
            return Ok(keys);
        }
    }
}

async fn under_root_of(flows: &Flows, by: &Operator, new: &Vault) -> Result<ReplaceRootKey, RootKeyError> {
    let old_check = flows.store().key_check().await?.ok_or(FlowFault::Broken("there is no key check"))?;
    if new.verify_key_check(&old_check).is_ok() {
        return Err(RootKeyError::Same);
    }
    let fill = |buffer: &mut [u8]| flows.random().fill(buffer);
    let (mut keys, mut audit) = (Vec::new(), Vec::new());
    for app in flows.store().list_apps().await? {
        let name = app.id.to_string();
        for key in flows.store().list_data_keys(app.id).await? {
            let Some(wrapped) = &key.wrapped else { continue };
            let again = flows.sealer().vault().rewrap_data_key(new, &name, wrapped, &fill)?;
            keys.push((key, again));
        }
        let actor = Actor::operator(by, app);
        audit.push(actor.entry(flows.now(), AuditKind::RootKeyReplaced, serde_json::json!({})));
    }
    Ok(ReplaceRootKey { old_check, new_check: new.key_check(&fill), keys, audit })
}
