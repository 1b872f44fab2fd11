//! What the person in front of the app's page is told about a flow that made no grant: the names that they know, and whose
//! turn it is. No code and no id: those are in `details`, and what a developer reads is in [`crate::failure`].

use alter_core::{Cause, ClaimRefused, Failure, text::one_line};
use alter_flows::Names;

use crate::{
    failure::{FailurePage, told},
    pages::ProviderFault,
};

/// The most characters of a name that a message repeats.
const NAME_MAX: usize = 200;

/// The `message` of the SDK's `onError`, and what client 0.8.0 gets as `error_description`.
pub fn message(failure: &Failure, names: &Names) -> String {
    let app = &shown(&names.app);
    let provider = &names.provider.as_deref().map_or_else(|| "The service".to_owned(), shown);
    let repair = format!("The people who run {app} need to look at it.");
    if let Some(why) = of_the_browser(&failure.cause, app) {
        // Without a cookie no provider was reached yet.
        return match names.provider {
            Some(_) => format!("{provider} is not connected: {why}"),
            None => format!("Nothing is connected: {why}"),
        };
    }
    let FailurePage::Error(fault) = told(&failure.cause).page else {
        return format!("{provider} is not connected, because access was declined. You can start again.");
    };
    match fault {
        ProviderFault::Unavailable => {
            format!("{provider} is not answering. Wait a minute and try again.")
        }
        ProviderFault::Misconfigured => {
            format!(
                "{provider} is not set up correctly at {app}. The people who run {app} need to repair this; you cannot."
            )
        }
        ProviderFault::AgentGone => {
            format!("{provider} is not connected: {app} removed the agent meanwhile. Start again from {app}.")
        }
        ProviderFault::AgentSuspended => {
            format!("{provider} is not connected: {app} suspended the agent meanwhile. {repair}")
        }
        ProviderFault::Refused => {
            format!("{provider} stopped the connection. Try again. If it happens again: {repair}")
        }
        ProviderFault::BadAnswer => {
            format!("{provider} sent an answer that cannot be trusted, so it was not used. {repair}")
        }
        ProviderFault::Unreadable => {
            format!("{provider} sent something that cannot be read. Try again. If it happens again: {repair}")
        }
        ProviderFault::Interrupted => {
            format!("{provider} is not connected: the connection was interrupted. Try again.")
        }
    }
}

/// What the user's own browser did, or what the app found at the end, and what to do about it. The page of these causes knows
/// neither.
fn of_the_browser(cause: &Cause, app: &str) -> Option<String> {
    match cause {
        Cause::OtherBrowser => {
            Some("the way back led into another browser. Start again, and stay in one browser.".to_owned())
        }
        Cause::CookiesBlocked => Some(format!(
            "the browser keeps no cookies of the connect page. Allow them, then start again from {app}."
        )),
        Cause::OtherUser => Some(format!(
            "another person than the one who started went through with it. Start again from {app}."
        )),
        Cause::NotConfirmed => Some(format!("{app} did not confirm it. Start again from {app}.")),
        _ => None,
    }
}

/// The same for a session whose time ran out.
pub(crate) fn expired(names: &Names) -> String {
    format!("This took too long. Start again from {}.", shown(&names.app))
}

/// The same for a session that another flow has opened.
pub(crate) fn taken(reason: ClaimRefused, names: &Names) -> String {
    let what = match reason {
        ClaimRefused::OtherBrowser => "This was opened in another window or browser.",
        _ => "This was used before.",
    };
    format!("{what} Start again from {}.", shown(&names.app))
}

/// The same for a user who left.
pub(crate) fn cancelled(names: &Names) -> String {
    format!("Nothing was connected. You can start again from {}.", shown(&names.app))
}

/// The same for a browser that did not come from the app's page.
pub(crate) fn not_opened(names: &Names) -> String {
    format!("This was not opened by {0}. Start again from {0}.", shown(&names.app))
}

/// The same for an app's page that may not send a form to us.
pub(crate) fn no_form(names: &Names) -> String {
    format!(
        "The page of {0} may not send its form here. The people who run {0} need to allow it (Content-Security-Policy, form-action).",
        shown(&names.app)
    )
}

/// The same for a session without a `return_url`.
pub(crate) fn no_way_back(names: &Names) -> String {
    format!("{0} left out the way back. The people who run {0} need to repair this.", shown(&names.app))
}

/// The same for a failure of ours.
pub(crate) fn failed(names: &Names) -> String {
    format!("Something went wrong on the server. Start again from {}.", shown(&names.app))
}

fn shown(name: &str) -> String {
    one_line(name.chars().take(NAME_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { app: "My App".into(), provider: Some("Acme".into()) }
    }

    fn said(cause: Cause) -> String {
        message(&Failure { cause, provider: Some("acme_id".into()), request_id: None, said: None }, &names())
    }

    #[test]
    fn a_message_for_people_has_names_and_says_whose_turn_it_is() {
        let misconfigured = "Acme is not set up correctly at My App. The people who run My App need to repair this; you cannot.";
        assert_eq!(said(Cause::ClientRefused(Default::default())), misconfigured);
        for cause in Cause::one_of_each() {
            let said = said(cause.clone());
            assert!(said.contains("Acme"), "{cause}: {said}");
            let turns = ["tart again", "ry again", "The people who run My App need to"];
            assert!(turns.iter().any(|turn| said.contains(turn)), "{cause}: {said}");
            let code = cause.provider_code().map_or("acme_id", |code| code.as_str());
            assert!(!said.contains(code) && !said.contains("acme_id"), "{cause}: {said}");
            assert!(!said.contains("operator") && !said.contains("`"), "{cause}: {said}");
        }
    }

    #[test]
    fn a_browser_that_keeps_no_cookies_is_named_and_what_to_do_about_it() {
        let why =
            "the browser keeps no cookies of the connect page. Allow them, then start again from My App.";
        assert_eq!(said(Cause::CookiesBlocked), format!("Acme is not connected: {why}"));
        let nameless = Names { provider: None, ..names() };
        let failure = Failure { cause: Cause::CookiesBlocked, provider: None, request_id: None, said: None };
        assert_eq!(message(&failure, &nameless), format!("Nothing is connected: {why}"));
    }

    #[test]
    fn a_failure_that_is_about_no_provider_names_none() {
        let nameless = Names { provider: None, ..names() };
        let failure = Failure { cause: Cause::Denied, provider: None, request_id: None, said: None };
        assert!(message(&failure, &nameless).starts_with("The service is not connected"));
    }

    #[test]
    fn t26_a_name_stays_in_its_line_and_in_its_direction() {
        let names = Names { app: "My\nApp\u{202e}".into(), provider: Some("A".repeat(9000)) };
        let failure = Failure { cause: Cause::ServerFault, provider: None, request_id: None, said: None };
        let said = message(&failure, &names);
        assert!(said.len() < 400 && !said.contains(['\n', '\u{202e}']), "{said}");
    }
}
