//! A grant: one account at one provider that one app may use, and its sealed credential.
//!
//! A grant belongs to a user, or to the app itself if it was connected without a user token (`principal_type` `user` and
//! `system` on the wire). It is `active` until it is revoked, for good: connecting the same account again then makes a
//! new grant.
//!
//! A grant's tokens are sealed for its [`Holder`], too: in a row that was made another user's, or was pointed at another
//! configuration, they do not open.

use async_trait::async_trait;

use crate::{
    AgentId, AppId, AuditEntry, CallNonce, ConfigId, Delegation, Facts, Filled, GrantId, Hash, Level, Micros,
    Principal, RevocationOutcome, Saved, StoreError, User,
    recipe::Refresh,
    refresh::{ReconnectReason, RefreshState, Situation},
    secret::sha256,
};

/// The precision of [`Grant::last_used_at`], seconds: not every call rewrites a busy grant's row.
pub const LAST_USED_STEP: i64 = 60;

/// A grant as stored.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Kept when the same account is connected again.
    pub id: GrantId,
    /// The app that may use it.
    pub app_id: AppId,
    /// The owner: one of the app's users, or the app itself.
    pub principal: Principal,
    /// Provider id.
    pub provider: String,
    /// The configuration it was made with.
    pub config_id: ConfigId,
    /// The provider's stable id for the account. Unique with app, principal and provider among active grants.
    pub subject: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// The provider vouches for `account_identifier`. If not, its owner may have written somebody else's address there, and
    /// nothing is chosen by it among the grants of several users. False in grants from before this was read.
    pub account_verified: bool,
    /// A name to show.
    pub account_display_name: Option<String>,
    /// The app's label, to choose among several grants (`requested_grant.label`).
    pub label: Option<String>,
    /// The scopes the provider granted.
    pub scopes: Vec<String>,
    /// The scopes that were asked for and not granted.
    pub missing_scopes: Vec<String>,
    /// How well the session was bound to its user.
    pub level: Level,
    /// That level was reached by signing in at the app's identity provider, and not by a page of the app.
    pub signed_in: bool,
    /// When the account was first connected.
    pub created_at: Micros,
    /// When the account was last connected.
    pub updated_at: Micros,
    /// When its token was last released, to within [`LAST_USED_STEP`].
    pub last_used_at: Option<Micros>,
    /// What is known about refreshing the credential.
    pub refresh: RefreshState,
    /// When somebody has to look whether to refresh it ([`crate::refresh::look_at`]); `None` = when it is used.
    pub refresh_at: Option<Micros>,
    /// When the grant itself ends, whatever its credential says; `None` = it does not.
    pub ends_at: Option<Micros>,
    /// The placeholders of the provider's URLs that were filled for this customer: its calls go to those hosts alone.
    pub filled: Filled,
    /// What the provider said beside the token, and what the browser brought.
    pub metadata: Facts,
    /// Set when the grant was revoked; then the credential's sealed values are empty.
    pub revoked: Option<RevokedGrant>,
    /// The sealed credential.
    pub credential: Credential,
}

/// How a grant was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedGrant {
    /// When it was revoked.
    pub at: Micros,
    /// The reason in the app's words.
    pub reason: Option<String>,
    /// What became of the token at the provider.
    pub outcome: RevocationOutcome,
}

/// Whose tokens a grant's are, and what for: everything by which a call finds a grant, besides its app and id.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The owner; `None` = the app itself. The user as the identity provider names it, too: a call finds its user by that.
    pub user: Option<&'a User>,
    /// [`Grant::provider`].
    pub provider: &'a str,
    /// [`Grant::config_id`].
    pub config_id: &'a ConfigId,
    /// [`Grant::subject`].
    pub subject: &'a str,
    /// [`Grant::account_identifier`].
    pub account_identifier: &'a str,
    /// [`Grant::account_verified`]: whether a call may find the grant by that name alone.
    pub account_verified: bool,
    /// [`Grant::label`].
    pub label: Option<&'a str>,
    /// [`Grant::filled`]: which hosts get the token.
    pub filled: &'a Filled,
}

impl Holder<'_> {
    /// What the tokens are bound to besides their place. A digest outlives versions: what is digested stays as it is.
    pub fn digest(&self) -> Hash {
        let Self { user, provider, config_id, subject, account_identifier, account_verified, label, filled } =
            self;
        let user = user.map(|user| (user.id.to_string(), &user.issuer, &user.subject));
        let account = (subject, account_identifier, account_verified);
        let parts = (user, provider, config_id.as_str(), account, label);
        // Grants from before there were placeholders of customers, and most since, have none.
        let bytes =
            if filled.is_empty() { serde_json::to_vec(&parts) } else { serde_json::to_vec(&(parts, filled)) };
        sha256(&bytes.expect("texts are always JSON"))
    }
}

