//! Connecting an account, from minting a session to the grant and the last page.

mod askable;
pub(crate) mod callback;
pub(crate) mod claim;
pub(crate) mod connected;
pub(crate) mod consent;
pub(crate) mod end;
pub(crate) mod exchange;
pub(crate) mod extra;
pub(crate) mod foreign;
pub(crate) mod grant;
pub(crate) mod identity;
pub(crate) mod in_hand;
mod left;
pub(crate) mod mint;
pub(crate) mod names;
pub(crate) mod offer;
mod opener;
pub(crate) mod page;
pub(crate) mod poll;
pub(crate) mod result;
pub(crate) mod status;
pub(crate) mod steps;
pub(crate) mod stop;
pub(crate) mod way_back;

pub use callback::callback;
pub use claim::{browser_hash, claim, peek, surplus_sessions};
pub use consent::{approve, callback_url};
pub use extra::answer_extra;
pub use mint::mint;
pub use page::{open_page, screen_of};
pub use poll::poll;
pub use result::result;
pub use status::status;
pub use steps::{back, cancel, fill, finish, page_sign, select};
pub use way_back::{leave, way_back_of};
