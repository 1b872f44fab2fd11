//! The hosted Connect pages: what people see while they connect an account.
//!
//! Here: the view of each page (the data it needs), the templates' Rust side, the cleaning of text that others supplied,
//! and the two assets with their CSP. The words and the markup are in `ui/pages`, the style and the script in `ui/assets`.
//! Not here: routes, headers, cookies, and every decision about which page to show.
//!
//! To add a page: a variant of [`Page`], a template in `ui/pages` that extends `base.html`, its struct in
//! `templates.rs`, and a sample in `samples.rs`; the tests then hold it to the rules of all pages.

mod assets;
mod clean;
mod filters;
mod templates;
mod tile;
mod views;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use assets::{SCRIPT, content_security_policy, script_path};
pub use views::{
    Asked, CancelledView, ConnectionLine, ConsentView, CustomerField, CustomerView, DeniedView, DoneView,
    ExpiryReason, ExtraView, Frame, Legacy, Next, Page, PickerView, ProviderChoice, ProviderErrorView,
    ProviderFault, ScopeLine, SignInView, Unproven, WaitingView, WebviewView,
};

/// A page ready to be sent as `text/html; charset=utf-8`. The route adds status and headers, among them
/// [`content_security_policy`], without which the page's own style would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole document.
    pub html: String,
}

/// Renders one page in its frame. This cannot fail: the templates only write text into a `String`.
#[must_use]
pub fn render(page: &Page<'_>, frame: &Frame<'_>) -> Rendered {
    Rendered { html: templates::html(page, frame) }
}