impl Grant {
    /// Whose it is, and what for. `user` is [`Self::principal`]'s.
    pub fn holder<'a>(&'a self, user: Option<&'a User>) -> Holder<'a> {
        Holder {
            user,
            provider: &self.provider,
            config_id: &self.config_id,
            subject: &self.subject,
            account_identifier: &self.account_identifier,
            account_verified: self.account_verified,
            label: self.label.as_deref(),
            filled: &self.filled,
        }
    }

    /// [`Self::subject`] as the provider knows it.
    pub fn own_subject(&self) -> &str {
        own_subject(&self.subject, &self.filled)
    }

    /// The scopes that people and programs are shown. One that stands in both lists may be in the token all the same: the
    /// browser alone said that it was not granted.
    pub fn shown_scopes(&self) -> Vec<String> {
        self.scopes.iter().filter(|scope| !self.missing_scopes.contains(scope)).cloned().collect()
    }

    /// `active` or `revoked`, as stored.
    pub fn status(&self) -> GrantStatus {
        if self.revoked.is_some() { GrantStatus::Revoked } else { GrantStatus::Active }
    }

    /// Where the grant stands at a moment: an active grant whose own end has come is expired.
    pub fn state(&self, now: Micros) -> GrantState {
        match (&self.revoked, self.ends_at) {
            (Some(_), _) => GrantState::Revoked,
            (None, Some(end)) if end <= now => GrantState::Expired,
            (None, _) => GrantState::Active,
        }
    }

    /// The current generation as apps see it: a UUID (version 8) made from the grant's id and the generation. It names
    /// the released token and reveals nothing about it.
    pub fn token_generation(&self) -> uuid::Uuid {
        let text = format!("alter-generation/{}/{}", self.id, self.credential.generation);
        let hash = sha256(text.as_bytes());
        let bytes = std::array::from_fn(|i| hash[i]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// Why only the user can help, and since when: the refresh token is taken for dead, or there is none and the access
    /// token has run out.
    pub fn reconnect(&self, now: Micros) -> Option<(ReconnectReason, Micros)> {
        let ended = self.credential.expires_at.filter(|at| *at <= now);
        match (&self.refresh.verdict, &self.credential.refresh_token, ended) {
            (Some(verdict), _, _) => Some((verdict.reason, verdict.since)),
            (None, None, Some(at)) => Some((ReconnectReason::NoRefreshToken, at)),
            _ => None,
        }
    }

    /// What [`crate::refresh::what_now`] and [`crate::refresh::look_at`] decide by.
    pub fn situation<'a>(&'a self, facts: &'a Refresh) -> Situation<'a> {
        Situation {
            grant: self.id,
            credential: &self.credential,
            last_used_at: self.last_used_at,
            state: &self.refresh,
            facts,
        }
    }
}

/// The id of an account at the host of one customer: two customers may have accounts of the same id, so the customer stands
/// before it.
pub fn customers_subject(subject: &str, filled: &Filled) -> String {
    filled.values().map(String::as_str).chain([subject]).collect::<Vec<_>>().join("/")
}

/// The reverse of [`customers_subject`].
pub fn own_subject<'a>(subject: &'a str, filled: &Filled) -> &'a str {
    let before: usize = filled.values().map(|value| value.len() + 1).sum();
    subject.get(before..).unwrap_or(subject)
}

/// Where a grant stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantState {
    /// Usable.
    Active,
    /// Its own end has come: [`Grant::ends_at`].
    Expired,
    /// Revoked, for good.
    Revoked,
}

impl GrantState {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Where a grant stands in storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantStatus {
    /// Usable.
    Active,
    /// Over, for good.
    Revoked,
}

impl GrantStatus {
    /// The name in storage and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }
}

/// Selects grants of an app. Every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantFilter {
    /// The owner.
    pub principal: Option<Principal>,
    /// Delegated to this agent; neither delegation nor grant is revoked.
    pub agent: Option<AgentId>,
    /// Provider id.
    pub provider: Option<String>,
    /// Active or revoked.
    pub status: Option<GrantStatus>,
    /// Which account.
    pub account: Option<AccountFilter>,
    /// `label`, compared byte by byte.
    pub label: Option<String>,
}

/// Selects grants by their account, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountFilter {
    /// By `subject`.
    Subject(String),
    /// By `account_identifier`, whoever wrote it there.
    Identifier(String),
    /// By `account_identifier`, where the provider vouches for it.
    Verified(String),
}

/// A grant in a list.
#[derive(Debug, Clone)]
pub struct ListedGrant {
    /// The grant.
    pub grant: Grant,
    /// Agents with a live delegation, by id.
    pub agents: Vec<AgentId>,
    /// The delegation to the filter's agent, when there is one.
    pub delegation: Option<Delegation>,
}

