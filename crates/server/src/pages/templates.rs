//! The templates' Rust side: one struct for each file in `ui/pages`, and the match that picks it.

use askama::Template;

use super::clean::{clean, clean_origin};
use super::views::{
    CancelledView, ConsentView, CustomerView, DeniedView, DoneView, ExpiryReason, ExtraView, Frame, Page,
    PickerView, ProviderErrorView, ProviderFault, SignInView, Unproven, WaitingView, WebviewView,
};
use super::{assets, filters, tile};

/// What `base.html` needs, cleaned, with words in place of absent values.
struct Surround<'a> {
    page: &'static str,
    sid: &'a str,
    instance: u64,
    /// The app's name, or "the app": for the middle of a sentence.
    app: String,
    /// The same, for the beginning of a sentence.
    app_start: String,
    app_name: Option<String>,
    app_origin: Option<String>,
    /// Where the main button leads; `None` = it closes the window.
    back: Option<&'a str>,
    /// Providers get a window of their own.
    hub: bool,
    /// The page has nothing to say that the app's own page will not: it goes there at once.
    leaves: bool,
    app_tile: u32,
    app_mark: String,
    /// A browser that sends too much cannot fetch the script either.
    scripted: bool,
    style: &'static str,
    script_path: &'static str,
}

impl<'a> Surround<'a> {
    fn new(page: &Page<'_>, frame: &Frame<'a>) -> Self {
        let app_name = frame.app_name.map(clean).filter(|name| !name.is_empty());
        Self {
            page: page_name(page),
            sid: frame.sid.unwrap_or_default(),
            instance: frame.instance,
            app: app_name.clone().unwrap_or_else(|| "the app".to_owned()),
            app_start: app_name.clone().unwrap_or_else(|| "The app".to_owned()),
            app_tile: tile::tone(frame.app_origin.or(frame.app_name).unwrap_or_default()),
            app_mark: tile::mark(app_name.as_deref().unwrap_or_default()),
            app_origin: frame.app_origin.map(clean_origin).filter(|origin| !origin.is_empty()),
            app_name,
            back: frame.back,
            hub: frame.hub,
            leaves: frame.back.is_some() && leaves(page),
            scripted: !matches!(page, Page::HeadersTooLarge),
            style: assets::STYLE,
            script_path: assets::script_path(),
        }
    }
}

/// Failures stay, because they say something that the user may have to do.
fn leaves(page: &Page<'_>) -> bool {
    matches!(page, Page::Done(_) | Page::Denied(_) | Page::Cancelled(_))
}

/// The name that the script knows a page by (`data-page`).
fn page_name(page: &Page<'_>) -> &'static str {
    match page {
        Page::Shell { .. } => "shell",
        Page::SignIn(_) => "sign_in",
        Page::SignedIn { .. } => "done",
        Page::Picker(_) => "picker",
        Page::Customer(_) => "customer",
        Page::Consent(_) => "consent",
        Page::Webview(_) => "webview",
        Page::Extra(_) => "extra",
        Page::Waiting(_) => "waiting",
        Page::Done(_) => "done",
        Page::Denied(_) => "denied",
        Page::ProviderError(_) => "provider_error",
        Page::Cancelled(_) => "cancelled",
        Page::Expired { .. }
        | Page::WrongBrowser
        | Page::RefusedForm { .. }
        | Page::CookiesBlocked
        | Page::OpenFromApp { .. }
        | Page::NoWayBack { .. }
        | Page::AppUnreachable { .. }
        | Page::InvalidToken
        | Page::ServerError { .. }
        | Page::NotFound
        | Page::HeadersTooLarge
        | Page::WrongHost { .. } => "notice",
    }
}

/// The two origins of a page that is not its session's, cleaned.
struct Foreign {
    /// `None` when the page has no origin of its own.
    page: Option<String>,
    allowed: String,
}

impl Foreign {
    fn of(why: Unproven<'_>) -> Option<Self> {
        let Unproven::OtherOrigin { page, allowed } = why else { return None };
        let page = (page != "null").then(|| clean_origin(page));
        Some(Self { page, allowed: clean_origin(allowed) })
    }
}

/// Declares one template struct: the surround, and what the page itself needs.
macro_rules! template {
    ($name:ident, $path:literal, $($field:ident: $type:ty),*) => {
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            frame: Surround<'a>,
            $($field: $type,)*
        }
    };
}

