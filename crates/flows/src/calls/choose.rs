//! Which grant a call means (wire 3.3): by id, or by provider and user. An agent chooses among the grants delegated to
//! it.
//!
//! 1. Find the user, if the call has a user token.
//! 2. Find the grant by id, or the only active one that fits; `account` and `label` tell several apart. An account is
//!    known by its id. Its name counts among one user's own grants; among the grants of several people, only where the
//!    provider vouches for it.
//! 3. An agent needs a live delegation.
//!
//! The caller cannot tell an unknown grant from another app's or another user's (T72).

use alter_core::{
    AccountFilter, AgentId, Delegation, Grant, GrantFilter, GrantId, GrantStatus, ListedGrant, Principal,
    User, UserId,
};
use secrecy::SecretString;

use crate::{
    Caller, Flows, UserTokenError, callers::caller::ours, callers::user_token::known_user, fault::FlowFault,
};

/// An ambiguous choice names at most this many candidates.
const CANDIDATES: usize = 10;

/// How a call names a grant.
#[derive(Debug, Clone, Copy)]
pub enum GrantChoice<'a> {
    Id(GrantId),
    /// The only active grant that fits.
    Provider {
        /// Provider id.
        provider: &'a str,
        /// The account's id (the subject) or its `account_identifier`, compared byte by byte.
        account: Option<&'a str>,
        /// `label`, compared byte by byte.
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

/// The user that a call names with a user token, once the token is verified.
#[derive(Debug)]
pub(crate) enum NamedUser {
    /// The call has no user token.
    None,
    Known(User),
    /// The token is valid, but no session was ever minted for its user.
    Unknown,
}

/// The grant that a call means.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) grant: Grant,
    /// `None` when the caller is the app.
    pub(crate) delegation: Option<Delegation>,
}

/// Several grants fit, or it is not sure that those that fit are the account's that was meant.
#[derive(Debug)]
pub struct Ambiguous {
    /// Provider id.
    pub provider: String,
    /// The newest grants that fit, newest first.
    pub candidates: Vec<Candidate>,
    /// More grants fit than `candidates` holds.
    pub truncated: bool,
    pub account_was_provided: bool,
    /// The candidates' owners, each once; the app itself is left out.
    pub users: Vec<UserId>,
}

/// A grant that fits.
#[derive(Debug)]
pub struct Candidate {
    pub grant_id: GrantId,
    /// The label the app gave it.
    pub label: Option<String>,
    /// The provider's stable id of the account.
    pub subject: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// Whether the provider vouches for `account_identifier`.
    pub account_verified: bool,
    pub account_display_name: Option<String>,
}

/// Why no grant was chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// The app, or the user, has no such grant.
    #[error("there is no such grant")]
    NotFound {
        /// The provider the call named; `None` when it named a grant id.
        provider: Option<String>,
    },
    #[error("no grant that fits was delegated to the agent")]
    NoDelegation {
        agent: AgentId,
        /// The provider the call named; `None` when it named a grant id.
        provider: Option<String>,
    },
    #[error("the grant was revoked")]
    Revoked(GrantId),
    #[error("several grants fit")]
    Ambiguous(Box<Ambiguous>),
    /// Grants of more than one user were searched, and the provider has not verified the account's name in any that fits:
    /// anybody may have written it there.
    #[error("the account's name is not verified")]
    Unverified(Box<Ambiguous>),
    /// The app's settings require the user's token for a user's grant (S12).
    #[error("the app requires a user token for this grant")]
    UserTokenRequired,
    /// The call has a user token, but the grant belongs to the app itself.
    #[error("the call has a user token, but the grant is the app's own")]
    NotAUsers(GrantId),
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// Our own failure: storage or vault.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { ChoiceError: User; }

/// Step 1.
pub(crate) async fn named_user(
    flows: &Flows,
    caller: &Caller,
    token: Option<&SecretString>,
) -> Result<NamedUser, UserTokenError> {
    let Some(token) = token else { return Ok(NamedUser::None) };
    Ok(known_user(flows, &caller.app, token).await?.map_or(NamedUser::Unknown, NamedUser::Known))
}

