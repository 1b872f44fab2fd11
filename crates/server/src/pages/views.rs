//! The data that each page needs. Plain borrowed text: nothing here is escaped, cleaned or cut; the templates do that.
//! Where a field is an `Option`, the page has words for its absence.

use alter_core::SignInFault;

/// The frame around every page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Frame<'a> {
    /// The session's public id, on the pages of a flow (`/connect/s/{sid}`); `None` on all others. Pages with an id report
    /// presence.
    pub sid: Option<&'a str>,
    /// The page's instance number: a `bye` counts only for the newest (protocol 3).
    pub instance: u64,
    /// The app's name, where the session is known. Without it pages say "the app".
    pub app_name: Option<&'a str>,
    /// The app's origin, shown beside the name.
    pub app_origin: Option<&'a str>,
    /// Where the page's main button leads, at the end of a redirect flow: back to the app. `None` = it closes the window.
    pub back: Option<&'a str>,
    /// Client 0.8.0 hears of the end from this window: it stays, and providers get a window of their own (threats 6.5).
    pub hub: bool,
}

/// One hosted page with what it shows.
#[derive(Debug, Clone, Copy)]
pub enum Page<'a> {
    /// `GET /sdk/oauth/connect`: takes the token from the fragment and claims the session.
    Shell {
        /// The `Sec-Fetch-Site` value of this very request, one of the marks of an unproven claim.
        site: &'a str,
    },
    /// A link brought the browser here: its user signs in at the app's identity provider first.
    SignIn(SignInView<'a>),
    /// Somebody has signed in for an auth session.
    SignedIn {
        /// What pages call that user.
        user: Option<&'a str>,
    },
    /// Which service to connect.
    Picker(PickerView<'a>),
    /// At which of the provider's customers the account is.
    Customer(CustomerView<'a>),
    /// What will be connected, for whom, and what it allows; before any provider is contacted.
    Consent(ConsentView<'a>),
    /// The provider shows no sign-in in the app whose browser this is.
    Webview(WebviewView<'a>),
    /// A connection was made with more scopes than were asked for: may the agent use them?
    Extra(ExtraView<'a>),
    /// The provider answered and the exchange is under way.
    Waiting(WaitingView<'a>),
    /// The flow is complete.
    Done(DoneView<'a>),
    /// Access was declined, at the provider or on the consent page.
    Denied(DeniedView<'a>),
    /// The provider failed or answered with an error.
    ProviderError(ProviderErrorView<'a>),
    /// The session or its link is over.
    Expired {
        /// Why.
        reason: ExpiryReason,
    },
    /// The session was claimed by another browser.
    WrongBrowser,
    /// A form that was not used.
    RefusedForm {
        /// No page of ours sent it; otherwise it cannot be read.
        foreign: bool,
    },
    /// The cookie set at the claim did not come back.
    CookiesBlocked,
    /// A claim without the proof that the session demands.
    OpenFromApp {
        /// The app's name, only where the browser knows the session's token.
        app: Option<&'a str>,
        /// What is missing.
        why: Unproven<'a>,
    },
    /// A browser that came by a redirect, for a session without a `return_url`.
    NoWayBack {
        /// The app's name.
        app: &'a str,
    },
    /// The user (or the app) cancelled.
    Cancelled(CancelledView<'a>),
    /// No status call has come from the app's page: it would never learn the result.
    AppUnreachable {
        /// The app's name.
        app: &'a str,
        /// Our own origin, as the app's CSP must name it.
        server_origin: &'a str,
    },
    /// A malformed or unknown session token.
    InvalidToken,
    /// We failed.
    ServerError {
        /// The request id in our log.
        request_id: &'a str,
    },
    /// No such page.
    NotFound,
    /// More than 16 KiB of request headers (431).
    HeadersTooLarge,
    /// The request's Host is not ours (421).
    WrongHost {
        /// The public address of this server.
        expected: &'a str,
    },
}

impl Page<'_> {
    /// Whether the page may be compressed when it is sent. How well a body compresses tells how much of one part of it is
    /// in another (BREACH), so a page that holds a text which strangers choose beside something private stays plain: a
    /// provider's error code came in the query of a request, the message for client 0.8.0 holds ids and such words too, the
    /// page that opened ours has its origin from its request, and a customer's host was typed into a form. All others hold no
    /// credential (a token, a cookie or a code is in no page), show nothing of the request but the browser's own word
    /// (`Sec-Fetch-Site`, on a page that holds nothing else), and those of a flow can be had only with its id and its cookie.
    /// A new page is plain until it is named here.
    #[must_use]
    pub fn may_be_compressed(&self) -> bool {
        match self {
            Self::ProviderError(view) => view.provider_code.is_none() && view.legacy.is_none(),
            Self::Done(DoneView { legacy, .. })
            | Self::Denied(DeniedView { legacy, .. })
            | Self::Cancelled(CancelledView { legacy, .. }) => legacy.is_none(),
            Self::OpenFromApp { why, .. } => !matches!(why, Unproven::OtherOrigin { .. }),
            Self::Consent(view) => !view.can_change_host,
            Self::Shell { .. }
            | Self::SignIn(_)
            | Self::SignedIn { .. }
            | Self::Picker(_)
            | Self::Webview(_)
            | Self::Waiting(_)
            | Self::Expired { .. }
            | Self::WrongBrowser
            | Self::RefusedForm { .. }
            | Self::CookiesBlocked
            | Self::NoWayBack { .. }
            | Self::AppUnreachable { .. }
            | Self::InvalidToken
            | Self::NotFound
            | Self::HeadersTooLarge
            | Self::WrongHost { .. } => true,
            _ => false,
        }
    }
}

/// The page before all others of a link.
#[derive(Debug, Clone, Copy)]
pub struct SignInView<'a> {
    /// The identity provider's host.
    pub host: &'a str,
    /// It is for an auth session: whoever signs in gives the app their token. `None` = for a session's own user.
    pub asked: Option<&'a Asked>,
    /// Why signing in came to nothing before.
    pub fault: Option<SignInFault>,
}

/// Who asks that somebody signs in.
#[derive(Debug)]
pub struct Asked {
    /// The name of the app's key that asks.
    pub requester: String,
    /// The asking side shows the same code.
    pub code: String,
}

impl SignInView<'_> {
    /// Another user has signed in.
    pub fn is_other_user(&self) -> bool {
        self.fault == Some(SignInFault::OtherUser)
    }

    /// The user refused.
    pub fn is_denied(&self) -> bool {
        self.fault == Some(SignInFault::Denied)
    }

    /// The user came back too late.
    pub fn is_late(&self) -> bool {
        self.fault == Some(SignInFault::Late)
    }

    /// The user may not try again.
    pub fn is_over(&self) -> bool {
        self.fault == Some(SignInFault::TooMany)
    }
}

/// The picker.
#[derive(Debug, Clone, Copy)]
pub struct PickerView<'a> {
    /// The services on offer, in the order to show. More than [`PickerView::SEARCH_ABOVE`] get a search field.
    pub providers: &'a [ProviderChoice<'a>],
    /// Something was connected in this flow already: "Done" replaces "Cancel".
    pub any_connected: bool,
    /// The name of the service that was just declined, said in a note.
    pub declined: Option<&'a str>,
}

impl PickerView<'_> {
    /// The picker is searchable past this many services (decisions 4).
    pub const SEARCH_ABOVE: usize = 8;
}

/// One service of the picker.
#[derive(Debug, Clone, Copy)]
pub struct ProviderChoice<'a> {
    /// The id sent with `select`.
    pub id: &'a str,
    /// Its display name.
    pub name: &'a str,
    /// The account connected in this flow, if any.
    pub connected_account: Option<&'a str>,
}

/// The page that asks where the account is, at a provider with a host for each customer. Its form works without the script.
#[derive(Debug, Clone, Copy)]
pub struct CustomerView<'a> {
    /// The id sent with the form.
    pub provider_id: &'a str,
    /// Its display name.
    pub provider_name: &'a str,
    /// What is asked for.
    pub fields: &'a [CustomerField<'a>],
    /// Several services are on offer: a button leads back to the picker (`back`).
    pub can_go_back: bool,
}

/// One label of a host.
#[derive(Debug, Clone, Copy)]
pub struct CustomerField<'a> {
    /// The name sent with the form.
    pub name: &'a str,
    /// What to write, in the recipe's words.
    pub label: &'a str,
    /// A value that could be right.
    pub example: &'a str,
    /// What comes after it in the host: `.shops.example`.
    pub after: &'a str,
    /// What the person typed before.
    pub typed: &'a str,
    /// Why that is not taken.
    pub oops: Option<&'a str>,
}

