//! What a route needs from a request: who calls (`signed`), which browser it is (`browser`), that it is our own page
//! (`page_post`).

mod body;
mod browser;
mod headers;
mod page_post;
mod query;
mod signed;

pub(crate) use body::{parse_json, read_body};
pub(crate) use browser::{Browser, clear_cookie, set_cookie};
pub(crate) use headers::only;
pub(crate) use page_post::PagePost;
pub use signed::{NoQuery, Signed, SignedEmpty};
pub(crate) use signed::{SignedSuspendedToo, single};
