//! The results of a session, in the wire's words.

use alter_api::connect::{Connection, ConnectionMetadata, ConnectionStatus, EventName, Operation};
use alter_core::ResultCode;
use alter_flows::Connected;
use secrecy::SecretString;

pub(in crate::routes) fn connection(made: &alter_core::Connection) -> Connection {
    let whole = made.missing_scopes.is_empty();
    let differs = !whole || !made.extra_scopes.is_empty();
    Connection {
        grant_id: made.grant_id.to_string(),
        provider: made.provider.clone(),
        provider_name: made.provider_name.clone(),
        account_identifier: made.account_identifier.clone(),
        timestamp: made.at.to_rfc3339(),
        operation: operation(made.operation),
        scopes: made.scopes.clone(),
        status: if whole { ConnectionStatus::Active } else { ConnectionStatus::Error },
        metadata: differs.then(|| ConnectionMetadata {
            extra_scopes: made.extra_scopes.clone(),
            missing_scopes: made.missing_scopes.clone(),
            result_code: None,
        }),
    }
}

/// A connection that waits for the app's backend, which confirms it with this code. What it will be (a new grant or an old one
/// again, with which scopes) is decided then.
pub(super) fn staged(waits: &alter_core::Staged, code: &ResultCode) -> Connection {
    let result_code = Some(SecretString::from(code.expose()).into());
    Connection {
        grant_id: String::new(),
        provider: waits.provider.clone(),
        provider_name: waits.provider_name.clone(),
        account_identifier: waits.account_identifier.clone(),
        timestamp: waits.at.to_rfc3339(),
        operation: Operation::Creation,
        scopes: Vec::new(),
        status: ConnectionStatus::Pending,
        metadata: Some(ConnectionMetadata { result_code, ..ConnectionMetadata::default() }),
    }
}

/// A connection as it is now.
pub(in crate::routes) fn connected(now: &Connected) -> Connection {
    let told = connection(&now.connection);
    if now.needs_reconnect { Connection { status: ConnectionStatus::Error, ..told } } else { told }
}

pub(in crate::routes) fn operation(operation: alter_core::Operation) -> Operation {
    match operation {
        alter_core::Operation::Creation => Operation::Creation,
        alter_core::Operation::Reauth => Operation::Reauth,
    }
}

pub(in crate::routes) fn event_name(name: alter_core::EventName) -> EventName {
    match name {
        alter_core::EventName::ProviderSelected => EventName::ProviderSelected,
        alter_core::EventName::OauthStarted => EventName::OauthStarted,
        alter_core::EventName::OauthComplete => EventName::OauthComplete,
    }
}
