//! What a session offers at this moment: the app, its providers and the agent as they are now. The operator or the app may
//! change any of them while a consent page is open.

use alter_core::{
    Agent, AgentStop, App, Cause, Connection, Failure, ProviderConfig, Recipe, Session, SessionId,
    StoreError, recipe::Parameter, secret,
};
use alter_providers::Catalog;

use crate::Flows;

/// What a session offers.
#[derive(Debug)]
pub struct Offer {
    pub app: App,
    /// The configurations of the session's providers, in the session's order.
    pub providers: Vec<ProviderConfig>,
    /// The session's agent; `None` = the session has none.
    pub agent: Option<Result<Agent, AgentStop>>,
}

impl Offer {
    pub(super) async fn read(flows: &Flows, session: &Session) -> Result<Self, StoreError> {
        let app = flows.app_of(session.app_id).await?;
        let configured = flows.providers(app.id).await?;
        let find = |id: &String| configured.iter().find(|c| c.recipe.id == *id).cloned();
        let providers = session.data.providers.iter().filter_map(find).collect();
        Ok(Self { app, providers, agent: agent_of(flows, session).await? })
    }

    /// A provider's configuration, if it is still there.
    pub fn provider(&self, id: &str) -> Option<&ProviderConfig> {
        self.providers.iter().find(|c| c.recipe.id == id)
    }

    /// The catalog's recipe for the app's identity provider, where it is known to let nobody sign in inside another app.
    pub fn idp_refusing_webviews(&self) -> Option<&'static Recipe> {
        let idp = self.app.settings.identity_provider.as_ref()?;
        let known = |recipe: &&Recipe| recipe.refuses_webviews && recipe.issuer.as_ref() == Some(&idp.issuer);
        Catalog::builtin().iter().find(known)
    }

    /// The placeholders of a provider's hosts that nobody has filled for this session.
    pub fn open_parameters(&self, session: &Session, provider: &str) -> Vec<(&str, &Parameter)> {
        let filled = session.data.filled_for(provider);
        let all = self.provider(provider).into_iter().flat_map(|config| &config.recipe.parameters);
        all.filter(|(name, _)| !filled.contains_key(*name))
            .map(|(name, open)| (name.as_str(), open))
            .collect()
    }

    /// The name of the session's agent that people are shown: the current one, or that of the mint when the agent is gone.
    pub fn agent_name<'a>(&'a self, session: &'a Session) -> Option<&'a str> {
        match &self.agent {
            Some(Ok(agent)) => Some(agent.shown_name()),
            _ => session.data.agent.as_ref().map(|agent| agent.name.as_str()),
        }
    }

    /// Why nothing can be connected with a provider, however often the user approves.
    pub(super) fn stop(&self, provider: &str) -> Option<Failure> {
        let cause = match &self.agent {
            Some(Err(stop)) => (*stop).into(),
            _ if self.provider(provider).is_none() => Cause::ProviderNotConfigured,
            _ => return None,
        };
        Some(Failure { cause, provider: Some(provider.to_owned()), request_id: None, said: None })
    }

    /// A hash of all that the consent page of a provider shows and that its approval leads to. The page carries it, and its
    /// approval brings it back: what has changed since is not approved.
    pub(super) fn shown(&self, session: &Session, provider: &str) -> Option<String> {
        let config = self.provider(provider)?;
        let agent = self.agent.as_ref().and_then(|agent| agent.as_ref().ok()).map(|agent| {
            (
                agent.id.to_string(),
                agent.shown_name(),
                agent.may_use(provider, &config.recipe.scope_names, &config.scopes),
            )
        });
        let shown = serde_json::json!({
            "sid": session.sid.as_str(),
            "app": self.app.settings.name,
            "user": session.data.user.as_ref().map(|user| &user.label),
            "agent": agent,
            "config": config.config_id.as_str(),
            "recipe": *config.recipe,
            "client": config.client_id,
            "scopes": config.scopes,
            "customer": session.data.filled_for(provider),
        });
        Some(hashed(&shown))
    }
}

impl Offer {
    /// A hash of all that the question about a connection's extra scopes shows and that its answer leads to; `None` when no
    /// agent can use them. The page carries the hash, and the answer brings it back.
    pub fn shown_extra(&self, session: &Session, connection: &Connection) -> Option<String> {
        let agent = self.agent.as_ref()?.as_ref().ok()?;
        let config = self.provider(&connection.provider);
        let words = |scope: &String| config.and_then(|c| c.recipe.scope_words(scope).map(str::to_owned));
        let shown = serde_json::json!({
            "question": "extra",
            "sid": session.sid.as_str(),
            "app": self.app.settings.name,
            "agent": (agent.id.to_string(), agent.shown_name()),
            "grant": connection.grant_id.to_string(),
            "provider": (&connection.provider, &connection.provider_name),
            "account": connection.account_identifier,
            "scopes": connection.unanswered.iter().map(|scope| (scope, words(scope))).collect::<Vec<_>>(),
        });
        Some(hashed(&shown))
    }
}

fn hashed(shown: &serde_json::Value) -> String {
    secret::base64url(&secret::sha256(shown.to_string().as_bytes()))
}

/// The session's agent as it is now; `None` = the session has none.
pub(super) async fn agent_of(
    flows: &Flows,
    session: &Session,
) -> Result<Option<Result<Agent, AgentStop>>, StoreError> {
    let Some(agent) = &session.data.agent else { return Ok(None) };
    let found = flows.store().get_agent(session.app_id, agent.id).await?;
    Ok(Some(Agent::active(found)))
}

pub(super) fn log_stopped(sid: &SessionId, failure: &Failure) {
    let Failure { cause, provider, .. } = failure;
    tracing::warn!(%sid, provider, %cause, "nothing can be connected");
}
