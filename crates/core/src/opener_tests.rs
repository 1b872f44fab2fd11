use crate::{AttemptId, SystemRandom, session::tests as sample};

use super::*;

const T0: Micros = sample::T0;

fn after(seconds: i64) -> Micros {
    T0.plus_seconds(seconds)
}

/// A session at a provider since [`T0`], with one page served before; the app's page reported `closed` at some times.
fn away(coop: Coop, reports: &[(Option<bool>, i64)]) -> (Session, ConfigId, AttemptId) {
    let (config, mut attempt) = (ConfigId::new(&SystemRandom), sample::attempt(coop, T0));
    attempt.config = Some(config.clone());
    attempt.page = Some(1);
    let id = attempt.attempt;
    let mut session = sample::claimed(&["a"]);
    session.page_served(T0);
    session.start(attempt);
    for (closed, at) in reports {
        session.window_reported(*closed, after(*at));
    }
    (session, config, id)
}

/// The same, come back after a minute.
fn back(coop: Coop, reports: &[(Option<bool>, i64)]) -> (Session, ConfigId) {
    let (mut session, config, attempt) = away(coop, reports);
    session.exchanging(attempt, after(60));
    (session, config)
}

#[test]
fn three_flows_show_that_a_provider_keeps_the_opener_and_one_that_it_severs_wins() {
    let seen = |kept, severed| Opener { kept, severed };
    assert_eq!(seen(2, false).coop(Coop::Unknown), Coop::Unknown);
    assert_eq!(seen(3, false).coop(Coop::Unknown), Coop::Keeps);
    for known in [Coop::Unknown, Coop::Keeps, Coop::Severs] {
        assert_eq!(seen(0, false).coop(known), known);
        assert_eq!(seen(3, true).coop(known), Coop::Severs, "{known:?}");
    }
    assert_eq!(seen(3, false).coop(Coop::Severs), Coop::Severs, "what was read of it stays");
    assert!(!seen(2, false).has(Shown::Keeps) && seen(3, false).has(Shown::Keeps));
    assert!(seen(0, true).has(Shown::Keeps) && seen(0, true).has(Shown::Severs));
    assert!(!seen(3, false).has(Shown::Severs));
}

#[test]
fn a_popup_that_is_open_at_the_first_report_after_the_return_was_kept() {
    let (mut session, config) = back(Coop::Unknown, &[(Some(false), 1)]);
    assert_eq!(session.kept_since_return(false, after(4000)), Some(config));
    assert_eq!(session.kept_since_return(false, after(4000)), None, "once");
}

#[test]
fn a_popup_that_our_last_page_may_have_closed_was_kept_if_the_apps_page_is_awake() {
    let over = |page_served: bool, asked: i64| {
        let (mut session, config) = back(Coop::Unknown, &[(Some(false), 1)]);
        session.finish(after(61));
        if page_served {
            session.page_served(after(61));
        }
        session.kept_since_return(true, after(asked)) == Some(config)
    };
    assert!(over(true, 69));
    assert!(!over(true, 70), "a page that sleeps may have missed it");
    assert!(!over(false, 62), "our page was not there to close it");
    let (mut going_on, _) = back(Coop::Unknown, &[(Some(false), 1)]);
    going_on.page_served(after(61));
    assert_eq!(
        going_on.kept_since_return(true, after(62)),
        None,
        "a page in the middle of a flow closes nothing"
    );
}

#[test]
fn a_flow_shows_nothing_that_nobody_watched_or_that_is_known() {
    let shows = |coop, reports: &[(Option<bool>, i64)]| back(coop, reports).0.data.signals.returned.is_some();
    assert!(shows(Coop::Unknown, &[(Some(false), 1)]), "positive control");
    assert!(!shows(Coop::Unknown, &[]), "client 0.8.0 reports nothing");
    assert!(!shows(Coop::Unknown, &[(Some(true), 1)]), "it looked closed");
    assert!(!shows(Coop::Unknown, &[(Some(true), 1), (Some(false), 2)]), "and then open again");
    assert!(!shows(Coop::Keeps, &[(Some(false), 1)]));
    assert!(!shows(Coop::Severs, &[(Some(false), 1)]));
}
