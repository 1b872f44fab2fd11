//! One sample for each page and state: the tests render them, and the gallery (`examples/gallery.rs`) writes them out to
//! be looked at. A new page or state gets a line here; otherwise nobody sees it before users do.

use alter_core::SignInFault;

use super::{
    Asked, CancelledView, ConnectionLine, ConsentView, CustomerField, CustomerView, DeniedView, DoneView,
    ExpiryReason, ExtraView, Frame, Legacy, Next, Page, PickerView, ProviderChoice, ProviderErrorView,
    ProviderFault, ScopeLine, SignInView, Unproven, WaitingView, WebviewView,
};

/// A page in one state, with the name of its file in the gallery.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) page: Page<'static>,
    pub(super) frame: Frame<'static>,
}

const FLOW: Frame<'static> = Frame {
    sid: Some("k3v9q2m7x4b8n1c6z5w0p3r7t2"),
    instance: 3,
    app_name: Some("Acme Notes"),
    app_origin: Some("https://notes.acme.example"),
    back: None,
    hub: false,
};
const BARE: Frame<'static> =
    Frame { sid: None, instance: 0, app_name: None, app_origin: None, back: None, hub: false };
const KNOWN: Frame<'static> = Frame { sid: None, ..FLOW };
/// The end of a redirect flow.
const REDIRECT: Frame<'static> = Frame { back: Some("/connect/s/k3v9q2m7x4b8n1c6z5w0p3r7t2/return"), ..FLOW };
/// A browser that was not let in.
const REFUSED: Frame<'static> = Frame {
    app_name: FLOW.app_name,
    back: Some("https://notes.acme.example/connected?tab=2&alter_connect_error=true"),
    ..BARE
};
const LONG: Frame<'static> = Frame {
    app_name: Some("Überregionale Verwaltungsgemeinschaft für Terminabstimmung und Protokollführung"),
    app_origin: Some("https://terminabstimmung-und-protokolle.verwaltungsgemeinschaft.example:8443"),
    ..FLOW
};

const LONG_REDIRECT: Frame<'static> = Frame { back: REDIRECT.back, ..LONG };

const fn choice(
    id: &'static str,
    name: &'static str,
    connected: Option<&'static str>,
) -> ProviderChoice<'static> {
    ProviderChoice { id, name, connected_account: connected }
}
const FEW: &[ProviderChoice<'static>] =
    &[choice("google", "Google", None), choice("slack", "Slack", None), choice("github", "GitHub", None)];
const SOME_CONNECTED: &[ProviderChoice<'static>] = &[
    choice("google", "Google", Some("ada.lovelace@analytical-engine.example")),
    choice("slack", "Slack", None),
    choice("github", "GitHub", None),
];
const LONG_CONNECTED: &[ProviderChoice<'static>] = &[
    choice("slack", "Slack", Some(LONG_USER)),
    choice("github", "GitHub", Some("محمد بن عبد الله الخوارزمي (Ops) 👩‍💻")),
];
const MANY: &[ProviderChoice<'static>] = &[
    choice("asana", "Asana", None),
    choice("dropbox", "Dropbox", None),
    choice("github", "GitHub", None),
    choice("gitlab", "GitLab", None),
    choice("google", "Google", None),
    choice("hubspot", "HubSpot", None),
    choice("linear", "Linear", None),
    choice("microsoft", "Microsoft 365", None),
    choice("notion", "Notion", None),
    choice("salesforce", "Salesforce", None),
    choice("slack", "Slack", None),
    choice("zoom", "Zoom", None),
];

const fn scope(code: &'static str, text: Option<&'static str>) -> ScopeLine<'static> {
    ScopeLine { code, text }
}
const CALENDAR: &[ScopeLine<'static>] = &[
    scope("openid email", Some("See your name and e-mail address")),
    scope(
        "https://www.googleapis.com/auth/calendar.events",
        Some("See, add and change events in your calendar"),
    ),
];
const MIXED: &[ScopeLine<'static>] = &[
    scope("repo", Some("Read and write all your repositories, also private ones")),
    scope("read:org", Some("See which organisations you belong to")),
    scope("admin:repo_hook", None),
    scope("user:email", Some("See your e-mail addresses")),
    scope("gist", Some("Create gists")),
    scope("offline_access", Some("Keep working while you are away")),
];
const TWENTY: &[ScopeLine<'static>] = &[
    scope("channels:history", Some("Read messages in public channels")),
    scope("channels:read", Some("See the list of public channels")),
    scope("channels:write", Some("Create, rename and close public channels")),
    scope("chat:write", Some("Send messages as you")),
    scope("emoji:read", Some("See custom emoji")),
    scope("files:read", Some("See files that were shared with you")),
    scope("files:write", Some("Add, edit and delete files as you")),
    scope("groups:history", Some("Read messages in private channels that you are in")),
    scope("groups:read", Some("See the list of private channels that you are in")),
    scope("im:history", Some("Read your direct messages")),
    scope("im:read", Some("See the list of your direct messages")),
    scope("links:read", Some("See links in messages")),
    scope("pins:read", Some("See what is pinned")),
    scope("pins:write", Some("Pin and unpin messages")),
    scope("reactions:read", Some("See reactions")),
    scope("reactions:write", Some("Add and remove reactions as you")),
    scope("search:read", Some("Search everything that you can see")),
    scope("team:read", Some("See the name and address of the workspace")),
    scope("admin.conversations:write", None),
    scope("https://api.example/auth/conversations.connect.invitations.approve.everywhere", None),
];
/// What the product's own demo asks for.
const FOUR: &[ScopeLine<'static>] = &[
    scope("openid", Some("Know which account this is")),
    scope("email", Some("See your e-mail address")),
    scope("profile", Some("See your name and picture")),
    scope("offline_access", Some("Keep working while you are away")),
];
/// The longest names: 80 characters for an agent, 200 shown for a user.
const LONG_AGENT: &str = "Quarterly revenue reconciliation and customer-correspondence assistant (Europe)!";
const LONG_USER: &str = "Maria-Magdalena von Hohenlohe-Waldenburg-Schillingsfürst zu Sayn-Wittgenstein-Berleburg, head of the department for interdepartmental correspondence and records, second deputy of the works council, Vienna";

