//! What a route needs from a request: the caller (`signed`), the browser (`browser`), that our own page sent it
//! (`page_post`), its body (of a form: `form`), single headers and query.

mod body;
mod browser;
mod form;
mod headers;
mod page_post;
mod query;
mod signed;

pub(crate) use body::{Bodies, PAGE_BODY_MAX, parse_json};
pub(crate) use browser::{Browser, clear_cookie, set_cookie};
pub(crate) use form::Form;
pub(crate) use headers::only;
pub(crate) use page_post::{PagePost, is_our_page};
pub use signed::{NoQuery, Signed, SignedEmpty};
pub(crate) use signed::{SignedSuspendedToo, single};
