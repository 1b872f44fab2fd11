//! Connecting an account, from the mint of a session to the grant and its page.

pub(crate) mod callback;
pub(crate) mod claim;
pub(crate) mod consent;
pub(crate) mod exchange;
pub(crate) mod journal;
pub(crate) mod mint;
pub(crate) mod page;
pub(crate) mod poll;
pub(crate) mod status;

pub use callback::{CallbackEnd, CallbackRequest};
pub use claim::{ClaimError, Claimed, Marks, Peek, Proof};
pub use consent::{ApproveError, StepError};
pub use mint::{MintError, MintRequest, Minted};
pub use page::{PageError, PageView, Screen};
pub use poll::{Poll, PollError};
pub use status::{Status, StatusError, StatusReport, StatusRequest};