const CONSENT: ConsentView<'static> = ConsentView {
    provider_id: "google",
    provider_name: "Google",
    shown: "c2hvd24",
    hosts: &[],
    can_change_host: false,
    scopes: CALENDAR,
    user: Some("ada@analytical-engine.example"),
    agent: None,
    opened_by_link: false,
    confirmed_by_app: false,
    connected_account: None,
    can_go_back: false,
};
const SUBDOMAIN: CustomerField<'static> = CustomerField {
    name: "at.subdomain",
    label: "Your Zendesk subdomain",
    example: "acme",
    after: ".zendesk.com",
    typed: "",
    oops: None,
};
const AT_ZENDESK: CustomerView<'static> = CustomerView {
    provider_id: "zendesk",
    provider_name: "Zendesk",
    fields: &[SUBDOMAIN],
    can_go_back: false,
};
const MISTYPED: &[CustomerField<'static>] = &[CustomerField {
    typed: "https://acme.zendesk.com/agent",
    oops: Some("Write the name alone, like acme: letters, digits and hyphens."),
    ..SUBDOMAIN
}];
const BY_AGENT: ConsentView<'static> =
    ConsentView { user: Some("Ada Lovelace"), agent: Some("Mail helper"), ..CONSENT };
const ONE_DONE: &[ConnectionLine<'static>] = &[ConnectionLine {
    provider_id: "google",
    provider_name: "Google",
    account: Some("ada@analytical-engine.example"),
}];
const THREE_DONE: &[ConnectionLine<'static>] = &[
    ONE_DONE[0],
    ConnectionLine {
        provider_id: "slack",
        provider_name: "Slack",
        account: Some("ada in Analytical Engine"),
    },
    ConnectionLine { provider_id: "github", provider_name: "GitHub", account: None },
];
const LONG_DONE: &[ConnectionLine<'static>] =
    &[ConnectionLine { provider_id: "slack", provider_name: "Slack", account: Some(LONG_USER) }, ONE_DONE[0]];
const LEGACY: Legacy<'static> = Legacy {
    message_json: r#"{"type":"alter_connect_success","grants":[{"grant_id":"g1","provider":"google"}]}"#,
    target_origin: "https://notes.acme.example",
};
const FINAL: Next = Next { try_again: false, choose_another: false };
const BOTH: Next = Next { try_again: true, choose_another: true };
const AGAIN: Next = Next { try_again: true, choose_another: false };

const fn failed(fault: ProviderFault, next: Next) -> Page<'static> {
    Page::ProviderError(ProviderErrorView {
        provider_id: "google",
        provider_name: "Google",
        fault,
        provider_code: None,
        request_id: Some("req_7h2k9d4m"),
        next,
        legacy: None,
    })
}