/// The consent page.
#[derive(Debug, Clone, Copy)]
pub struct ConsentView<'a> {
    /// The id sent with `approve`.
    pub provider_id: &'a str,
    /// Sent with `approve` too: a hash of all that this page shows and asks for.
    pub shown: &'a str,
    /// Its display name.
    pub provider_name: &'a str,
    /// The hosts of the provider's customer, where it has one for each.
    pub hosts: &'a [String],
    /// The person typed it: a form takes it back.
    pub can_change_host: bool,
    /// What will be asked for, one line each.
    pub scopes: &'a [ScopeLine<'a>],
    /// The user as the app names them; without one the page says "for APP".
    pub user: Option<&'a str>,
    /// The agent that gets a delegation with this approval (T13).
    pub agent: Option<&'a str>,
    /// The session was opened by a bare link (L0): the page asks whether the user began this, and says what comes of it if not.
    pub opened_by_link: bool,
    /// The app has the last word (L3): the page says that it checks who started.
    pub confirmed_by_app: bool,
    /// The account connected at this provider now, if known: approving renews it or adds another.
    pub connected_account: Option<&'a str>,
    /// Several services are on offer: a button leads back to the picker (`back`).
    pub can_go_back: bool,
}

/// One permission.
#[derive(Debug, Clone, Copy)]
pub struct ScopeLine<'a> {
    /// The scope as the provider writes it.
    pub code: &'a str,
    /// The same in plain words ("Read your calendar"), where the catalog has them.
    pub text: Option<&'a str>,
}

