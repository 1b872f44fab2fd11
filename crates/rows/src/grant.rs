//! Grants, with their credentials and how they were revoked.

use alter_core::{Credential, Grant, RefreshState, RevokedGrant, StoreError};

use crate::{
    Columns, Noun, Value,
    noun::{List, Names, columns, next},
};

/// The columns that identify a grant.
pub const IDENTITY: List = &["id", "app_id", "principal", "provider", "subject"];

/// The columns that keep their values when the same account is connected again.
pub const KEPT: List = &["id", "app_id", "principal", "provider", "subject", "created_at"];

columns! {
    Grant {
        id, app_id, principal, provider, config_id, subject, account_identifier, account_verified,
        account_display_name, label, scopes, missing_scopes, level, signed_in, created_at, updated_at, refresh, refresh_at, ends_at,
        filled, metadata,
    }
    changed { last_used_at }
    parts { revoked: Option<RevokedGrant>, credential: Credential }
    found_by { reconnect: |grant| reconnect(&grant.refresh) }
}

/// The column by which grants that only their user can help are counted.
fn reconnect(state: &RefreshState) -> Result<Value<'static>, StoreError> {
    Ok(match &state.verdict {
        Some(verdict) => Value::word(verdict.reason.as_str()),
        None => Value::Text(None),
    })
}

columns! {
    Credential {
        generation, token_type, issued_at as "credential_issued_at", expires_at as "credential_expires_at", access_token,
        refresh_token, id_token,
    }
}

/// A new grant is not revoked, so none of these columns is written with it.
impl Noun for Option<RevokedGrant> {
    const COLUMNS: List = &["revoked_at", "revoked_reason", "revocation"];
    const WRITTEN: List = &[];

    fn read_as(row: &dyn Columns, names: &mut Names) -> Result<Self, StoreError> {
        let (at, reason, outcome): (_, _, Option<_>) =
            (next(row, names)?, next(row, names)?, next(row, names)?);
        let Some(at) = at else { return Ok(None) };
        let outcome = outcome.ok_or(StoreError::Corrupt("revocation"))?;
        Ok(Some(RevokedGrant { at, reason, outcome }))
    }

    fn write<'a>(&'a self, _values: &mut Vec<Value<'a>>) -> Result<(), StoreError> {
        Ok(())
    }
}
