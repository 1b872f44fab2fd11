//! The names by which people know the two sides of a flow: a message for them has no ids.

use alter_core::{Failure, Session, StoreError};

use crate::Flows;

/// What people call them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub app: String,
    /// The provider that a failure is about, if it is about one. Its id, when the operator has removed it.
    pub provider: Option<String>,
}

impl Names {
    pub(super) async fn of(
        flows: &Flows,
        session: &Session,
        failure: Option<&Failure>,
    ) -> Result<Self, StoreError> {
        let app = flows.app_of(session.app_id).await?.settings.name;
        let Some(id) = failure.and_then(|failure| failure.provider.as_deref()) else {
            return Ok(Self { app, provider: None });
        };
        let config = flows.store().find_provider(session.app_id, id).await?;
        let provider = config.map_or_else(|| id.to_owned(), |config| config.recipe.name.clone());
        Ok(Self { app, provider: Some(provider) })
    }
}
