//! A page at another origin than its session's: what its user, the app and the log are told (protocol 5).

use std::fmt;

use alter_core::{Origin, Session};

/// How much of an `Origin` header is repeated, bytes: a host has at most 253, and a page can make its header no longer.
const ORIGIN_MAX: usize = 300;

/// Where a page is, and where its session wants it. Both may be told to whoever holds the session's token: the holder
/// learns the second from [`super::peek`] too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignPage {
    /// The browser's `Origin` header; `null` = a sandboxed frame, a file, or a redirect on the way.
    pub page: String,
    /// The session's `allowed_origin`; `None` = it is for a link, and for no page.
    pub allowed: Option<Origin>,
}

impl ForeignPage {
    /// Notes in the log that a page at `origin` is not the session's. `None` when the browser named no origin: then nobody
    /// knows where the page is.
    pub(super) fn noticed(session: &Session, origin: Option<&str>) -> Option<Self> {
        let origin = origin?;
        let page = origin[..origin.floor_char_boundary(ORIGIN_MAX)].to_owned();
        let foreign = Self { page, allowed: session.data.allowed_origin.clone() };
        tracing::info!(
            sid = %session.sid, page_origin = foreign.page,
            allowed_origin = foreign.allowed.as_ref().map(Origin::as_str),
            "a page at another origin than its session's was refused"
        );
        Some(foreign)
    }
}

/// For the developer of the app.
impl fmt::Display for ForeignPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, allowed } = self;
        match page.as_str() {
            "null" => {
                write!(f, "The page has no origin of its own (it is in a sandboxed frame, or is a file)")?
            }
            page => write!(f, "The page is at {page}")?,
        }
        let Some(allowed) = allowed else {
            return write!(
                f,
                ", but the session is for a link, and for no page. Mint it with the page's origin as allowed_origin."
            );
        };
        write!(
            f,
            ", but the session is for pages at {allowed}. Open the page there, or mint the session with the page's origin \
             as allowed_origin."
        )
    }
}

#[cfg(test)]
mod tests {
    use alter_core::Origin;

    use super::ForeignPage;

    #[test]
    fn the_sentence_names_both_origins_and_the_field_that_mends_it() {
        let told = |page: &str| {
            let allowed = Origin::parse("http://127.0.0.1:3000").ok();
            ForeignPage { page: page.into(), allowed }.to_string()
        };
        let sentence = told("http://localhost:3000");
        for part in ["http://localhost:3000", "http://127.0.0.1:3000", "allowed_origin"] {
            assert!(sentence.contains(part), "{sentence}");
        }
        assert!(told("null").contains("sandboxed frame"));
        let for_a_link = ForeignPage { page: "https://a.example".into(), allowed: None }.to_string();
        assert!(for_a_link.contains("allowed_origin"), "{for_a_link}");
    }
}
