//! Every page with the same text in every field that comes from outside.

use super::*;

pub(super) fn every_page_saying(text: &str) -> Vec<(&'static str, String)> {
    let around = Some(text);
    let frame = Frame {
        sid: around,
        instance: u64::MAX,
        app_name: around,
        app_origin: around,
        back: None,
        hub: true,
    };
    let choices = [ProviderChoice { id: text, name: text, connected_account: Some(text) }; 9];
    let scopes = [ScopeLine { code: text, text: Some(text) }, ScopeLine { code: text, text: None }];
    let lines = [ConnectionLine { provider_id: text, provider_name: text, account: Some(text) }; 2];
    // A placeholder's name is checked when the recipe is: letters, digits, `_`, `-` and `.`.
    let field = CustomerField {
        name: "at.shop",
        label: text,
        example: text,
        after: text,
        typed: text,
        oops: Some(text),
    };
    let (fields, hosts) = ([field; 2], [text.to_owned()]);
    let legacy = Some(Legacy { message_json: text, target_origin: text });
    let next = Next { try_again: true, choose_another: true };
    let (provider_id, provider_name) = (text, text);
    let asked = Asked { requester: text.to_owned(), code: "WDJB-MJHT".to_owned() }; // the code is our own
    let mut pages = vec![
        ("shell", Page::Shell { site: text }),
        (
            "picker",
            Page::Picker(PickerView { providers: &choices, any_connected: false, declined: Some(text) }),
        ),
        (
            "picker done",
            Page::Picker(PickerView { providers: &choices, any_connected: true, declined: None }),
        ),
        (
            "customer",
            Page::Customer(CustomerView { provider_id, provider_name, fields: &fields, can_go_back: true }),
        ),
        (
            "consent",
            Page::Consent(ConsentView {
                provider_id,
                provider_name,
                shown: "c2hvd24", // our own hash
                hosts: &hosts,
                can_change_host: true,
                scopes: &scopes,
                user: Some(text),
                agent: Some(text),
                opened_by_link: true,
                confirmed_by_app: true,
                connected_account: Some(text),
                can_go_back: true,
            }),
        ),
        (
            "extra",
            Page::Extra(ExtraView {
                provider_name,
                account: text,
                agent: text,
                scopes: &scopes,
                shown: "c2hvd24", // our own hash
            }),
        ),
        (
            "webview",
            Page::Webview(WebviewView {
                provider_id,
                provider_name,
                inside: None,
                browser: "Chrome",
                address: Some(text),
                can_go_back: true,
                signs_in: false,
            }),
        ),
        (
            "webview sign-in",
            Page::Webview(WebviewView {
                provider_id,
                provider_name,
                inside: None,
                browser: "Chrome",
                address: Some(text),
                can_go_back: false,
                signs_in: true,
            }),
        ),
        ("sign in", Page::SignIn(SignInView { host: text, asked: Some(&asked), fault: None })),
        ("signed in", Page::SignedIn { user: Some(text) }),
        ("waiting", Page::Waiting(WaitingView { provider_id, provider_name })),
        ("done", Page::Done(DoneView { connections: &lines, awaits_app: false, legacy })),
        ("done awaits", Page::Done(DoneView { connections: &lines, awaits_app: true, legacy: None })),
        ("done one", Page::Done(DoneView { connections: &lines[..1], awaits_app: false, legacy })),
        ("denied", Page::Denied(DeniedView { provider_id, provider_name, next, legacy })),
        (
            "denied for good",
            Page::Denied(DeniedView { provider_id, provider_name, next: Next::default(), legacy }),
        ),
        ("cancelled", Page::Cancelled(CancelledView { any_connected: true, legacy })),
        ("wrong browser", Page::WrongBrowser),
        ("foreign form", Page::RefusedForm { foreign: true }),
        ("unread form", Page::RefusedForm { foreign: false }),
        ("cookies blocked", Page::CookiesBlocked),
        ("open from app", Page::OpenFromApp { app: Some(text), why: Unproven::NoProof }),
        (
            "open from app elsewhere",
            Page::OpenFromApp { app: Some(text), why: Unproven::OtherOrigin { page: text, allowed: text } },
        ),
        ("no way back", Page::NoWayBack { app: text }),
        ("app unreachable", Page::AppUnreachable { app: text, server_origin: text }),
        ("invalid token", Page::InvalidToken),
        ("server error", Page::ServerError { request_id: text }),
        ("not found", Page::NotFound),
        ("headers too large", Page::HeadersTooLarge),
        ("wrong host", Page::WrongHost { expected: text }),
    ];
    for reason in
        [ExpiryReason::Expired, ExpiryReason::Used, ExpiryReason::NotUnderstood, ExpiryReason::Ended]
    {
        pages.push(("expired", Page::Expired { reason }));
    }
    for fault in [
        ProviderFault::Unavailable,
        ProviderFault::Misconfigured,
        ProviderFault::AgentGone,
        ProviderFault::AgentSuspended,
        ProviderFault::Refused,
        ProviderFault::BadAnswer,
        ProviderFault::Unreadable,
        ProviderFault::Interrupted,
    ] {
        let some = Some(text);
        let (provider_code, request_id) = (some, some);
        pages.push((
            "provider error",
            Page::ProviderError(ProviderErrorView {
                provider_id,
                provider_name,
                fault,
                provider_code,
                request_id,
                next,
                legacy,
            }),
        ));
    }
    pages.into_iter().map(|(name, page)| (name, render(&page, &frame).html)).collect()
}
