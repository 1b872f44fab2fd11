//! The stories: what happens, in which order, when someone mints, opens, approves, comes back, polls or calls.
//!
//! Here: the order of steps and which port does each. Not here: HTTP (`server`), SQL (`store-*`), OAuth messages
//! (`oauth`), rules of a single noun (`core`). One file per story; each is an `impl Flows` block with the story's
//! input, outcome and error. Plaintext secrets live only here and in `oauth`, in `secrecy` types.

mod actor;
mod agents;
mod audit;
mod authenticate;
mod call;
mod callback;
mod catalog;
mod choose;
mod claim;
mod consent;
mod context;
mod exchange;
mod fault;
mod grants;
mod journal;
mod key_ring;
pub mod metrics;
mod mint;
mod operate;
mod page;
mod poll;
mod quota;
mod ready;
mod reap;
mod release;
mod report;
mod revocation;
mod rounds;
mod sealed;
mod status;
mod user_token;

pub use agents::{AgentChange, AgentError, MadeAgent, NewAgent};
pub use alter_oauth::UserClaims;
pub use audit::{AuditChecked, AuditError, AuditFilter};
pub use authenticate::{AppKeyRequired, AuthError, PresentedCall};
pub use call::Caller;
pub use callback::{CallbackEnd, CallbackRequest};
pub use catalog::CatalogEntry;
pub use choose::{Ambiguous, Candidate, ChoiceError, GrantChoice};
pub use claim::{ClaimError, Claimed, Marks, Peek, Proof};
pub use consent::{ApproveError, StepError};
pub use context::{Flows, FlowsConfig};
pub use fault::FlowFault;
pub use grants::{
    GrantPage, ListError, ListRequest, RevokeDelegationError, RevokeGrantError, needs_reconnect,
    visible_scopes,
};
pub use key_ring::{KeyState, RootKeyError, Rotated};
pub use mint::{MintError, MintRequest, Minted};
pub use operate::{NewApp, NewKey, OperateError, ProviderSetting};
pub use page::{PageError, PageView, Screen};
pub use poll::{Poll, PollError};
pub use quota::Quota;
pub use ready::{NotReady, StartError};
pub use release::{ReleaseError, ReleaseRequest, Released};
pub use report::CallReport;
pub use status::{Status, StatusError, StatusReport, StatusRequest};
pub use user_token::UserTokenError;