fn at_a_customer() -> ConsentView<'static> {
    static HOSTS: std::sync::LazyLock<[String; 1]> =
        std::sync::LazyLock::new(|| ["acme-support-and-services-of-europe.zendesk.com".to_owned()]);
    ConsentView {
        provider_id: "zendesk",
        provider_name: "Zendesk",
        hosts: &*HOSTS,
        can_change_host: true,
        can_go_back: true,
        ..CONSENT
    }
}

fn sample(name: &'static str, page: Page<'static>, frame: Frame<'static>) -> Sample {
    Sample { name, page, frame }
}

/// Every page in every state that looks different.
pub(super) fn samples() -> Vec<Sample> {
    let mut all = getting_in();
    all.extend(choosing());
    all.extend(asking());
    all.extend(ending());
    all.extend(notices());
    all
}

fn getting_in() -> Vec<Sample> {
    vec![sample("shell", Page::Shell { site: "cross-site" }, BARE)]
}

fn choosing() -> Vec<Sample> {
    let picker =
        |providers, any_connected, declined| Page::Picker(PickerView { providers, any_connected, declined });
    let consent = Page::Consent;
    let waiting = WaitingView { provider_id: "google", provider_name: "Google" };
    let github = ConsentView { provider_id: "github", provider_name: "GitHub", ..CONSENT };
    vec![
        sample("picker", picker(FEW, false, None), FLOW),
        sample("picker-declined", picker(FEW, false, Some("Google")), FLOW),
        sample("picker-connected", picker(SOME_CONNECTED, true, None), FLOW),
        sample("picker-long", picker(LONG_CONNECTED, true, None), FLOW),
        sample("picker-many", picker(MANY, false, None), FLOW),
        sample("customer", Page::Customer(AT_ZENDESK), FLOW),
        sample(
            "customer-mistyped",
            Page::Customer(CustomerView { fields: MISTYPED, can_go_back: true, ..AT_ZENDESK }),
            FLOW,
        ),
        sample("consent", consent(CONSENT), FLOW),
        sample("consent-customer", consent(at_a_customer()), FLOW),
        sample("consent-agent", consent(BY_AGENT), FLOW),
        sample("consent-agent-four", consent(ConsentView { scopes: FOUR, ..BY_AGENT }), FLOW),
        sample(
            "consent-agent-long",
            consent(ConsentView {
                provider_id: "slack",
                provider_name: "Slack",
                scopes: TWENTY,
                user: Some(LONG_USER),
                agent: Some(LONG_AGENT),
                can_go_back: true,
                ..CONSENT
            }),
            FLOW,
        ),
        sample(
            "consent-agent-unbroken",
            consent(ConsentView {
                user: Some(
                    "oauth2|a7c1f0e94b5d4f0f9c2e8d7b6a5948372615fedcba98765432100123456789abcdefa7c1f0e94b5d4f0f9c2e8d7b6a59",
                ),
                agent: Some("revenue_reconciliation_and_correspondence_assistant_production_eu_west_1_v2"),
                ..CONSENT
            }),
            FLOW,
        ),
        sample(
            "consent-agent-scripts",
            consent(ConsentView {
                user: Some("محمد بن عبد الله الخوارزمي (Ops) 👩‍💻"),
                agent: Some("🤖 עוזר המחקר"),
                ..CONSENT
            }),
            FLOW,
        ),
        sample(
            "consent-link-agent",
            consent(ConsentView {
                scopes: MIXED,
                agent: Some("Research helper"),
                opened_by_link: true,
                can_go_back: true,
                ..github
            }),
            FLOW,
        ),
        sample(
            "consent-confirmed-by-app",
            consent(ConsentView { opened_by_link: true, confirmed_by_app: true, ..CONSENT }),
            FLOW,
        ),
        sample(
            "consent-again",
            consent(ConsentView {
                connected_account: Some("ada@analytical-engine.example"),
                can_go_back: true,
                ..CONSENT
            }),
            FLOW,
        ),
        sample(
            "consent-bare",
            consent(ConsentView { scopes: &[], user: None, ..CONSENT }),
            Frame { sid: FLOW.sid, ..BARE },
        ),
        sample(
            "consent-long",
            consent(ConsentView { scopes: MIXED, provider_name: "Microsoft 365", ..CONSENT }),
            LONG,
        ),
        sample("consent-hub", consent(CONSENT), Frame { hub: true, ..FLOW }),
        sample("waiting", Page::Waiting(waiting), FLOW),
        sample("sign-in", Page::SignIn(SIGN_IN), LINK),
        sample(
            "sign-in-other-user",
            Page::SignIn(SignInView { fault: Some(SignInFault::OtherUser), ..SIGN_IN }),
            LINK,
        ),
        sample(
            "sign-in-failed",
            Page::SignIn(SignInView { fault: Some(SignInFault::Failed), ..SIGN_IN }),
            LINK,
        ),
        sample("sign-in-late", Page::SignIn(SignInView { fault: Some(SignInFault::Late), ..SIGN_IN }), LINK),
        sample(
            "sign-in-too-many",
            Page::SignIn(SignInView { fault: Some(SignInFault::TooMany), ..SIGN_IN }),
            LINK,
        ),
        sample(
            "sign-in-long",
            Page::SignIn(SignInView {
                host: "anmeldung.verwaltungsgemeinschaft-terminabstimmung-und-protokolle.example",
                fault: Some(SignInFault::Denied),
                ..SIGN_IN
            }),
            LONG,
        ),
        sample(
            "auth-session",
            Page::SignIn(SignInView { asked: Some(asked("deploy tool")), ..SIGN_IN }),
            LINK,
        ),
        sample(
            "auth-session-long",
            Page::SignIn(SignInView { asked: Some(asked(LONG_AGENT)), ..SIGN_IN }),
            LONG,
        ),
        sample("signed-in", Page::SignedIn { user: Some("Alex Winter") }, LINK),
        sample("signed-in-long", Page::SignedIn { user: Some(LONG_USER) }, LONG),
        sample("webview", Page::Webview(WEBVIEW), FLOW),
        sample(
            "webview-sign-in",
            Page::Webview(WebviewView { address: None, can_go_back: false, signs_in: true, ..WEBVIEW }),
            LINK,
        ),
        sample("webview-link", Page::Webview(WebviewView { address: None, ..WEBVIEW }), LINK),
        sample(
            "webview-unnamed",
            Page::Webview(WebviewView { inside: None, browser: "Chrome", ..WEBVIEW }),
            FLOW,
        ),
        sample(
            "webview-long",
            Page::Webview(WebviewView {
                address: Some(
                    "https://terminabstimmung-und-protokolle.verwaltungsgemeinschaft.example:8443/konten/verbinden",
                ),
                ..WEBVIEW
            }),
            LONG,
        ),
    ]
}

