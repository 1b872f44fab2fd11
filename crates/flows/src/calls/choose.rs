//! Which grant a call means (wire 3.3): by id, or by provider and user; of an agent, among what was delegated to it.
//!
//! 1. Who the user is, when a token came.
//! 2. The grant by id, or the only active one that fits; several are told apart by `account` and `label`.
//! 3. An agent needs a live delegation.
//!
//! Nothing here tells an unknown grant from another app's or another user's (T72).

use alter_core::{AgentId, Delegation, Grant, GrantFilter, GrantId, GrantStatus, Principal, User, UserId};
use secrecy::SecretString;

use crate::callers::user_token::known_user;
use crate::{Caller, Flows, UserTokenError, call::ours, fault::FlowFault};

/// Candidates that an ambiguous choice names at most.
const CANDIDATES: usize = 10;

/// How a call names a grant.
#[derive(Debug, Clone, Copy)]
pub enum GrantChoice<'a> {
    /// By id.
    Id(GrantId),
    /// The only active one that fits.
    Provider {
        /// Provider id.
        provider: &'a str,
        /// `account_identifier`, to the byte.
        account: Option<&'a str>,
        /// `label`, to the byte.
        label: Option<&'a str>,
    },
}

impl GrantChoice<'_> {
    fn provider(&self) -> Option<String> {
        match self {
            Self::Id(_) => None,
            Self::Provider { provider, .. } => Some((*provider).to_owned()),
        }
    }
}

/// Whom a call concerns, once its user token is verified.
#[derive(Debug)]
pub(crate) enum Whose {
    /// No token came.
    Unsaid,
    /// This user.
    User(User),
    /// A user for whom nothing was ever minted.
    Stranger,
}

/// The grant that a call means.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) grant: Grant,
    /// Of an agent.
    pub(crate) delegation: Option<Delegation>,
}

/// Several grants fit.
#[derive(Debug)]
pub struct Ambiguous {
    /// Provider id.
    pub provider: String,
    /// The first of them, newest first.
    pub candidates: Vec<Candidate>,
    /// There are more.
    pub truncated: bool,
    /// The call gave an `account`.
    pub account_was_provided: bool,
    /// Whose they are, where they are users'.
    pub users: Vec<UserId>,
}

/// A grant that fits.
#[derive(Debug)]
pub struct Candidate {
    /// Its id.
    pub grant_id: GrantId,
    /// What the app calls it.
    pub label: Option<String>,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// A name to show.
    pub account_display_name: Option<String>,
}

/// Why no grant was chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// The app, or the user, has no such grant.
    #[error("there is no such grant")]
    NotFound {
        /// As asked.
        provider: Option<String>,
    },
    /// Nothing that fits was delegated to the agent.
    #[error("nothing that fits was delegated to the agent")]
    NoDelegation {
        /// The agent.
        agent: AgentId,
        /// As asked.
        provider: Option<String>,
    },
    /// It was revoked.
    #[error("the grant was revoked")]
    Revoked(GrantId),
    /// Several fit.
    #[error("several grants fit")]
    Ambiguous(Box<Ambiguous>),
    /// The app demands the user's token for a user's grant (S12).
    #[error("the app demands a user token for this grant")]
    UserTokenRequired,
    /// A user token came, and the grant is the app's own.
    #[error("the grant is the app's own, and a user token came")]
    NotAUsers(GrantId),
    /// About the token.
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// Ours.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { ChoiceError: User; }

/// Step 1.
pub(crate) async fn whose(
    flows: &Flows,
    caller: &Caller,
    token: Option<&SecretString>,
) -> Result<Whose, UserTokenError> {
    let Some(token) = token else { return Ok(Whose::Unsaid) };
    Ok(known_user(flows, &caller.app, token).await?.map_or(Whose::Stranger, Whose::User))
}

