//! The grant that an exchange, or the app's word about a staged connection, makes (steps 5 and 6 of
//! [`super::exchange`]): seals its tokens, compares its scopes with
//! what was asked, delegates it to the session's agent, and puts all of that in one command.

use alter_core::{
    Agent, AgentStop, Attempt, AttemptStatus, AuditEntry, AuditKind, CompleteConnect, Connection, Credential,
    CredentialPlace, Delegation, Facts, Grant, GrantId, GrantSecret, Holder, Level, Micros, Operation,
    ProviderConfig, Recipe, RefreshState, Session, StoreError, User, recipe::Fact, refresh::look_at,
};
use alter_oauth::{Identity, TokenSet};
use alter_vault::DataKey;
use secrecy::SecretString;

use super::{
    offer::agent_of,
    stop::{Stop, refused},
};
use crate::{Flows, facts::refresh_facts, fault::FlowFault, grants::list::owner};

/// The account's grant, if there is one.
pub(super) async fn known_grant(
    flows: &Flows,
    attempt: &Attempt,
    source: &Source<'_>,
) -> Result<Option<Grant>, StoreError> {
    let (provider, subject) = (&source.config.recipe.id, &source.identity.subject);
    flows.store().find_grant(attempt.app_id, source.session.principal(), provider, subject).await
}

/// Seals the tokens for the next generation of the account's grant, and returns the command to store. `known` is that grant,
/// if there is one.
///
/// # Errors
/// [`Stop::Fault`] whose [`FlowFault::is_overtaken`] is true when a key was replaced in between: begin again.
pub(super) async fn completion(
    flows: &Flows,
    attempt: &Attempt,
    source: &Source<'_>,
    known: Option<&Grant>,
    key: &DataKey,
    request_id: &str,
) -> Result<CompleteConnect, Stop> {
    let Source { session, config, tokens, .. } = *source;
    let agent = acting_agent(flows, session).await?;
    let now = flows.now();
    let refresh = keep_refresh_token(flows, known, tokens, key).await?;
    let user = owner(flows, attempt.app_id, session.principal()).await?;
    let holder = holder(source, attempt, user.as_ref(), known);
    let place = CredentialPlace {
        app: attempt.app_id,
        grant: known.map_or_else(|| GrantId::new(flows.random()), |grant| grant.id),
        generation: known.map_or(1, |grant| grant.credential.generation + 1),
        holder: holder.digest(),
    };
    let credential = flows.sealer().seal_tokens(key, place, tokens, refresh.as_ref(), source.received_at)?;
    let granted = tokens.granted(&config.recipe, &attempt.scopes);
    let scopes = ScopeResult::of(&config.recipe, &attempt.scopes, granted.as_deref());
    let scopes = match &attempt.brought.scopes {
        Some(brought) if tokens.scopes.is_none() => scopes.narrowed_to(&config.recipe, brought),
        _ => scopes,
    };
    let mut connection = connection(source, place, &scopes, now);
    let mut grant = grant(source, holder, known, credential, place, scopes, now);
    grant.metadata = metadata(tokens, attempt);
    grant.refresh_at = look_at(&grant.situation(&refresh_facts(&config.recipe)), now);
    let delegation = agent.as_ref().map(|agent| Delegation {
        grant_id: grant.id,
        agent_id: agent.id,
        // Only those that the consent page named, even if the provider granted more (T13).
        scopes: config.recipe.scope_names.shared(&grant.scopes, &attempt.scopes),
        created_at: now,
    });
    if let (Some(agent), Some(delegation)) = (&agent, &delegation) {
        connection.unanswered = to_ask(agent, &config.recipe, &grant, delegation);
    }
    let audit = entry(attempt, &grant, delegation.as_ref(), request_id);
    let from = if source.is_confirmed { AttemptStatus::Staged } else { AttemptStatus::Sent };
    let (attempt, sid) = (attempt.id, attempt.sid.clone());
    Ok(CompleteConnect { attempt, from, sid, grant, delegation, connection, audit, at: now })
}

/// Whose grant it is from now on, and what for.
fn holder<'a>(
    source: &Source<'a>,
    attempt: &'a Attempt,
    user: Option<&'a User>,
    known: Option<&'a Grant>,
) -> Holder<'a> {
    let Source { session, config, identity, .. } = *source;
    let label = session.data.label.as_deref();
    Holder {
        user,
        provider: &config.recipe.id,
        config_id: &config.config_id,
        subject: &identity.subject,
        account_identifier: &identity.account,
        account_verified: identity.account_verified,
        label: label.or_else(|| known?.label.as_deref()),
        filled: &attempt.filled,
    }
}

/// What the provider said beside the token, and what the browser brought. Of one name, the provider's word counts.
fn metadata(tokens: &TokenSet, attempt: &Attempt) -> Facts {
    let brought = attempt.brought.facts.iter();
    let brought = brought.map(|(name, value)| (name.clone(), Fact { value: value.clone(), verified: false }));
    brought.chain(tokens.facts.clone()).collect()
}