fn asked(requester: &str) -> &'static Asked {
    Box::leak(Box::new(Asked { requester: requester.to_owned(), code: "WDJB-MJHT".to_owned() }))
}

/// A flow that a link began has no page of the app beside it.
const LINK: Frame<'static> = Frame { app_origin: None, ..FLOW };

const SIGN_IN: SignInView<'static> = SignInView { host: "login.acme.example", asked: None, fault: None };

const WEBVIEW: WebviewView<'static> = WebviewView {
    provider_id: "google",
    provider_name: "Google",
    inside: Some("Instagram"),
    browser: "Safari",
    address: Some("https://notes.acme.example/accounts"),
    can_go_back: true,
    signs_in: false,
};

const EXTRA: ExtraView<'static> = ExtraView {
    provider_name: "Microsoft",
    account: "ada@analytical-engine.example",
    agent: "Mail helper",
    scopes: &[
        scope("Mail.Read", Some("Read your e-mail")),
        scope("https://graph.microsoft.com/Calendars.ReadWrite", Some("Read and change your calendars")),
        scope("Sites.Selected", None),
    ],
    shown: "c2hvd24",
};

fn asking() -> Vec<Sample> {
    let long =
        ExtraView { provider_name: "Slack", account: LONG_USER, agent: LONG_AGENT, scopes: TWENTY, ..EXTRA };
    vec![sample("extra", Page::Extra(EXTRA), FLOW), sample("extra-long", Page::Extra(long), LONG)]
}