/// The last check before a credential leaves, and the record that it did.
#[derive(Debug, Clone)]
pub struct ReleaseCredential {
    /// The call's nonce; `None` for a bearer call.
    pub call: Option<CallNonce>,
    /// The app that owns the grant.
    pub app_id: AppId,
    /// The grant whose token leaves.
    pub grant_id: GrantId,
    /// The credential generation that was opened.
    pub generation: u64,
    /// The calling agent and the version of it that was checked. The agent must be active, still have that version, and
    /// have a live delegation.
    pub agent: Option<(AgentId, u64)>,
    /// The time of the release.
    pub at: Micros,
    /// What the audit records.
    pub audit: AuditEntry,
}

/// A credential as stored: sealed values, and what may be known without opening them.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Counts the values this row has held, from 1: part of each sealed value's place.
    pub generation: u64,
    /// As the provider wrote it; `Bearer` when the provider sent none.
    pub token_type: String,
    /// When the provider's answer came.
    pub issued_at: Micros,
    /// When the access token expires; `None` = the provider did not say.
    pub expires_at: Option<Micros>,
    /// Sealed; empty when the grant is revoked.
    pub access_token: Vec<u8>,
    /// Sealed; `None` = the provider gave none.
    pub refresh_token: Option<Vec<u8>>,
    /// Sealed; `None` = the provider gave none.
    pub id_token: Option<Vec<u8>>,
}

/// What storage must be able to do for grants.
#[async_trait]
pub trait GrantStore: Send + Sync {
    /// Finds one of this app's grants, revoked or not. Another app's grant is `None`, like an unknown one (T72).
    async fn get_grant(&self, app: AppId, id: GrantId) -> Result<Option<Grant>, StoreError>;
    /// Finds the active grant for an account.
    async fn find_grant(
        &self,
        app: AppId,
        principal: Principal,
        provider: &str,
        subject: &str,
    ) -> Result<Option<Grant>, StoreError>;
    /// Lists a page of grants, newest first.
    async fn list_grants(
        &self,
        app: AppId,
        filter: &GrantFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<ListedGrant>, StoreError>;
    /// Counts the grants that [`Self::list_grants`] would find in all.
    async fn count_grants(&self, app: AppId, filter: &GrantFilter) -> Result<u64, StoreError>;
    /// Whether there is an active grant for this account, of any owner.
    async fn has_grant_of_account(
        &self,
        app: AppId,
        provider: &str,
        subject: &str,
    ) -> Result<bool, StoreError>;
    /// Lists a page of the app's active grants, by id and after this id (empty = from the first). With `only_unbound`, only
    /// grants with a token that is not bound to the grant's [`Holder`]: one of version 1, by its fifth byte
    /// (`crates/vault/src/lib.rs`).
    async fn list_active_grants(
        &self,
        app: AppId,
        only_unbound: bool,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError>;
    /// Records a release before the credential leaves (T97, T98): the nonce, the checks, `last_used_at` and the audit
    /// entry, in one durable commit. Returns [`Saved::Moved`] when the grant is gone, revoked or has another generation,
    /// or when the agent has changed or has no live delegation.
    ///
    /// # Errors
    /// [`StoreError::NonceReplayed`]; anything else means that nothing may be released.
    async fn release_credential(&self, release: ReleaseCredential) -> Result<Saved, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(filled: &Filled) -> Hash {
        let holder = Holder {
            user: None,
            provider: "p",
            config_id: &ConfigId::parse("pc_aaaaaaaaaaaaaaaaaaaaaaaaaa").expect("the right form"),
            subject: "7",
            account_identifier: "ann@example.com",
            account_verified: true,
            label: None,
            filled,
        };
        holder.digest()
    }

    #[test]
    fn t90_the_hosts_that_get_a_token_are_part_of_what_it_is_bound_to() {
        let at = |customer: &str| digest(&[("subdomain".to_owned(), customer.to_owned())].into());
        assert_ne!(at("acme"), at("evil"));
        assert_ne!(at("acme"), digest(&Filled::new()));
    }

    #[test]
    fn the_holder_of_a_grant_without_customers_is_digested_as_ever() {
        let before = crate::secret::hex(&digest(&Filled::new()));
        let parts =
            (None::<()>, "p", "pc_aaaaaaaaaaaaaaaaaaaaaaaaaa", ("7", "ann@example.com", true), None::<&str>);
        assert_eq!(before, crate::secret::hex(&sha256(&serde_json::to_vec(&parts).expect("JSON"))));
    }

    #[test]
    fn an_accounts_own_id_is_what_follows_its_customer() {
        let filled = Filled::from([("a".into(), "acme".into()), ("b".into(), "eu".into())]);
        let whole = customers_subject("users/7", &filled);
        assert_eq!(whole, "acme/eu/users/7");
        assert_eq!(own_subject(&whole, &filled), "users/7");
        assert_eq!(own_subject("7", &Filled::new()), "7");
    }
}
