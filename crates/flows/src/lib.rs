//! The stories: what happens, and in which order, when someone mints a session, opens it, approves, comes back from
//! the provider, polls, or calls with a grant.
//!
//! Here: the order of steps, and which port does each. Not here: HTTP (`server`), SQL (`store-*`), OAuth messages
//! (`oauth`), rules about a single noun (`core`). One file per story: its input, its outcome, its error, and functions
//! that take [`Flows`]. Plaintext secrets live only here and in `oauth`, in `secrecy` types.

mod actor;
mod call;
pub mod callers;
pub mod calls;
pub mod connect;
mod context;
mod fault;
pub mod grants;
pub mod metrics;
pub mod operate;
mod quota;
pub mod ready;
pub mod reap;
mod rounds;
mod sealed;

pub use alter_oauth::UserClaims;
pub use call::{AppKeyRequired, Caller};
pub use callers::{AgentChange, AgentError, AuthError, MadeAgent, NewAgent, PresentedCall, UserTokenError};
pub use calls::{
    Ambiguous, CallReport, Candidate, ChoiceError, GrantChoice, ReleaseError, ReleaseRequest, Released,
};
pub use connect::{
    ApproveError, CallbackEnd, CallbackRequest, ClaimError, Claimed, Marks, MintError, MintRequest, Minted,
    PageError, PageView, Peek, Poll, PollError, Proof, Screen, Status, StatusError, StatusReport,
    StatusRequest, StepError,
};
pub use context::{Flows, FlowsConfig};
pub use fault::FlowFault;
pub use grants::{
    GrantPage, ListError, ListRequest, RevokeDelegationError, RevokeGrantError, needs_reconnect,
    visible_scopes,
};
pub use operate::{
    AuditChecked, AuditError, AuditFilter, CatalogEntry, KeyState, NewApp, NewKey, OperateError,
    ProviderSetting, RootKeyError, Rotated,
};
pub use quota::Quota;
pub use ready::{NotReady, StartError};