/// Steps 2 and 3.
pub(crate) async fn choose(
    flows: &Flows,
    caller: &Caller,
    whose: &Whose,
    choice: &GrantChoice<'_>,
) -> Result<Chosen, ChoiceError> {
    let nothing = || match &caller.agent {
        Some(agent) => ChoiceError::NoDelegation { agent: agent.id, provider: choice.provider() },
        None => ChoiceError::NotFound { provider: choice.provider() },
    };
    match (whose, choice) {
        (Whose::Stranger, GrantChoice::Provider { .. }) => Err(nothing()),
        (_, GrantChoice::Id(id)) => by_id(flows, caller, whose, *id).await?.ok_or_else(nothing),
        (_, GrantChoice::Provider { provider, account, label }) => {
            let filter = filter(caller, whose, provider, *account, *label);
            only_one(flows, caller, &filter).await?.ok_or_else(nothing)
        }
    }
}

async fn by_id(
    flows: &Flows,
    caller: &Caller,
    whose: &Whose,
    id: GrantId,
) -> Result<Option<Chosen>, ChoiceError> {
    let app = caller.app.id;
    let Some(grant) = flows.store().get_grant(app, id).await? else { return Ok(None) };
    let delegation = match &caller.agent {
        Some(agent) => match flows.store().find_delegation(app, id, agent.id).await? {
            Some(delegation) => Some(delegation),
            None => return Ok(None),
        },
        None => None,
    };
    match (whose, grant.principal) {
        (Whose::User(user), Principal::User(owner)) if user.id != owner => return Ok(None),
        (Whose::Stranger, Principal::User(_)) => return Ok(None),
        (Whose::User(_) | Whose::Stranger, Principal::App) => return Err(ChoiceError::NotAUsers(id)),
        // An agent acts by what its user delegated; the setting is about the app's own background work (S12).
        (Whose::Unsaid, Principal::User(_))
            if caller.agent.is_none() && caller.app.settings.require_user_token =>
        {
            return Err(ChoiceError::UserTokenRequired);
        }
        _ => {}
    }
    match grant.revoked {
        None => Ok(Some(Chosen { grant, delegation })),
        Some(_) => Err(ChoiceError::Revoked(id)),
    }
}

/// An app that names no user means its own grants; an agent means whatever was delegated to it.
fn filter(
    caller: &Caller,
    whose: &Whose,
    provider: &str,
    account: Option<&str>,
    label: Option<&str>,
) -> GrantFilter {
    let principal = match (whose, &caller.agent) {
        (Whose::User(user), _) => Some(Principal::User(user.id)),
        (_, None) => Some(Principal::App),
        (_, Some(_)) => None,
    };
    GrantFilter {
        principal,
        agent: caller.agent.as_ref().map(|agent| agent.id),
        provider: Some(provider.to_owned()),
        status: Some(GrantStatus::Active),
        account: account.map(str::to_owned),
        label: label.map(str::to_owned),
    }
}

async fn only_one(
    flows: &Flows,
    caller: &Caller,
    filter: &GrantFilter,
) -> Result<Option<Chosen>, ChoiceError> {
    let limit = CANDIDATES as u32 + 1;
    let mut found = flows.store().list_grants(caller.app.id, filter, limit, 0).await?;
    if found.len() < 2 {
        let only = found.pop();
        return Ok(only.map(|only| Chosen { grant: only.grant, delegation: only.delegation }));
    }
    let truncated = found.len() > CANDIDATES;
    found.truncate(CANDIDATES);
    let mut users: Vec<UserId> = found.iter().filter_map(|f| f.grant.principal.user()).collect();
    users.sort_unstable();
    users.dedup();
    let candidates = found.into_iter().map(|f| Candidate {
        grant_id: f.grant.id,
        label: f.grant.label,
        account_identifier: f.grant.account_identifier,
        account_display_name: f.grant.account_display_name,
    });
    Err(ChoiceError::Ambiguous(Box::new(Ambiguous {
        provider: filter.provider.clone().unwrap_or_default(),
        candidates: candidates.collect(),
        truncated,
        account_was_provided: filter.account.is_some(),
        users,
    })))
}
