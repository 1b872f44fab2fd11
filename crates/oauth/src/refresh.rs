//! Refreshing tokens (RFC 6749 section 6): the request, and the one place where a failure is judged.

use alter_core::{
    Cause, Recipe,
    refresh::{Outcome, Trouble},
};
use alter_egress::Egress;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Client, ExchangeError, RawAnswer, TokenRefused, TokenSet, parse_token_answer,
    token_request::{send, token_request},
};

/// The code by which RFC 6749 section 5.2 refuses a refresh token.
const REFUSED: &str = "invalid_grant";

/// Sends the refresh token. `scope` is left out, so that the scopes stay what they are.
///
/// Dropping the future may lose tokens that the provider has issued, so run it in a separate task.
///
/// # Errors
/// [`ExchangeError`].
pub async fn refresh(
    egress: &Egress,
    recipe: &Recipe,
    client: &Client<'_>,
    refresh_token: &SecretString,
) -> Result<RawAnswer, ExchangeError> {
    let fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
    let url = recipe.refresh.url.as_ref().unwrap_or(&recipe.token_url);
    send(egress, token_request(recipe, url, client, fields)?).await
}

/// Judges a request that brought no answer. Returns the outcome, and a text for the log.
pub fn judge_silence(error: &ExchangeError) -> Outcome {
    let trouble = match error.cause() {
        Cause::ProviderMisconfigured => Trouble::Client,
        Cause::ServerFault => Trouble::Us,
        _ if error.maybe_sent() => return Outcome::Unknown,
        _ => Trouble::Provider,
    };
    Outcome::Failed { trouble, retry_after: None }
}

/// Reads an answer. The refresh token is taken for refused only by a code that says so: `invalid_grant`, or one that the
/// recipe names. A refused client is the operator's affair. Everything else may pass.
///
/// # Errors
/// The outcome of the attempt.
pub fn judge_answer(recipe: &Recipe, answer: &RawAnswer) -> Result<TokenSet, Outcome> {
    let refused = match parse_token_answer(recipe, answer) {
        Ok(tokens) => return Ok(tokens),
        Err(refused) => refused,
    };
    let trouble = match refused {
        TokenRefused::Provider(cause) => match cause {
            Cause::ClientRefused(code) | Cause::CodeRefused(code) | Cause::ProviderRefused(code)
                if says_refused(recipe, code.as_str()) =>
            {
                return Err(Outcome::Refused(code));
            }
            Cause::ClientRefused(_) => Trouble::Client,
            _ => Trouble::Provider,
        },
        TokenRefused::Status { .. }
        | TokenRefused::NotUnderstood { .. }
        | TokenRefused::ServerError { .. } => Trouble::Provider,
    };
    Err(Outcome::Failed { trouble, retry_after: answer.retry_after })
}

fn says_refused(recipe: &Recipe, code: &str) -> bool {
    code == REFUSED || recipe.refresh.refused.iter().any(|known| known == code)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recipe() -> Recipe {
        serde_json::from_value(json!({
            "id": "a", "name": "A", "authorize_url": "https://a.example/a", "token_url": "https://a.example/t",
            "token": { "ok": "/ok" }, "refresh": { "refused": ["bad_refresh_token"] },
        }))
        .expect("a recipe")
    }

    fn judged(status: u16, body: &str) -> Outcome {
        judge_answer(&recipe(), &RawAnswer::new(status, "application/json", body.as_bytes()))
            .expect_err("the answer has no tokens")
    }

    fn failed(trouble: Trouble) -> Outcome {
        Outcome::Failed { trouble, retry_after: None }
    }

    #[test]
    fn f43_only_a_code_that_says_so_takes_the_refresh_token_for_dead() {
        for (status, body) in [
            (400, r#"{"error":"invalid_grant"}"#),
            (200, r#"{"error":"invalid_grant"}"#),
            (401, r#"{"error":"invalid_grant","error_description":"x"}"#),
            (200, r#"{"ok":false,"error":"bad_refresh_token"}"#),
        ] {
            assert!(matches!(judged(status, body), Outcome::Refused(_)), "{status} {body}");
        }
        for (status, body) in [
            (500, r#"{"error":"invalid_grant"}"#),
            (429, r#"{"error":"invalid_grant"}"#),
            (400, r#"{"error":"invalid_request"}"#),
            (400, r#"{"error":"temporarily_unavailable"}"#),
            (400, "{}"),
            (401, ""),
            (403, "<html>invalid_grant</html>"),
            (200, "<html>invalid_grant</html>"),
            (200, r#"{"ok":false}"#),
            (302, ""),
        ] {
            assert_eq!(judged(status, body), failed(Trouble::Provider), "{status} {body}");
        }
    }

    #[test]
    fn f44_a_refused_client_is_the_operators_affair() {
        for code in ["invalid_client", "unauthorized_client", "incorrect_client_credentials"] {
            let body = json!({ "error": code }).to_string();
            assert_eq!(judged(401, &body), failed(Trouble::Client), "{code}");
            assert_eq!(judged(400, &body), failed(Trouble::Client), "{code}");
        }
    }
}