/// The question about scopes that nobody asked for.
#[derive(Debug, Clone, Copy)]
pub struct ExtraView<'a> {
    /// The provider's display name.
    pub provider_name: &'a str,
    /// The account that was connected.
    pub account: &'a str,
    /// The agent that may use the scopes if the user says so.
    pub agent: &'a str,
    /// The scopes, one line each.
    pub scopes: &'a [ScopeLine<'a>],
    /// Sent with the answer: a hash of all that this page shows.
    pub shown: &'a str,
}

/// The waiting page.
#[derive(Debug, Clone, Copy)]
pub struct WaitingView<'a> {
    /// The provider's id (for its tile).
    pub provider_id: &'a str,
    /// Its display name.
    pub provider_name: &'a str,
}

/// The last page of a completed flow.
#[derive(Debug, Clone, Copy)]
pub struct DoneView<'a> {
    /// What was connected in this flow.
    pub connections: &'a [ConnectionLine<'a>],
    /// The app has to confirm it (binding level L3).
    pub awaits_app: bool,
    /// The message for client 0.8.0; `None` for our own SDK, which needs none.
    pub legacy: Option<Legacy<'a>>,
}

/// One connection on the done page.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLine<'a> {
    /// The provider's id (for its tile).
    pub provider_id: &'a str,
    /// Its display name.
    pub provider_name: &'a str,
    /// The account at the provider, where it could be read.
    pub account: Option<&'a str>,
}

/// The `postMessage` that client 0.8.0 gets (wire 6).
#[derive(Debug, Clone, Copy)]
pub struct Legacy<'a> {
    /// The whole message as JSON.
    pub message_json: &'a str,
    /// The session's `allowed_origin`, byte for byte; the script posts to no other.
    pub target_origin: &'a str,
}