/// Steps 2 and 3.
pub(crate) async fn choose(
    flows: &Flows,
    caller: &Caller,
    named: &NamedUser,
    choice: &GrantChoice<'_>,
) -> Result<Chosen, ChoiceError> {
    let nothing = || match &caller.agent {
        Some(agent) => ChoiceError::NoDelegation { agent: agent.id, provider: choice.provider() },
        None => ChoiceError::NotFound { provider: choice.provider() },
    };
    match (named, choice) {
        (NamedUser::Unknown, GrantChoice::Provider { .. }) => Err(nothing()),
        (_, GrantChoice::Id(id)) => by_id(flows, caller, named, *id).await?.ok_or_else(nothing),
        (_, GrantChoice::Provider { provider, account, label }) => {
            let filter = filter(caller, named, provider, *label);
            let chosen = match account {
                Some(account) => by_account(flows, caller, &filter, account).await?,
                None => only_one(flows, caller, &filter).await?,
            };
            chosen.ok_or_else(nothing)
        }
    }
}

/// The account with this id, else the one with this name. An agent without a user token searches the grants of all its
/// users, and the app's own grants were connected by anybody: there, only a verified name counts.
async fn by_account(
    flows: &Flows,
    caller: &Caller,
    filter: &GrantFilter,
    account: &str,
) -> Result<Option<Chosen>, ChoiceError> {
    let with = |by: fn(String) -> AccountFilter| GrantFilter {
        account: Some(by(account.to_owned())),
        ..filter.clone()
    };
    let by_subject = only_one(flows, caller, &with(AccountFilter::Subject)).await?;
    if by_subject.is_some() {
        return Ok(by_subject);
    }
    if let Some(Principal::User(_)) = filter.principal {
        return only_one(flows, caller, &with(AccountFilter::Identifier)).await;
    }
    let verified = only_one(flows, caller, &with(AccountFilter::Verified)).await?;
    if verified.is_some() {
        return Ok(verified);
    }
    let named = with(AccountFilter::Identifier);
    let found = fitting(flows, caller, &named).await?;
    if found.is_empty() { Ok(None) } else { Err(ChoiceError::Unverified(Box::new(ambiguous(&named, found)))) }
}

async fn by_id(
    flows: &Flows,
    caller: &Caller,
    named: &NamedUser,
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
    match (named, grant.principal) {
        (NamedUser::Known(user), Principal::User(owner)) if user.id != owner => return Ok(None),
        (NamedUser::Unknown, Principal::User(_)) => return Ok(None),
        (NamedUser::Known(_) | NamedUser::Unknown, Principal::App) => return Err(ChoiceError::NotAUsers(id)),
        // An agent acts on its user's delegation. The setting concerns the app's own background work (S12).
        (NamedUser::None, Principal::User(_))
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

/// Without a user, an app means its own grants, and an agent means any grant delegated to it.
fn filter(caller: &Caller, named: &NamedUser, provider: &str, label: Option<&str>) -> GrantFilter {
    let principal = match (named, &caller.agent) {
        (NamedUser::Known(user), _) => Some(Principal::User(user.id)),
        (_, None) => Some(Principal::App),
        (_, Some(_)) => None,
    };
    GrantFilter {
        principal,
        agent: caller.agent.as_ref().map(|agent| agent.id),
        provider: Some(provider.to_owned()),
        status: Some(GrantStatus::Active),
        account: None,
        label: label.map(str::to_owned),
    }
}

async fn only_one(
    flows: &Flows,
    caller: &Caller,
    filter: &GrantFilter,
) -> Result<Option<Chosen>, ChoiceError> {
    let mut found = fitting(flows, caller, filter).await?;
    if found.len() < 2 {
        let only = found.pop();
        return Ok(only.map(|only| Chosen { grant: only.grant, delegation: only.delegation }));
    }
    Err(ChoiceError::Ambiguous(Box::new(ambiguous(filter, found))))
}

/// The grants that fit, and one more than an error names.
async fn fitting(
    flows: &Flows,
    caller: &Caller,
    filter: &GrantFilter,
) -> Result<Vec<ListedGrant>, ChoiceError> {
    Ok(flows.store().list_grants(caller.app.id, filter, CANDIDATES as u32 + 1, 0).await?)
}

fn ambiguous(filter: &GrantFilter, mut found: Vec<ListedGrant>) -> Ambiguous {
    let truncated = found.len() > CANDIDATES;
    found.truncate(CANDIDATES);
    let mut users: Vec<UserId> = found.iter().filter_map(|f| f.grant.principal.user()).collect();
    users.sort_unstable();
    users.dedup();
    let candidates = found.into_iter().map(|f| Candidate {
        grant_id: f.grant.id,
        label: f.grant.label,
        subject: f.grant.subject,
        account_identifier: f.grant.account_identifier,
        account_verified: f.grant.account_verified,
        account_display_name: f.grant.account_display_name,
    });
    Ambiguous {
        provider: filter.provider.clone().unwrap_or_default(),
        candidates: candidates.collect(),
        truncated,
        account_was_provided: filter.account.is_some(),
        users,
    }
}
