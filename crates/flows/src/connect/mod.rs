//! Connecting an account, from minting a session to the grant and the last page.

pub(crate) mod callback;
pub(crate) mod claim;
pub(crate) mod consent;
pub(crate) mod end;
pub(crate) mod exchange;
pub(crate) mod grant;
pub(crate) mod identity;
pub(crate) mod in_hand;
pub(crate) mod journal;
pub(crate) mod mint;
pub(crate) mod page;
pub(crate) mod poll;
pub(crate) mod status;
pub(crate) mod steps;
pub(crate) mod stop;

pub use callback::{CallbackEnd, CallbackRequest, callback};
pub use claim::{ClaimError, Claimed, Marks, Peek, Proof, browser_hash, claim, peek, surplus_sessions};
pub use consent::{ApproveError, approve, callback_url};
pub use mint::{MintError, MintRequest, Minted, mint};
pub use page::{PageError, PageView, Screen, open_page, screen_of};
pub use poll::{Poll, PollError, poll};
pub use status::{Status, StatusError, StatusReport, StatusRequest, status};
pub use steps::{StepError, back, cancel, finish, page_sign, select};