/// The account's grant as it is from now on: a new one, or the known one with another credential.
fn grant(
    source: &Source<'_>,
    holder: Holder<'_>,
    known: Option<&Grant>,
    credential: Credential,
    place: CredentialPlace,
    scopes: ScopeResult,
    now: Micros,
) -> Grant {
    let Source { session, identity, .. } = *source;
    let Holder { user: _, provider, config_id, subject, account_identifier, account_verified, label, filled } =
        holder;
    let (created_at, last_used_at) =
        known.map_or((now, None), |grant| (grant.created_at, grant.last_used_at));
    Grant {
        id: place.grant,
        app_id: place.app,
        principal: session.principal(),
        provider: provider.to_owned(),
        config_id: config_id.clone(),
        subject: subject.to_owned(),
        account_identifier: account_identifier.to_owned(),
        account_verified,
        account_display_name: identity.display_name.clone(),
        label: label.map(str::to_owned),
        scopes: scopes.granted,
        missing_scopes: scopes.missing,
        level: source.level(),
        signed_in: !source.is_confirmed && session.is_signed_in(),
        created_at,
        updated_at: now,
        last_used_at,
        refresh: RefreshState::default(),
        refresh_at: None,
        ends_at: None,
        filled: filled.clone(),
        metadata: Facts::new(),
        revoked: None,
        credential,
    }
}

/// What the app is told about the grant. The first generation is a creation, every other one a reconnection.
fn connection(source: &Source<'_>, place: CredentialPlace, scopes: &ScopeResult, now: Micros) -> Connection {
    let Source { config, identity, .. } = *source;
    Connection {
        grant_id: place.grant,
        provider: config.recipe.id.clone(),
        provider_name: config.recipe.name.clone(),
        account_identifier: identity.account.clone(),
        account_verified: identity.account_verified,
        at: now,
        operation: if place.generation == 1 { Operation::Creation } else { Operation::Reauth },
        scopes: scopes.shown(),
        missing_scopes: scopes.missing.clone(),
        extra_scopes: scopes.extra.clone(),
        unanswered: Vec::new(),
    }
}

fn entry(attempt: &Attempt, grant: &Grant, delegation: Option<&Delegation>, request_id: &str) -> AuditEntry {
    let mut details = serde_json::json!({ "provider": grant.provider, "level": grant.level.as_str() });
    if grant.signed_in {
        details["signed_in"] = true.into();
    }
    AuditEntry {
        grant_id: Some(grant.id),
        sid: Some(attempt.sid.clone()),
        user_id: grant.principal.user(),
        agent_id: delegation.map(|delegation| delegation.agent_id),
        request_id: Some(request_id.to_owned()),
        ..AuditEntry::new(attempt.app_id, grant.updated_at, AuditKind::GrantConnected, details)
    }
}

/// The scopes about which the user is asked once more. If the app's own limit of the agent excludes any, the answer would
/// change nothing, and nobody is asked.
fn to_ask(agent: &Agent, recipe: &Recipe, grant: &Grant, delegation: &Delegation) -> Vec<String> {
    let unapproved = recipe.unapproved_scopes(&grant.scopes, &delegation.scopes);
    let all = [&delegation.scopes[..], &unapproved].concat();
    let may = agent.may_use(&grant.provider, &recipe.scope_names, &all);
    if may.len() == all.len() { unapproved } else { Vec::new() }
}

/// The session's agent. If the agent was suspended or deleted while the user was at the provider, neither the agent nor
/// the app gets a grant: the user approved both together. The commit checks it again.
async fn acting_agent(flows: &Flows, session: &Session) -> Result<Option<Agent>, Stop> {
    let stopped = |stop: AgentStop| refused(stop.into(), "the session's agent was stopped in the meantime");
    agent_of(flows, session).await?.transpose().map_err(stopped)
}

/// Returns the refresh token to store. Some providers send one only at the first consent; then the old one is kept.
async fn keep_refresh_token(
    flows: &Flows,
    known: Option<&Grant>,
    tokens: &TokenSet,
    key: &DataKey,
) -> Result<Option<SecretString>, FlowFault> {
    let (Some(grant), None) = (known, &tokens.refresh_token) else {
        return Ok(tokens.refresh_token.clone());
    };
    let Some(sealed) = &grant.credential.refresh_token else { return Ok(None) };
    let place = grant.place(GrantSecret::RefreshToken, flows.holder(grant).await?);
    flows.sealer().open_token(key, &place, sealed).await.map(Some)
}

/// What a grant is made from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) session: &'a Session,
    pub(super) config: &'a ProviderConfig,
    pub(super) tokens: &'a TokenSet,
    pub(super) identity: &'a Identity,
    /// When the answer came; lifetimes count from then.
    pub(super) received_at: Micros,
    /// The app has confirmed that who consented is who started.
    pub(super) is_confirmed: bool,
}