fn ending() -> Vec<Sample> {
    let done = |connections, legacy| Page::Done(DoneView { connections, awaits_app: false, legacy });
    let denied = |next| {
        Page::Denied(DeniedView { provider_id: "google", provider_name: "Google", next, legacy: None })
    };
    vec![
        sample("done", done(ONE_DONE, None), FLOW),
        sample("done-legacy", done(ONE_DONE, Some(LEGACY)), FLOW),
        sample("done-several", done(THREE_DONE, None), FLOW),
        sample("done-long", done(LONG_DONE, None), FLOW),
        sample("done-none", done(&[], None), FLOW),
        sample(
            "done-awaits",
            Page::Done(DoneView { connections: ONE_DONE, awaits_app: true, legacy: None }),
            FLOW,
        ),
        sample("done-redirect", done(ONE_DONE, None), REDIRECT),
        sample("denied-redirect", denied(FINAL), REDIRECT),
        sample("provider-error-redirect", failed(ProviderFault::Unavailable, FINAL), REDIRECT),
        sample("provider-error-redirect-long", failed(ProviderFault::Misconfigured, FINAL), LONG_REDIRECT),
        sample(
            "cancelled-redirect",
            Page::Cancelled(CancelledView { any_connected: false, legacy: None }),
            REDIRECT,
        ),
        sample("denied", denied(FINAL), FLOW),
        sample("denied-several", denied(BOTH), FLOW),
        sample("provider-error-unavailable", failed(ProviderFault::Unavailable, BOTH), FLOW),
        sample("provider-error-misconfigured", failed(ProviderFault::Misconfigured, FINAL), FLOW),
        sample("provider-error-agent-gone", failed(ProviderFault::AgentGone, FINAL), FLOW),
        sample("provider-error-agent-suspended", failed(ProviderFault::AgentSuspended, FINAL), FLOW),
        sample(
            "provider-error-refused",
            Page::ProviderError(ProviderErrorView {
                provider_id: "google",
                provider_name: "Google",
                fault: ProviderFault::Refused,
                provider_code: Some("invalid_scope"),
                request_id: Some("req_7h2k9d4m"),
                next: AGAIN,
                legacy: None,
            }),
            FLOW,
        ),
        sample("provider-error-bad-answer", failed(ProviderFault::BadAnswer, AGAIN), FLOW),
        sample("provider-error-unreadable", failed(ProviderFault::Unreadable, AGAIN), FLOW),
        sample("provider-error-interrupted", failed(ProviderFault::Interrupted, AGAIN), FLOW),
        sample("cancelled", Page::Cancelled(CancelledView { any_connected: false, legacy: None }), FLOW),
        sample(
            "cancelled-connected",
            Page::Cancelled(CancelledView { any_connected: true, legacy: None }),
            FLOW,
        ),
    ]
}

fn notices() -> Vec<Sample> {
    let expired = |reason| Page::Expired { reason };
    let elsewhere = |page| Page::OpenFromApp {
        app: Some("Acme Notes"),
        why: Unproven::OtherOrigin { page, allowed: "http://127.0.0.1:3000" },
    };
    vec![
        sample("expired", expired(ExpiryReason::Expired), BARE),
        sample("expired-known", expired(ExpiryReason::Expired), KNOWN),
        sample("used", expired(ExpiryReason::Used), BARE),
        sample("not-understood", expired(ExpiryReason::NotUnderstood), BARE),
        sample("ended", expired(ExpiryReason::Ended), KNOWN),
        sample("expired-redirect", expired(ExpiryReason::Expired), REDIRECT),
        sample("used-redirect", expired(ExpiryReason::Used), REFUSED),
        sample("cookies-blocked-redirect", Page::CookiesBlocked, REFUSED),
        sample(
            "open-from-app-redirect",
            Page::OpenFromApp { app: Some("Acme Notes"), why: Unproven::NoProof },
            REFUSED,
        ),
        sample("no-way-back", Page::NoWayBack { app: "Acme Notes" }, REFUSED),
        sample("wrong-browser", Page::WrongBrowser, BARE),
        sample("foreign-form", Page::RefusedForm { foreign: true }, BARE),
        sample("unread-form", Page::RefusedForm { foreign: false }, BARE),
        sample("cookies-blocked", Page::CookiesBlocked, BARE),
        sample("open-from-app", Page::OpenFromApp { app: None, why: Unproven::NoProof }, BARE),
        sample("used-window", Page::OpenFromApp { app: None, why: Unproven::UsedWindow }, BARE),
        sample(
            "open-from-app-known",
            Page::OpenFromApp { app: Some("Acme Notes"), why: Unproven::NoProof },
            BARE,
        ),
        sample("other-origin", elsewhere("http://localhost:3000"), BARE),
        sample("other-origin-none", elsewhere("null"), BARE),
        sample(
            "app-unreachable",
            Page::AppUnreachable { app: "Acme Notes", server_origin: "https://connect.acme.example" },
            FLOW,
        ),
        sample("invalid-token", Page::InvalidToken, BARE),
        sample("server-error", Page::ServerError { request_id: "req_7h2k9d4m" }, BARE),
        sample("not-found", Page::NotFound, BARE),
        sample("headers-too-large", Page::HeadersTooLarge, BARE),
        sample("wrong-host", Page::WrongHost { expected: "https://connect.acme.example" }, BARE),
    ]
}
