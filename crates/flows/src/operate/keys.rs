//! An app's own API keys: made and revoked by the operator.

use super::error::OperateError;
use alter_core::NewKey;
use alter_core::{AppId, KeyType};

use crate::Flows;

/// Creates a key.
///
/// # Errors
/// [`OperateError`].
pub async fn create_key(flows: &Flows, app: AppId, name: &str) -> Result<NewKey, OperateError> {
    if flows.store().get_app(app).await?.is_none() {
        return Err(OperateError::NoSuchApp(app));
    }
    let new = NewKey::mint(KeyType::App, (app, None), name, flows.now(), flows.random());
    flows.store().insert_key(new.key.clone()).await?;
    Ok(new)
}