impl Source<'_> {
    /// How well the connection is bound to its user.
    fn level(&self) -> Level {
        if self.is_confirmed {
            return Level::L3;
        }
        self.session.claim().map_or(Level::L0, |claim| claim.level)
    }

    /// Whether the app has the last word: at L3 always, and where the account's grant has it already or the flow is a link
    /// without proof and the grant is better, because no flow replaces what nobody doubts by what nobody has proven.
    pub(super) fn waits_for_app(&self, known: Option<&Grant>) -> bool {
        let better = known.is_some_and(|grant| match self.level() {
            Level::L0 => grant.level > Level::L0,
            _ => grant.level == Level::L3,
        });
        !self.is_confirmed && (self.session.is_confirmed_by_app() || better)
    }
}

/// The granted scopes compared with those asked for, as the provider means them (T27). A provider that names no scopes granted what was asked
/// (RFC 6749 section 5.1).
struct ScopeResult {
    granted: Vec<String>,
    missing: Vec<String>,
    extra: Vec<String>,
}

impl ScopeResult {
    fn of(recipe: &Recipe, asked: &[String], granted: Option<&[String]>) -> Self {
        let granted = granted.unwrap_or(asked).to_vec();
        let missing = recipe.missing_scopes(asked, &granted);
        let extra = recipe.scope_names.beyond(&granted, asked);
        Self { granted, missing, extra }
    }

    /// The same, where only the browser said what was granted. It can edit that: an asked-for scope that it does not name is
    /// shown as missing, and stays among those that the token may carry.
    fn narrowed_to(mut self, recipe: &Recipe, brought: &[String]) -> Self {
        self.missing = recipe.missing_scopes(&self.granted, brought);
        self
    }

    /// The granted scopes as people and programs are shown them ([`Grant::shown_scopes`]).
    fn shown(&self) -> Vec<String> {
        self.granted.iter().filter(|scope| !self.missing.contains(scope)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use alter_providers::Catalog;

    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    /// What is missing and what is extra at a provider of the catalog.
    fn compared(provider: &str, asked: &[&str], granted: &[&str]) -> (Vec<String>, Vec<String>) {
        let recipe = Catalog::builtin().get(provider).expect("in the catalog");
        let result = ScopeResult::of(recipe, &texts(asked), Some(&texts(granted)));
        (result.missing, result.extra)
    }

    #[test]
    fn t27_another_spelling_of_the_provider_is_neither_missing_nor_extra() {
        let graph = "https://graph.microsoft.com/User.Read";
        for (asked, granted) in [(graph, "User.Read"), ("User.Read", graph), ("user.read", "User.Read")] {
            assert_eq!(compared("microsoft", &[asked], &[granted]), (vec![], vec![]), "{asked} {granted}");
        }
        let long = [
            "https://www.googleapis.com/auth/userinfo.email",
            "https://www.googleapis.com/auth/userinfo.profile",
        ];
        assert_eq!(compared("google", &["email", "profile"], &long), (vec![], vec![]));
        assert_eq!(compared("google", &long, &["profile", "email"]), (vec![], vec![]));
        assert_eq!(compared("google", &["email"], &["Email"]), (texts(&["email"]), texts(&["Email"])));
    }

    #[test]
    fn t27_what_a_granted_scope_implies_is_not_missing_and_the_granted_one_is_extra() {
        let found = compared("github", &["public_repo", "read:user", "user:email"], &["repo", "user"]);
        assert_eq!(found, (vec![], texts(&["repo", "user"])));
        assert_eq!(compared("github", &["user", "gist", "user:email"], &["gist", "user"]), (vec![], vec![]));
        assert_eq!(
            compared("shopify", &["read_products", "write_products"], &["write_products"]),
            (vec![], vec![])
        );
        assert_eq!(compared("github", &["repo"], &["public_repo"]).0, ["repo"], "not the other way round");
    }

    #[test]
    fn t27_missing_and_extra_scopes_are_told_apart() {
        let recipe = Catalog::builtin().get("notion").expect("in the catalog");
        let result =
            ScopeResult::of(recipe, &texts(&["a", "b", "offline_access"]), Some(&texts(&["b", "c"])));
        assert_eq!(
            (result.granted, result.missing, result.extra),
            (texts(&["b", "c"]), texts(&["a"]), texts(&["c"]))
        );
        let brought = ScopeResult::of(recipe, &texts(&["a", "b"]), None);
        let brought = brought.narrowed_to(recipe, &texts(&["a", "evil"]));
        assert_eq!(brought.shown(), texts(&["a"]));
        assert_eq!(
            (brought.granted, brought.missing, brought.extra),
            (texts(&["a", "b"]), texts(&["b"]), vec![])
        );
        let silent = ScopeResult::of(recipe, &texts(&["a"]), None);
        assert_eq!((silent.granted, silent.missing, silent.extra), (texts(&["a"]), vec![], vec![]));
    }
}
