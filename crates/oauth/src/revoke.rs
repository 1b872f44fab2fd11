//! Ending a grant at the provider (RFC 7009).

use alter_core::Recipe;
use alter_egress::{Egress, EgressError};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{Client, exchange::client_request};

/// Why the provider did not confirm. No text carries a token or a secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RevokeError {
    /// The recipe names no way to revoke.
    #[error("the provider offers no revocation")]
    NotOffered,
    /// It answered with another status than 200.
    #[error("the revocation endpoint answered {0}")]
    Status(u16),
    /// There was no whole answer.
    #[error(transparent)]
    Egress(#[from] EgressError),
}

/// Whether a recipe names a way to revoke.
pub fn offers_revocation(recipe: &Recipe) -> bool {
    recipe.revoke_url.is_some()
}

/// Asks the provider to end what the token stands for. 200 says that it is over, for a token that it does not know too
/// (RFC 7009 section 2.2): asking again is harmless.
///
/// # Errors
/// [`RevokeError`]; all but [`RevokeError::NotOffered`] may pass when asked again later.
pub async fn revoke(
    egress: &Egress,
    recipe: &Recipe,
    client: &Client<'_>,
    token: &SecretString,
    is_refresh_token: bool,
) -> Result<(), RevokeError> {
    let url = recipe.revoke_url.as_deref().and_then(|url| Url::parse(url).ok());
    let url = url.ok_or(RevokeError::NotOffered)?;
    let hint = if is_refresh_token { "refresh_token" } else { "access_token" };
    let fields = vec![("token", token.expose_secret()), ("token_type_hint", hint)];
    let response = egress.send(client_request(recipe, client, url, fields)).await?;
    match response.status {
        StatusCode::OK => Ok(()),
        // Some answer so (Google) where the RFC wants 200: the token is over already, which is what was asked for.
        StatusCode::BAD_REQUEST if says_invalid_token(&response.body) => Ok(()),
        other => Err(RevokeError::Status(other.as_u16())),
    }
}

fn says_invalid_token(body: &[u8]) -> bool {
    let answer = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    answer["error"] == "invalid_token"
}
