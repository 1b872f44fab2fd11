//! The stories: what happens, and in which order, when someone mints a session, opens it, approves, comes back from
//! the provider, polls, or calls with a grant.
//!
//! Here: the order of steps, and which port does each. Not here: HTTP (`server`), SQL (`store-*`), OAuth messages
//! (`oauth`), rules about a single noun (`core`). One file per story: its input, its outcome, its error, and functions
//! that take [`Flows`]. Plaintext secrets live only here and in `oauth`, in `secrecy` types.

mod actor;
pub mod callers;
pub mod calls;
pub mod connect;
mod context;
mod digests;
mod facts;
mod fault;
pub mod grants;
mod journal;
pub mod metrics;
pub mod operate;
mod proofs;
mod quota;
pub mod ready;
pub mod reap;
pub mod refresh;
mod rounds;
mod seal;
mod sealed;

pub use actor::Operator;
pub use alter_core::NewKey;
pub use alter_oauth::{BadUserClaim, BadUserToken, UserClaims};
pub use callers::agent_checks::{AgentChange, AgentError, NewAgent};
pub use callers::agents::MadeAgent;
pub use callers::auth_session::{CreateAuthError, CreatedAuth, PollAuth, PollAuthError};
pub use callers::authenticate::{AuthError, PresentedCall};
pub use callers::caller::{AppKeyRequired, Caller};
pub use callers::user_token::{UserTokenError, VerifyUserError};
pub use calls::choose::{Ambiguous, Candidate, ChoiceError, GrantChoice};
pub use calls::release::{ReleaseError, ReleaseRequest, Released};
pub use calls::report::CallReport;
pub use connect::callback::{CallbackEnd, CallbackRequest};
pub use connect::claim::{BindingFault, ClaimError, Claimed, Marks, Peek, Proof};
pub use connect::connected::Connected;
pub use connect::consent::ApproveError;
pub use connect::extra::ExtraAnswer;
pub use connect::finalize::{FinalizeError, FinalizeRequest, Finalized};
pub use connect::foreign::ForeignPage;
pub use connect::mint::{MintError, MintRequest, Minted};
pub use connect::names::Names;
pub use connect::offer::Offer;
pub use connect::page::{PageError, PageView, Screen};
pub use connect::poll::{Poll, PollError};
pub use connect::result::{ResultError, Ticket, Told, Waits};
pub use connect::status::{Status, StatusError, StatusReport, StatusRequest};
pub use connect::steps::{FillError, StepError};
pub use connect::way_back::{Leave, Left, WayBack};
pub use context::{Flows, FlowsConfig, REFRESH_PAUSE};
pub use fault::{FlowFault, Unproven};
pub use grants::delegations::RevokeDelegationError;
pub use grants::list::needs_reconnect;
pub use grants::list::{GrantPage, ListError, ListRequest};
pub use grants::revoke::RevokeGrantError;
pub use grants::show::ShownGrant;
pub use operate::apps::NewApp;
pub use operate::audit::{AuditError, AuditFilter};
pub use operate::catalog::CatalogEntry;
pub use operate::error::OperateError;
pub use operate::identity_provider::SignInSetting;
pub use operate::key_ring::{KeyState, RootKeyError, Rotated};
pub use operate::providers::ProviderSetting;
pub use quota::Quota;
pub use ready::{NotReady, StartError};
pub use refresh::{NotUsable, RefreshError};
