//! Whose account was connected (step 4 of [`super::exchange`]): read from the verified id_token, or from userinfo where
//! the recipe needs it.

use std::time::Duration;

use alter_core::{
    Attempt, Cause, Filled, IdentitySource, Micros, ProviderConfig, Session, UserinfoMethod,
    grant::customers_subject,
};
use alter_oauth::{Client, IdTokenRefused, Identity, Need, TokenSet, UserinfoError};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::stop::{Stop, refused};
use crate::Flows;

/// Pauses before asking userinfo again: the code is spent, so after a hiccup here the user would have to consent anew.
const USERINFO_PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1000)];

/// Until when userinfo is asked once more: whoever waits is told within a minute.
const USERINFO_PATIENCE: Duration = Duration::from_secs(25);

/// How long a user waits for a better name of an account that is already proven.
const NAME_PATIENCE: Duration = Duration::from_secs(5);

/// Pauses before fetching the provider's keys again, for the same reason.
const KEYS_PAUSES: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(1000), Duration::from_millis(3000)];

/// Until when the keys are asked for once more. One fetch may take 30 s: whoever waits is told within a minute.
const KEYS_PATIENCE: Duration = Duration::from_secs(25);

pub(super) async fn read_identity(
    flows: &Flows,
    attempt: &Attempt,
    session: &Session,
    config: &ProviderConfig,
    tokens: &TokenSet,
    received_at: Micros,
) -> Result<Identity, Stop> {
    let recipe = &config.recipe;
    if recipe.identity.from == IdentitySource::None {
        return Ok(untold(attempt, session, config));
    }
    let asked_openid = recipe.asks_for_openid(&attempt.scopes);
    let claims = match &tokens.id_token {
        Some(id_token) if asked_openid && recipe.jwks_url.is_some() => {
            let verified = IdToken { flows, attempt, config, tokens, id_token, received_at }.verify().await;
            Some(verified.map_err(|error| refused(error.cause(), error))?)
        }
        _ if asked_openid && recipe.jwks_url.is_some() => {
            return Err(refused(Cause::IdTokenMissing, "openid was asked for and no id_token came"));
        }
        _ => None,
    };
    let userinfo = match alter_oauth::needs_userinfo(recipe, claims.as_ref()) {
        Need::Nothing => None,
        Need::Name => Userinfo::of(flows, config, tokens).await?.ask_for_name().await,
        Need::Account => Some(Userinfo::of(flows, config, tokens).await?.ask_patiently().await?),
    };
    let identity = alter_oauth::identity(recipe, claims.as_ref(), userinfo.as_ref(), tokens)
        .map_err(|e| refused(Cause::IdentityUnreadable, e))?;
    Ok(within_customer(identity, &attempt.filled))
}

/// An account of which the provider tells nothing: each attempt makes a grant of its own. The app knows it by its label.
fn untold(attempt: &Attempt, session: &Session, config: &ProviderConfig) -> Identity {
    let label = session.data.label.as_ref().unwrap_or(&config.recipe.name);
    Identity {
        subject: attempt.id.to_string(),
        account: label.clone(),
        account_verified: false,
        display_name: None,
    }
}

/// An account at one customer's host. Two customers may have accounts of the same id, and each vouches for what it likes:
/// whose name it is, only the provider itself could say.
fn within_customer(identity: Identity, filled: &Filled) -> Identity {
    if filled.is_empty() {
        return identity;
    }
    let subject = customers_subject(&identity.subject, filled);
    Identity { subject, account_verified: false, ..identity }
}

/// An id_token that came with the tokens.
struct IdToken<'a> {
    flows: &'a Flows,
    attempt: &'a Attempt,
    config: &'a ProviderConfig,
    tokens: &'a TokenSet,
    id_token: &'a SecretString,
    received_at: Micros,
}

impl IdToken<'_> {
    /// Verifies it. When the keys cannot be fetched, the id_token may still be good: they are asked for again.
    async fn verify(&self) -> Result<Value, IdTokenRefused> {
        let from = Instant::now();
        for pause in KEYS_PAUSES {
            match self.try_verify().await {
                Err(error) if error.cause() == Cause::KeysUnreachable && from.elapsed() < KEYS_PATIENCE => {
                    tracing::warn!(provider = self.config.recipe.id, %error, "asking for the keys again");
                }
                verdict => return verdict,
            }
            sleep(pause).await;
        }
        self.try_verify().await
    }

    async fn try_verify(&self) -> Result<Value, IdTokenRefused> {
        let Self { flows, attempt, config, tokens, id_token, received_at } = *self;
        let verifying = flows.inner.jwks.of(config.app_id).verify_id_token(
            &flows.inner.egress,
            &config.recipe,
            id_token,
            &config.client_id,
            &attempt.nonce,
            Some(&tokens.access_token),
            received_at,
            flows.now(),
        );
        verifying.await
    }
}

