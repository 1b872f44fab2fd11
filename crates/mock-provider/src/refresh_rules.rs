//! The switches of refreshing: what becomes of a refresh token, and how the provider answers with it.

use std::time::Duration;

use serde_json::Value;

use crate::faults::TokenFault;

/// What happens to a refresh token when it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshMode {
    /// It stays good, and the answer has no `refresh_token`.
    Keep,
    /// It stays good, and the answer repeats it.
    KeepAndRepeat,
    /// It stays good, and the answer has an empty `refresh_token`.
    KeepAndSayEmpty,
    /// A new one replaces it.
    #[default]
    Rotate,
}

/// What a replaced refresh token gets within [`RefreshRules::reuse_window`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InWindow {
    /// Another pair of tokens; the pair of the first use stays good.
    #[default]
    NewPair,
    /// Another pair of tokens; the pair before it ends, so that only the client that asked last has a good one.
    LastPairOnly,
    /// The pair of the first use again.
    SamePair,
}

/// How the provider refreshes. `Default` rotates, refuses a replaced token at once, and has no fault.
///
/// All times are by the provider's clock.
#[derive(Clone, Debug, Default)]
pub struct RefreshRules {
    pub mode: RefreshMode,
    /// How long a replaced token is still honoured after its first use. Zero: not at all.
    pub reuse_window: Duration,
    /// What a replaced token gets within the window.
    pub in_window: InWindow,
    /// Whether a replaced token outside the window ends its whole grant, access tokens included (RFC 9700 section
    /// 4.14.2). If off, it is refused and nothing else happens.
    pub reuse_ends_grant: bool,
    /// Whether a refresh ends the refresh tokens of the other grants of the same account and client.
    pub ends_siblings: bool,
    /// Whether a refresh ends the grant's earlier access tokens.
    pub ends_old_access: bool,
    /// How long a refresh token lives without being used. `None` is for ever.
    pub idle_life: Option<Duration>,
    /// Whether refreshing happens at `/refresh`; `/token` then refuses it. If off, `/refresh` is not there.
    pub own_endpoint: bool,
    /// The scope that a refresh grants, instead of the grant's own; words separated by spaces.
    pub scopes: Option<String>,
    /// Merged over the answer to a refresh: what the answer says, not what is true. A null removes a member.
    pub answer_fields: Value,
    /// How many refresh requests are admitted in one second of the provider's clock; the others get 429 with
    /// `Retry-After: 1`.
    pub limit_a_second: Option<u32>,
    /// A failure of refresh requests only. Takes precedence over `token_fault`.
    pub fault: Option<TokenFault>,
    /// How many more refresh requests get `fault`; counts down. `None` means all of them.
    pub fault_times: Option<u32>,
}
