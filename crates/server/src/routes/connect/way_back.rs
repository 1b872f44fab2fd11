//! `GET /connect/s/{sid}/return`: the way back to the app's page when a redirect flow is over (protocol 6), and the same for
//! a browser that was not let in. The address is the `return_url` of the mint, and nothing of a request goes into it.
//!
//! Our last page leads here by itself or by its button. It is not skipped: where a provider's page sends a form, Chromium and
//! WebKit apply that page's CSP `form-action` to every redirect that follows, and a provider does not know the app's origin.

use alter_api::connect::Connection;
use alter_core::{Cause, ClaimRefused, Failure, ResultCode, SessionId};
use alter_flows::{BindingFault, ClaimError, Leave, Left, Names, Status, WayBack, connect};
use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};

use super::{connected, session::no_page};
use crate::{
    Shared,
    extract::Browser,
    failure, for_people,
    middleware::{RequestId, page, see_other},
    pages::Page,
};

/// The longest list of scopes that goes into an address, bytes. Servers and proxies take some kilobytes of one.
const SCOPES_MAX: usize = 1000;

/// The fields of a connection that are parameters of the same name.
const OF_CONNECTION: [&str; 7] =
    ["grant_id", "provider", "provider_name", "account_identifier", "timestamp", "operation", "status"];

pub(crate) async fn leave(
    State(shared): State<Shared>,
    Extension(request_id): Extension<RequestId>,
    Path(sid): Path<String>,
    browser: Browser,
) -> Response {
    let key = SessionId::parse(&sid).and_then(|sid| Some((browser.key(&sid)?, sid)));
    // Unknown and foreign look alike (T50).
    let Some((key, sid)) = key else { return page(410, &Page::WrongBrowser) };
    match connect::leave(&shared.flows, &sid, &key).await {
        Ok(Leave::Back(left)) => match address(&left) {
            Some(url) => see_other(&url),
            None => page(410, &Page::WrongBrowser),
        },
        Ok(Leave::Stay) => see_other(&format!("/connect/s/{sid}")),
        Err(error) => no_page(&error, &request_id),
    }
}

/// Where our last page leads.
pub(super) fn path(sid: &SessionId) -> String {
    format!("/connect/s/{sid}/return")
}

fn address(left: &Left) -> Option<String> {
    let Left { way, outcome, code } = left;
    let names = &way.names;
    let failed = |error: &str, words: String| refusal(way, error, &words, Some(code));
    match outcome {
        Status::Completed(made) => success(way, made.first().map(connected).as_ref(), code),
        Status::Pending => pending(way, code),
        Status::Failed(Some(failure), names) => {
            failed(failure::told(&failure.cause).sdk, for_people::message(failure, names))
        }
        Status::Failed(None, names) => failed("session_expired", for_people::expired(names)),
        Status::Taken(reason, names) => failed("session_expired", for_people::taken(*reason, names)),
        Status::Exited | Status::Open => failed("cancelled", for_people::cancelled(names)),
    }
}

/// What client 0.8.0 reads of a connection (wire 6), and the code.
fn success(way: &WayBack, made: Option<&Connection>, code: &ResultCode) -> Option<String> {
    let mut parameters = vec![ticket(way, Some(code)), ("alter_connect_success", "true".to_owned())];
    if let Some(made) = made {
        let wire = serde_json::to_value(made).unwrap_or_default();
        let text = |name| wire[name].as_str().unwrap_or_default().to_owned();
        parameters.extend(OF_CONNECTION.map(|name| (name, text(name))));
        let scopes = made.scopes.join(",");
        parameters.extend((scopes.len() <= SCOPES_MAX).then_some(("scopes", scopes)));
    }
    written(way, &parameters)
}

/// The app's backend has to confirm before there is a connection to name.
fn pending(way: &WayBack, code: &ResultCode) -> Option<String> {
    let told = [("alter_connect_success", "true"), ("status", "pending")].map(|(k, v)| (k, v.to_owned()));
    written(way, &[&[ticket(way, Some(code))][..], &told].concat())
}

/// Goes first: our SDK reads the first of our parameters, and cuts the query off there.
fn ticket(way: &WayBack, code: Option<&ResultCode>) -> (&'static str, String) {
    match code {
        Some(code) => ("alter_result_code", code.expose().to_owned()),
        None => ("alter_sid", way.sid.to_string()),
    }
}

/// The address for a browser that was not let in; `None` when there is none to go to.
pub(super) async fn address_of_refused(shared: &Shared, token: &str, error: &ClaimError) -> Option<Refused> {
    if let ClaimError::ReturnUrlRequired { app_name, allowed_origin } = error {
        let names = Names { app: app_name.clone(), provider: None };
        return Some(Refused {
            url: format!("{}/", allowed_origin.as_ref()?),
            words: for_people::no_way_back(&names),
            names,
        });
    }
    let way = connect::way_back_of(&shared.flows, token).await.ok().flatten()?;
    let (code, words) = why(error, &way.names);
    Some(Refused { url: refusal(&way, code, &words, None)?, words, names: way.names })
}

/// Where a browser goes that was not let in.
pub(super) struct Refused {
    pub(super) names: Names,
    pub(super) url: String,
    /// The sentence for the person.
    pub(super) words: String,
}

/// The code for the app's page, and the sentence for the person in front of it.
fn why(error: &ClaimError, names: &Names) -> (&'static str, String) {
    match error {
        ClaimError::Binding { why: BindingFault::NoForm, .. } => {
            ("binding_failed", for_people::no_form(names))
        }
        ClaimError::Binding { .. } => ("binding_failed", for_people::not_opened(names)),
        ClaimError::Refused(ClaimRefused::Cancelled) => ("cancelled", for_people::cancelled(names)),
        ClaimError::Refused(ClaimRefused::Expired) => ("session_expired", for_people::expired(names)),
        ClaimError::Refused(reason) => ("session_expired", for_people::taken(*reason, names)),
        ClaimError::InvalidToken | ClaimError::ReturnUrlRequired { .. } | ClaimError::Fault(_) => {
            ("server_error", for_people::failed(names))
        }
    }
}

/// The address for a flow without a connection. Who was not let in has no code.
fn refusal(way: &WayBack, error: &str, words: &str, code: Option<&ResultCode>) -> Option<String> {
    let mut parameters = vec![
        ticket(way, code),
        ("alter_connect_error", "true".to_owned()),
        ("error_code", error.to_owned()),
        ("error_description", words.to_owned()),
    ];
    parameters.extend(code.map(|_| ticket(way, None)));
    written(way, &parameters)
}

/// The address for a browser that keeps no cookies.
pub(super) fn without_cookie(way: &WayBack) -> Option<String> {
    let failure = Failure { cause: Cause::CookiesBlocked, provider: None, request_id: None, said: None };
    let words = for_people::message(&failure, &way.names);
    refusal(way, failure::told(&failure.cause).sdk, &words, None)
}

fn written(way: &WayBack, parameters: &[(&str, String)]) -> Option<String> {
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    way.return_url.with(parameters).map(String::from)
}
