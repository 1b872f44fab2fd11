//! The stories: what happens, in which order, when someone mints, opens, approves, comes back, polls or calls.
//!
//! Here: the order of steps and which port does each. Not here: HTTP (`server`), SQL (`store-*`), OAuth messages
//! (`oauth`), rules of a single noun (`core`). One file a story: functions that take [`Flows`], the story's
//! input, outcome and error. Plaintext secrets live only here and in `oauth`, in `secrecy` types.

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
pub use callers::UserTokenError;
pub use callers::{AgentChange, AgentError, MadeAgent, NewAgent};
pub use callers::{AuthError, PresentedCall};
pub use calls::CallReport;
pub use calls::{Ambiguous, Candidate, ChoiceError, GrantChoice};
pub use calls::{ReleaseError, ReleaseRequest, Released};
pub use connect::{ApproveError, StepError};
pub use connect::{CallbackEnd, CallbackRequest};
pub use connect::{ClaimError, Claimed, Marks, Peek, Proof};
pub use connect::{MintError, MintRequest, Minted};
pub use connect::{PageError, PageView, Screen};
pub use connect::{Poll, PollError};
pub use connect::{Status, StatusError, StatusReport, StatusRequest};
pub use context::{Flows, FlowsConfig};
pub use fault::FlowFault;
pub use grants::{
    GrantPage, ListError, ListRequest, RevokeDelegationError, RevokeGrantError, needs_reconnect,
    visible_scopes,
};
pub use operate::CatalogEntry;
pub use operate::{AuditChecked, AuditError, AuditFilter};
pub use operate::{KeyState, RootKeyError, Rotated};
pub use operate::{NewApp, NewKey, OperateError, ProviderSetting};
pub use quota::Quota;
pub use ready::{NotReady, StartError};