/// The provider's userinfo, to be asked with the tokens that came.
struct Userinfo<'a> {
    flows: &'a Flows,
    config: &'a ProviderConfig,
    tokens: &'a TokenSet,
    /// Our client's secret, where the provider answers only its client.
    secret: Option<SecretString>,
}

impl<'a> Userinfo<'a> {
    async fn of(flows: &'a Flows, config: &'a ProviderConfig, tokens: &'a TokenSet) -> Result<Self, Stop> {
        let secret = match config.recipe.userinfo.method {
            UserinfoMethod::Get | UserinfoMethod::Post => None,
            UserinfoMethod::Introspect => {
                let key = flows.sealer().current_key(config.app_id).await?;
                flows.sealer().client_secret(&key, config).await?
            }
        };
        Ok(Self { flows, config, tokens, secret })
    }

    async fn ask(&self) -> Result<Value, UserinfoError> {
        let (egress, recipe, tokens) = (&self.flows.inner.egress, &self.config.recipe, self.tokens);
        match recipe.userinfo.method {
            UserinfoMethod::Get | UserinfoMethod::Post => {
                let client = &self.config.client_id;
                alter_oauth::userinfo(egress, recipe, client, &tokens.access_token, &tokens.token_type).await
            }
            UserinfoMethod::Introspect => {
                let client = Client { id: &self.config.client_id, secret: self.secret.as_ref() };
                alter_oauth::introspect(egress, recipe, &client, &tokens.access_token).await
            }
        }
    }

    /// Asks for what the account is called. An account that is proven needs no name: some endpoints refuse the token, sign
    /// their answer, or hang.
    async fn ask_for_name(&self) -> Option<Value> {
        let why = match timeout(NAME_PATIENCE, self.ask()).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", NAME_PATIENCE.as_secs()),
        };
        tracing::warn!(
            provider = self.config.recipe.id,
            why,
            "userinfo failed; the account is the id_token's subject"
        );
        None
    }

    /// Asks whose account it is; after a hiccup, again.
    async fn ask_patiently(&self) -> Result<Value, Stop> {
        let from = Instant::now();
        let mut pauses = USERINFO_PAUSES.into_iter();
        loop {
            let error = match self.ask().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let usual = pauses.next().filter(|_| !error.cause().is_final());
            let pause = usual.and_then(|usual| pause_before_asking(&error, usual, from.elapsed()));
            let Some(pause) = pause else { return Err(refused(error.cause(), error)) };
            tracing::warn!(provider = self.config.recipe.id, %error, ?pause, "userinfo failed, asking again");
            sleep(pause).await;
        }
    }
}

/// How long to wait before userinfo is asked again: as long as the provider says. `None`: longer than anybody waits.
fn pause_before_asking(error: &UserinfoError, usual: Duration, waited: Duration) -> Option<Duration> {
    let wanted = error.retry_after().map_or(usual, |seconds| usual.max(Duration::from_secs(seconds.into())));
    (waited + wanted <= USERINFO_PATIENCE).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_asks_for_patience_is_not_asked_before_and_one_that_asks_for_too_much_not_again() {
        let usual = Duration::from_millis(300);
        let busy = |retry_after| UserinfoError::Status { status: 429, retry_after };
        let pause = |retry_after, waited| {
            pause_before_asking(&busy(retry_after), usual, Duration::from_secs(waited)).map(|p| p.as_millis())
        };
        assert_eq!(pause(None, 0), Some(300));
        assert_eq!(pause(Some(0), 0), Some(300));
        assert_eq!(pause(Some(7), 0), Some(7000));
        assert_eq!(pause(Some(20), 6), None, "whoever waits is told within a minute");
        assert_eq!(pause(Some(3600), 0), None);
        assert_eq!(pause(Some(u32::MAX), 0), None);
    }

    #[test]
    fn accounts_of_one_id_at_two_customers_are_two_and_no_customer_vouches_for_a_name() {
        let identity = Identity {
            subject: "7".into(),
            account: "ann@example.com".into(),
            account_verified: true,
            display_name: None,
        };
        let at = |customer: &str| {
            within_customer(identity.clone(), &[("subdomain".to_owned(), customer.to_owned())].into())
        };
        assert_eq!((at("acme").subject, at("evil").subject), ("acme/7".into(), "evil/7".into()));
        assert!(!at("evil").account_verified);
        assert_eq!(within_customer(identity.clone(), &Filled::new()), identity);
    }
}