/// How the user can go on after a failed attempt. With neither way, the failure is final, and the page says how to leave.
#[derive(Debug, Clone, Copy, Default)]
pub struct Next {
    /// "Try again": `select` with the same provider.
    pub try_again: bool,
    /// "Choose another service": `back`.
    pub choose_another: bool,
}

/// The page after a declined access.
#[derive(Debug, Clone, Copy)]
pub struct DeniedView<'a> {
    /// The provider's id.
    pub provider_id: &'a str,
    /// Its display name.
    pub provider_name: &'a str,
    /// How the user can go on.
    pub next: Next,
    /// The message for client 0.8.0, on a final failure.
    pub legacy: Option<Legacy<'a>>,
}

/// The page after a provider's failure.
#[derive(Debug, Clone, Copy)]
pub struct ProviderErrorView<'a> {
    /// The provider's id.
    pub provider_id: &'a str,
    /// Its display name.
    pub provider_name: &'a str,
    /// What went wrong, in our terms: it chooses the words.
    pub fault: ProviderFault,
    /// The error code that the provider sent.
    pub provider_code: Option<&'a str>,
    /// The request id in our log.
    pub request_id: Option<&'a str>,
    /// How the user can go on.
    pub next: Next,
    /// The message for client 0.8.0, on a final failure.
    pub legacy: Option<Legacy<'a>>,
}

/// Whose turn it is after a failure, and what the user can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderFault {
    /// It did not answer: waiting may help.
    Unavailable,
    /// It does not know this client or callback, or is no longer configured: the operator must act.
    Misconfigured,
    /// The agent that the connection was for is gone: the app must act.
    AgentGone,
    /// The agent that the connection was for is suspended: the app must act.
    AgentSuspended,
    /// It answered with an OAuth error.
    Refused,
    /// Its answer failed a check (issuer, id_token, token response, identity).
    BadAnswer,
    /// What the user came back with cannot be read.
    Unreadable,
    /// The exchange was cut off; the outcome at the provider is unknown.
    Interrupted,
}

/// Why a page counts as not opened by its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven<'a> {
    /// There is no proof, or a wrong one.
    NoProof,
    /// The window has shown other pages before (binding level L1).
    UsedWindow,
    /// The page that opened this one is at another origin than the session's.
    OtherOrigin {
        /// Where that page is; `null` = the browser says that it is nowhere.
        page: &'a str,
        /// Where the session wants it.
        allowed: &'a str,
    },
}

/// Why a session or link is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryReason {
    /// Its time ran out.
    Expired,
    /// The link was used for a flow before.
    Used,
    /// Nobody can tell what came back, or to which flow it belongs.
    NotUnderstood,
    /// The flow is complete, failed or cancelled, and nothing more is to be shown about it.
    Ended,
}

/// The page after a cancelled flow.
#[derive(Debug, Clone, Copy)]
pub struct CancelledView<'a> {
    /// Something was connected before, and stays.
    pub any_connected: bool,
    /// The message for client 0.8.0, if it is to get one.
    pub legacy: Option<Legacy<'a>>,
}

/// What stands in the way of a provider that shows no sign-in inside another app, and the way round it.
#[derive(Debug, Clone, Copy)]
pub struct WebviewView<'a> {
    /// Provider id, for the tile.
    pub provider_id: &'a str,
    /// Its name.
    pub provider_name: &'a str,
    /// The app whose browser this is; `None` = an app that does not say its name.
    pub inside: Option<&'a str>,
    /// The system's own browser.
    pub browser: &'a str,
    /// The address to open there: the page of the app that starts the flow anew. `None` = a link has none.
    pub address: Option<&'a str>,
    /// There is a choice to go back to.
    pub can_go_back: bool,
    /// The user wants to sign in to the app itself: the provider is the app's identity provider.
    pub signs_in: bool,
}