template!(ShellPage, "shell.html", site: &'a str);
template!(SignInPage, "sign_in.html", view: &'a SignInView<'a>);
template!(SignedInPage, "signed_in.html", user: Option<&'a str>);
template!(PickerPage, "picker.html", view: &'a PickerView<'a>, searchable: bool);
template!(CustomerPage, "customer.html", view: &'a CustomerView<'a>);
template!(ConsentPage, "consent.html", view: &'a ConsentView<'a>);
template!(WebviewPage, "webview.html", view: &'a WebviewView<'a>);
template!(ExtraPage, "extra.html", view: &'a ExtraView<'a>);
template!(WaitingPage, "waiting.html", view: &'a WaitingView<'a>);
template!(DonePage, "done.html", view: &'a DoneView<'a>);
template!(DeniedPage, "denied.html", view: &'a DeniedView<'a>);
template!(ProviderErrorPage, "provider_error.html", view: &'a ProviderErrorView<'a>);
template!(CancelledPage, "cancelled.html", view: &'a CancelledView<'a>);
template!(ExpiredPage, "expired.html", reason: ExpiryReason);
template!(WrongBrowserPage, "wrong_browser.html",);
template!(RefusedFormPage, "refused_form.html", foreign: bool);
template!(CookiesBlockedPage, "cookies_blocked.html",);
template!(OpenFromAppPage, "open_from_app.html", app: String, used_window: bool, foreign: Option<Foreign>);
template!(NoWayBackPage, "no_way_back.html", app: String);
template!(AppUnreachablePage, "app_unreachable.html", app: String, server_origin: String);
template!(InvalidTokenPage, "invalid_token.html",);
template!(ServerErrorPage, "server_error.html", request_id: &'a str);
template!(NotFoundPage, "not_found.html",);
template!(HeadersTooLargePage, "headers_too_large.html",);
template!(WrongHostPage, "wrong_host.html", expected: String);

pub(super) fn html(page: &Page<'_>, around: &Frame<'_>) -> String {
    let frame = Surround::new(page, around);
    let written = match page {
        Page::Shell { site } => ShellPage { frame, site }.render(),
        Page::SignIn(view) => SignInPage { frame, view }.render(),
        Page::SignedIn { user } => SignedInPage { frame, user: *user }.render(),
        Page::Picker(view) => {
            let searchable = view.providers.len() > PickerView::SEARCH_ABOVE;
            PickerPage { frame, view, searchable }.render()
        }
        Page::Customer(view) => CustomerPage { frame, view }.render(),
        Page::Consent(view) => ConsentPage { frame, view }.render(),
        Page::Webview(view) => WebviewPage { frame, view }.render(),
        Page::Extra(view) => ExtraPage { frame, view }.render(),
        Page::Waiting(view) => WaitingPage { frame, view }.render(),
        Page::Done(view) => DonePage { frame, view }.render(),
        Page::Denied(view) => DeniedPage { frame, view }.render(),
        Page::ProviderError(view) => ProviderErrorPage { frame, view }.render(),
        Page::Cancelled(view) => CancelledPage { frame, view }.render(),
        Page::Expired { reason } => ExpiredPage { frame, reason: *reason }.render(),
        Page::WrongBrowser => WrongBrowserPage { frame }.render(),
        Page::RefusedForm { foreign } => RefusedFormPage { frame, foreign: *foreign }.render(),
        Page::CookiesBlocked => CookiesBlockedPage { frame }.render(),
        Page::OpenFromApp { app, why } => {
            let app = app.map(clean).filter(|name| !name.is_empty()).unwrap_or_else(|| "your app".to_owned());
            let used_window = *why == Unproven::UsedWindow;
            OpenFromAppPage { frame, app, used_window, foreign: Foreign::of(*why) }.render()
        }
        Page::NoWayBack { app } => NoWayBackPage { frame, app: clean(app) }.render(),
        Page::AppUnreachable { app, server_origin } => {
            AppUnreachablePage { frame, app: clean(app), server_origin: clean_origin(server_origin) }.render()
        }
        Page::InvalidToken => InvalidTokenPage { frame }.render(),
        Page::ServerError { request_id } => ServerErrorPage { frame, request_id }.render(),
        Page::NotFound => NotFoundPage { frame }.render(),
        Page::HeadersTooLarge => HeadersTooLargePage { frame }.render(),
        Page::WrongHost { expected } => WrongHostPage { frame, expected: clean_origin(expected) }.render(),
    };
    written.expect("writing to a String cannot fail, and no filter of ours returns an error")
}
