use proptest::prelude::*;

use super::*;
use crate::{GrantId, Operation, SystemRandom, exit};

pub(crate) const T0: Micros = Micros(1_800_000_000_000_000);

pub(crate) fn session(providers: &[&str]) -> Session {
    Session {
        sid: SessionId::new(&SystemRandom),
        app_id: AppId::new(&SystemRandom),
        token_hash: [7; 32],
        created_at: T0,
        expires_at: T0.plus_seconds(600),
        data: SessionData::new(
            Some(crate::Origin::parse("https://app.example").expect("an origin")),
            providers.iter().map(|p| (*p).to_owned()).collect(),
            Level::L2,
        ),
        version: 0,
    }
}

fn claim(level: Level, at: Micros) -> Claim {
    Claim { level, cb: Some("cb".into()), browser: [1; 32], marker: None, at, mode: Mode::Popup }
}

pub(crate) fn claimed(providers: &[&str]) -> Session {
    let mut s = session(providers);
    s.claim_by(claim(Level::L2, T0)).unwrap();
    s
}

pub(crate) fn attempt(coop: Coop, at: Micros) -> Underway {
    Underway {
        attempt: AttemptId::new(&SystemRandom),
        provider: "a".into(),
        coop,
        started_at: at,
        expires_at: at.plus_seconds(ATTEMPT_TTL),
        exchanging: false,
        config: None,
        page: None,
    }
}

fn connection(at: Micros) -> Connection {
    Connection {
        grant_id: GrantId::new(&SystemRandom),
        provider: "a".into(),
        provider_name: "A".into(),
        account_identifier: "me".into(),
        account_verified: true,
        at,
        operation: Operation::Creation,
        scopes: vec![],
        missing_scopes: vec![],
        extra_scopes: vec![],
        unanswered: vec![],
    }
}

fn denied() -> Failure {
    Failure { cause: Cause::Denied, provider: Some("a".into()), request_id: None, said: None }
}

#[test]
fn t08_a_claim_below_the_sessions_level_is_refused_and_burns_nothing() {
    let mut s = session(&["a"]);
    assert_eq!(s.claim_by(claim(Level::L1, T0)), Err(ClaimRefused::Binding));
    assert_eq!(s.data.state, State::Minted);
    assert_eq!(s.claim_by(claim(Level::L2, T0)), Ok(()));
}

#[test]
fn t04_a_session_tells_the_browser_that_claimed_it_from_every_other() {
    let mut s = session(&["a"]);
    assert!(!s.is_browser(&[1; 32]), "nobody has claimed it");
    s.claim_by(claim(Level::L2, T0)).unwrap();
    assert!(s.is_browser(&[1; 32]) && !s.is_browser(&[2; 32]));
    s.finish(T0);
    assert!(s.is_browser(&[1; 32]) && !s.is_browser(&[2; 32]), "its end is told to the same browser");
}

#[test]
fn t54_a_claim_works_until_one_second_before_the_end_and_not_at_it() {
    assert_eq!(session(&["a"]).claim_by(claim(Level::L2, T0.plus_seconds(599))), Ok(()));
    assert_eq!(session(&["a"]).claim_by(claim(Level::L2, T0.plus_seconds(600))), Err(ClaimRefused::Expired));
}

#[test]
fn t54_an_attempt_started_in_time_may_finish_after_the_sessions_end() {
    let mut s = claimed(&["a"]);
    s.start(attempt(Coop::Unknown, T0.plus_seconds(599)));
    assert!(!s.expire(T0.plus_seconds(1198)));
    assert!(s.expire(T0.plus_seconds(1199)));
    assert_eq!(s.end().unwrap().kind, EndKind::Expired);
}

#[test]
fn t54_nothing_new_starts_before_the_claim_or_at_the_sessions_end() {
    assert!(!session(&["a"]).can_start(T0), "before the claim");
    let s = claimed(&["a"]);
    assert!(s.can_start(Micros(T0.plus_seconds(600).0 - 1)), "positive control");
    assert!(!s.can_start(T0.plus_seconds(600)));
    assert!(!s.can_start(T0.plus_seconds(601)));
}

#[test]
fn only_a_provider_that_is_offered_is_selected_and_only_in_an_open_session() {
    let mut s = claimed(&["a", "b"]);
    assert!(!s.select("c", T0), "not offered");
    assert!(s.select("b", T0));
    assert!(!s.select("a", T0.plus_seconds(600)), "too late");
    assert_eq!(s.data.selected.as_deref(), Some("b"));
    assert!(!session(&["a", "b"]).select("a", T0), "not claimed");
    assert_eq!(claimed(&["a"]).data.selected.as_deref(), Some("a"), "nothing to choose from");
}

#[test]
fn the_user_may_go_back_to_the_picker_where_there_is_one() {
    let back = |mut s: Session| {
        s.data.selected = Some("a".into());
        s.deselect();
        s.data.selected
    };
    assert_eq!(back(claimed(&["a", "b"])), None);
    assert_eq!(back(claimed(&["a"])).as_deref(), Some("a"), "there is no picker");
    let mut over = claimed(&["a", "b"]);
    over.finish(T0);
    assert_eq!(back(over).as_deref(), Some("a"), "it is over");
}

#[test]
fn t55_a_session_that_ended_cannot_be_claimed_again() {
    for end in ["done", "failed", "cancelled", "expired"] {
        let mut s = claimed(&["a"]);
        match end {
            "done" => s.connected(AttemptId::new(&SystemRandom), connection(T0)),
            "failed" => s.attempt_failed(denied(), T0),
            "cancelled" => s.finish(T0),
            _ => assert!(s.expire(T0.plus_seconds(600))),
        }
        assert_eq!(s.state_name(), end);
        let refused = s.claim_by(claim(Level::L2, T0)).unwrap_err();
        let expected = match end {
            "expired" => ClaimRefused::Expired,
            "cancelled" => ClaimRefused::Cancelled,
            _ => ClaimRefused::Used,
        };
        assert_eq!(refused, expected);
    }
}

#[test]
fn a_denied_provider_among_several_leads_back_to_the_picker_and_the_last_one_ends_it() {
    let mut s = claimed(&["a", "b"]);
    s.attempt_failed(denied(), T0);
    assert_eq!(s.state_name(), "claimed");
    s.attempt_failed(Failure { provider: Some("b".into()), ..denied() }, T0);
    assert_eq!(s.state_name(), "failed");
}

#[test]
fn two_denied_providers_of_three_leave_the_third() {
    let mut s = claimed(&["a", "b", "c"]);
    for provider in ["a", "b"] {
        s.attempt_failed(Failure { provider: Some(provider.into()), ..denied() }, T0);
        assert_eq!(s.state_name(), "claimed");
    }
    s.attempt_failed(Failure { provider: Some("c".into()), ..denied() }, T0);
    assert_eq!(s.state_name(), "failed");
}

#[test]
fn the_only_provider_ends_the_session_however_it_failed() {
    let failure = Failure { cause: Cause::ServerFault, ..denied() };
    let mut s = claimed(&["a"]);
    s.attempt_failed(failure.clone(), T0);
    assert_eq!(s.end().and_then(|end| end.failure.as_ref()), Some(&failure));
    let mut one_of_two = claimed(&["a", "b"]);
    one_of_two.attempt_failed(failure.clone(), T0);
    assert_eq!((one_of_two.end(), &one_of_two.data.last_failure), (None, &Some(failure)));
}

#[test]
fn a_provider_that_is_connected_after_all_was_not_declined() {
    let mut s = claimed(&["a", "b", "c"]);
    for provider in ["a", "b", "a"] {
        s.attempt_failed(Failure { provider: Some(provider.into()), ..denied() }, T0);
    }
    let declined = |s: &Session| s.data.declined.iter().map(|d| d.provider.clone()).collect::<Vec<_>>();
    assert_eq!(declined(&s), ["b", "a"], "each once");
    s.connected(AttemptId::new(&SystemRandom), connection(T0));
    assert_eq!(declined(&s), ["b"]);
}

#[test]
fn an_older_attempt_that_fails_or_succeeds_leaves_the_newer_one_alone() {
    let older = AttemptId::new(&SystemRandom);
    let mut s = claimed(&["a", "b"]);
    let newer = attempt(Coop::Unknown, T0);
    s.start(newer.clone());
    s.attempt_ended(older, denied(), T0);
    assert_eq!((s.data.underway.as_ref(), s.state_name()), (Some(&newer), "claimed"));
    s.connected(older, connection(T0));
    assert_eq!(s.data.underway.as_ref(), Some(&newer));
    s.attempt_ended(newer.attempt, denied(), T0);
    assert_eq!(s.data.underway, None);
}

#[test]
fn what_was_connected_counts_when_the_user_just_closes_the_window() {
    let mut s = claimed(&["a", "b"]);
    s.connected(AttemptId::new(&SystemRandom), connection(T0));
    assert_eq!(s.state_name(), "claimed");
    s.finish(T0);
    assert_eq!(s.end().unwrap().kind, EndKind::Done);
}

fn asking(at: Micros) -> Connection {
    Connection { unanswered: vec!["Mail.Read".into()], ..connection(at) }
}

#[test]
fn t13_a_session_with_a_question_goes_on_until_it_is_answered() {
    let mut s = claimed(&["a"]);
    s.connected(AttemptId::new(&SystemRandom), asking(T0));
    let grant = s.asking().expect("the user is asked").grant_id;
    assert_eq!(s.state_name(), "claimed");
    s.answered(GrantId::new(&SystemRandom), T0);
    assert_eq!(s.state_name(), "claimed", "the answer to another question");
    s.answered(grant, T0.plus_seconds(3));
    assert_eq!((s.asking(), s.end().map(|end| end.kind)), (None, Some(EndKind::Done)));
}

#[test]
fn t13_after_the_answer_the_user_may_choose_another_provider() {
    let mut s = claimed(&["a", "b"]);
    s.connected(AttemptId::new(&SystemRandom), asking(T0));
    let grant = s.asking().expect("the user is asked").grant_id;
    s.answered(grant, T0);
    assert_eq!((s.asking(), s.state_name(), s.can_start(T0)), (None, "claimed", true));
}

#[test]
fn who_leaves_without_an_answer_is_asked_no_more_and_stays_connected() {
    for expires in [false, true] {
        let mut s = claimed(&["a"]);
        s.connected(AttemptId::new(&SystemRandom), asking(T0));
        if expires {
            assert!(s.expire(T0.plus_seconds(600)));
        } else {
            s.finish(T0);
        }
        assert_eq!((s.asking(), s.end().map(|end| end.kind)), (None, Some(EndKind::Done)));
    }
    let mut late = claimed(&["a"]);
    late.finish(T0);
    late.connected(AttemptId::new(&SystemRandom), asking(T0));
    assert_eq!((late.asking(), late.data.connections.len()), (None, 1));
}

#[test]
fn t36_a_closed_popup_is_no_exit_while_the_user_may_be_at_a_severing_provider() {
    for coop in [Coop::Unknown, Coop::Severs] {
        let mut s = claimed(&["a"]);
        s.page_served(T0);
        s.page_left(1, T0.plus_seconds(1));
        s.start(attempt(coop, T0.plus_seconds(1)));
        s.window_reported(Some(true), T0.plus_seconds(2));
        assert_eq!(exit::place(&s), exit::Place::Provider(coop));
        assert!(!exit::is_left(&s, T0.plus_seconds(599)));
    }
    // Control: if the provider is known to keep the opener, a popup closed for five seconds is an exit.
    let mut s = claimed(&["a"]);
    s.start(attempt(Coop::Keeps, T0));
    s.window_reported(Some(true), T0);
    assert!(!exit::is_left(&s, Micros(T0.plus_seconds(5).0 - 1)));
    assert!(exit::is_left(&s, T0.plus_seconds(5)));
}

#[test]
fn t36_coming_back_from_a_severing_provider_is_no_exit() {
    let mut s = claimed(&["a", "b"]);
    s.page_served(T0);
    s.page_left(1, T0);
    s.start(attempt(Coop::Severs, T0));
    s.window_reported(Some(true), T0.plus_seconds(1));
    let mut failed = s.clone();
    s.connected(AttemptId::new(&SystemRandom), connection(T0.plus_seconds(30)));
    s.data.underway = None;
    assert!(!exit::is_left(&s, T0.plus_seconds(31)));
    failed.attempt_failed(denied(), T0.plus_seconds(30));
    assert!(!exit::is_left(&failed, T0.plus_seconds(31)));
    // Control: a goodbye of the page that was served after that is an exit.
    let instance = failed.page_served(T0.plus_seconds(31));
    failed.page_left(instance, T0.plus_seconds(32));
    assert!(exit::is_left(&failed, T0.plus_seconds(35)));
}

#[test]
fn t36_an_opener_severed_before_a_keeping_provider_is_no_exit_there() {
    let mut s = claimed(&["a", "b"]);
    s.window_reported(Some(true), T0);
    s.page_served(T0.plus_seconds(1));
    s.start(attempt(Coop::Keeps, T0.plus_seconds(20)));
    assert!(!exit::is_left(&s, T0.plus_seconds(60)));
}

#[test]
fn t36_a_closed_popup_is_no_exit_while_a_code_is_exchanged() {
    let mut s = claimed(&["a"]);
    let under_way = attempt(Coop::Keeps, T0);
    s.start(under_way.clone());
    s.window_reported(Some(true), T0);
    assert!(exit::is_left(&s, T0.plus_seconds(60)), "the control: no code has come");
    s.exchanging(AttemptId::new(&SystemRandom), T0);
    assert_eq!(exit::place(&s), exit::Place::Provider(Coop::Keeps), "another attempt's code");
    s.exchanging(under_way.attempt, T0);
    assert_eq!(exit::place(&s), exit::Place::Exchanging);
    assert!(!exit::is_left(&s, T0.plus_seconds(60)));
}

#[test]
fn t36_a_page_that_waits_for_the_providers_first_answer_is_no_return() {
    let leave = |page: Option<u64>| {
        let mut s = claimed(&["a"]);
        s.page_served(T0);
        s.start(Underway { page, ..attempt(Coop::Severs, T0) });
        // The provider is slow: our page is still there, and says so. Then it goes, and the popup looks closed.
        s.page_seen(1, T0.plus_seconds(10));
        s.page_left(1, T0.plus_seconds(12));
        s.window_reported(Some(true), T0.plus_seconds(12));
        s
    };
    let away = leave(Some(1));
    assert_eq!(exit::place(&away), exit::Place::Provider(Coop::Severs));
    assert!(!exit::is_left(&away, T0.plus_seconds(500)));
    // Control: the same, had the user been on a page that was served since.
    assert!(exit::is_left(&leave(Some(0)), T0.plus_seconds(15)));
}

#[test]
fn where_nothing_is_known_a_closed_popup_is_an_exit_when_the_sessions_own_time_ends() {
    let closed_at = |coop, closed: i64| {
        let mut s = claimed(&["a"]);
        s.start(attempt(coop, T0.plus_seconds(100)));
        s.window_reported(Some(true), T0.plus_seconds(closed));
        s
    };
    let end = session(&["a"]).expires_at;
    let (unknown, severs) = (closed_at(Coop::Unknown, 101), closed_at(Coop::Severs, 101));
    assert!(end < unknown.deadline(), "the attempt has more time");
    assert!(!exit::is_left(&unknown, Micros(end.0 - 1)));
    assert!(exit::is_left(&unknown, end));
    assert!(!exit::is_left(&severs, end), "its popups always look closed");
    assert!(!exit::is_left(&closed_at(Coop::Unknown, 99), end), "another page severed it");
}

/// Sessions at every place where time alone may end them, and where it may not.
fn at_every_place() -> Vec<Session> {
    let mut all = vec![session(&["a"]), claimed(&["a"])];
    let mut unclaimed = session(&["a"]);
    unclaimed.window_reported(Some(true), T0.plus_seconds(3));
    let mut cookieless = claimed(&["a"]);
    cookieless.came_without_cookie(T0.plus_seconds(4));
    for (bye, page) in
        [(Some(6), Some(5)), (None, Some(5)), (None, Some(400)), (Some(590), Some(5)), (None, None)]
    {
        let mut s = claimed(&["a"]);
        s.window_reported(Some(true), T0.plus_seconds(7));
        s.data.signals.page_at = page.map(|at| T0.plus_seconds(at));
        s.data.signals.bye_at = bye.map(|at| T0.plus_seconds(at));
        all.push(s);
    }
    for coop in [Coop::Unknown, Coop::Severs, Coop::Keeps] {
        for closed in [None, Some(99), Some(101)] {
            let mut s = claimed(&["a"]);
            let under_way = attempt(coop, T0.plus_seconds(100));
            s.start(under_way.clone());
            s.window_reported(closed.map(|_| true), T0.plus_seconds(closed.unwrap_or_default()));
            let mut exchanging = s.clone();
            exchanging.exchanging(under_way.attempt, T0.plus_seconds(110));
            all.extend([s, exchanging]);
        }
    }
    let mut over = claimed(&["a"]);
    over.finish(T0);
    all.extend([unclaimed, cookieless, over]);
    all
}

#[test]
fn a_session_says_when_time_alone_ends_it_to_the_microsecond() {
    let ends = |s: &Session, at: Micros| exit::settle(&mut s.clone(), at);
    let (mut timed, mut endless) = (0, 0);
    for s in at_every_place() {
        match exit::settles_at(&s) {
            Some(at) => {
                timed += 1;
                assert!(!ends(&s, Micros(at.0 - 1)) && ends(&s, at), "{s:?}");
            }
            None => {
                endless += 1;
                assert!(!ends(&s, T0.plus_seconds(1_000_000)), "{s:?}");
            }
        }
    }
    assert_eq!((timed, endless), (18, 10));
}

#[test]
fn a_page_served_after_the_user_left_for_the_provider_brings_the_user_back() {
    let mut s = claimed(&["a"]);
    s.page_served(T0);
    s.start(attempt(Coop::Severs, T0));
    assert_eq!(exit::place(&s), exit::Place::Provider(Coop::Severs));
    s.page_served(Micros(T0.0 + 1));
    assert_eq!(exit::place(&s), exit::Place::OurPage);
}

#[test]
fn a_silent_page_ends_the_flow_only_when_the_popup_is_closed_as_long() {
    let left = |served: i64, closed: i64| {
        let mut s = claimed(&["a"]);
        s.page_served(T0.plus_seconds(served));
        s.window_reported(Some(true), T0.plus_seconds(closed));
        exit::is_left(&s, T0.plus_seconds(200))
    };
    assert!(left(50, 50), "positive control");
    assert!(!left(51, 50), "the page was heard of");
    assert!(!left(50, 51), "the popup was open");
}

#[test]
fn a_page_that_shows_itself_again_takes_its_goodbye_back_and_an_older_page_does_not() {
    let mut s = claimed(&["a"]);
    s.page_served(T0);
    s.page_served(T0);
    s.page_left(2, T0);
    let left = s.data.signals.clone();
    assert!(!s.page_seen(1, T0.plus_seconds(1)), "an older page");
    assert_eq!(s.data.signals, left);
    assert!(s.page_seen(2, T0.plus_seconds(1)));
    assert_eq!((s.data.signals.bye_at, s.data.signals.page_at), (None, Some(T0.plus_seconds(1))));
}

#[test]
fn a_report_of_the_window_is_news_when_it_is_the_first_or_says_something_else() {
    let mut s = claimed(&["a"]);
    for (n, (closed, news)) in [
        (None, true),
        (None, false),
        (Some(false), false),
        (Some(true), true),
        (Some(true), false),
        (None, false),
        (Some(false), true),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(s.window_reported(closed, T0), news, "report {n}");
    }
    assert_eq!(s.data.signals.first_status_at, Some(T0));
}

#[test]
fn fifty_attempts_are_counted_however_often_the_user_went_back_and_forth() {
    let mut s = claimed(&["a", "b"]);
    for _ in 0..205 {
        assert!(s.select("a", T0));
    }
    for n in 0..50 {
        assert!(s.can_start(T0), "after {n}");
        s.start(attempt(Coop::Unknown, T0));
    }
    assert!(!s.can_start(T0) && !s.select("a", T0));
    s.connected(s.data.underway.as_ref().expect("it was started").attempt, connection(T0));
    let last = s.data.events.last().map(|e| e.name);
    assert_eq!(last, Some(EventName::OauthComplete), "a full list of choices hides no connection");
}

#[test]
fn a_row_keeps_two_hundred_choices_and_no_more() {
    let mut s = claimed(&["a", "b"]);
    for n in 0..300 {
        assert!(s.select("a", T0));
        assert_eq!(s.data.events.len(), 200.min(n + 1));
    }
}

#[test]
fn a_session_is_settled_once_by_its_deadline_or_when_it_was_left() {
    let mut lapsed = claimed(&["a"]);
    assert!(!exit::settle(&mut lapsed, T0.plus_seconds(599)));
    assert!(exit::settle(&mut lapsed, T0.plus_seconds(600)));
    assert_eq!(lapsed.state_name(), "expired");
    assert!(!exit::settle(&mut lapsed, T0.plus_seconds(601)), "it is over");
    let mut left = claimed(&["a"]);
    left.window_reported(Some(true), T0);
    left.page_served(T0);
    left.page_left(1, T0);
    assert!(!exit::settle(&mut left, T0.plus_seconds(2)));
    assert!(exit::settle(&mut left, T0.plus_seconds(3)));
    assert_eq!(left.state_name(), "cancelled");
}

#[test]
fn a_session_takes_fifty_attempts_and_no_more() {
    let mut s = claimed(&["a"]);
    for n in 0..50 {
        assert!(s.can_start(T0), "attempt {n}");
        s.start(attempt(Coop::Unknown, T0));
    }
    assert!(!s.can_start(T0));
}

#[test]
fn while_a_code_is_exchanged_nothing_new_starts_and_the_session_does_not_expire() {
    let mut s = claimed(&["a"]);
    let under_way = attempt(Coop::Unknown, T0);
    s.start(under_way.clone());
    s.exchanging(under_way.attempt, T0.plus_seconds(599));
    assert!(!s.can_start(T0.plus_seconds(599)));
    assert!(!s.expire(T0.plus_seconds(86_400)), "what is told as the end would change");
    s.attempt_ended(
        under_way.attempt,
        Failure { cause: Cause::KeysUnreachable, ..denied() },
        T0.plus_seconds(700),
    );
    assert_eq!(s.state_name(), "failed");
}

#[test]
fn a_goodbye_ends_the_flow_only_when_it_is_the_newest_pages_and_the_popup_is_closed() {
    let mut s = claimed(&["a"]);
    assert_eq!(s.page_served(T0), 1);
    assert!(s.page_left(1, T0));
    assert!(!exit::is_left(&s, T0.plus_seconds(60)), "not closed");
    s.window_reported(Some(true), T0);
    assert!(!exit::is_left(&s, Micros(T0.0 + 2_499_999)));
    assert!(exit::is_left(&s, Micros(T0.0 + 2_500_000)));
    // A reload: the new page is served, then the old page's beacon arrives.
    assert_eq!(s.page_served(T0), 2);
    assert!(!s.page_left(1, T0));
    assert!(!exit::is_left(&s, T0.plus_seconds(10)));
    // A browser that crashed says nothing.
    assert!(!exit::is_left(&s, T0.plus_seconds(149)));
    assert!(exit::is_left(&s, T0.plus_seconds(150)));
}

#[test]
fn a_popup_closed_before_the_claim_is_an_exit_after_ten_seconds() {
    let mut s = session(&["a"]);
    s.window_reported(Some(true), T0);
    assert!(!exit::is_left(&s, T0.plus_seconds(9)));
    assert!(exit::is_left(&s, T0.plus_seconds(10)));
    s.window_reported(Some(false), T0.plus_seconds(9));
    assert!(!exit::is_left(&s, T0.plus_seconds(10)));
}

proptest! {
    /// Whatever happens, in any order, an end is final and no connection is lost (T55, I6).
    #[test]
    fn t55_an_ended_session_never_opens_again(moves in proptest::collection::vec(0u8..9, 1..40)) {
        let mut s = session(&["a", "b"]);
        let mut ended: Option<End> = None;
        let mut made = 0;
        for (i, m) in moves.iter().enumerate() {
            let now = T0.plus_seconds(30 * i64::try_from(i).unwrap());
            match m {
                0 => { let _ = s.claim_by(claim(Level::L2, now)); }
                1 => { s.select("a", now); }
                2 if s.can_start(now) => s.start(attempt(Coop::Keeps, now)),
                3 => { s.connected(AttemptId::new(&SystemRandom), connection(now)); made += 1; }
                4 => s.attempt_failed(denied(), now),
                5 => s.finish(now),
                6 => { s.expire(now); }
                7 => { s.window_reported(Some(true), now); }
                _ => { s.page_served(now); }
            }
            if let Some(end) = &ended {
                prop_assert_eq!(s.end(), Some(end));
            }
            ended = s.end().cloned();
            prop_assert_eq!(s.data.connections.len(), made);
        }
        s.expire(T0.plus_seconds(100_000));
        prop_assert!(s.end().is_some());
    }
}

/// A session as stored under migration 4, with an attempt under way and one that failed.
const OLDER: &str = r#"{
  "allowed_origin": "https://app.example", "return_url": "https://app.example/back", "providers": ["google"], "min_binding": "L2",
  "user": null, "state": {"claimed": {"level": "L2", "cb": "c", "browser": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
  0,0,0,0,0,0,0,0], "marker": null, "at": 1000000}}, "selected": "google",
  "attempt": {"transaction": "9f1c3f0e-5a57-4d5e-8a53-0d9f0b6a7c11", "provider": "google", "coop": "unknown",
  "started_at": 2000000, "expires_at": 602000000, "exchanging": true},
  "last_failure": {"kind": "provider", "provider": "google", "provider_error": "interrupted", "request_id": null},
  "connections": [], "declined": [], "events": [], "signals": {"closed_since": null, "first_status_at": null,
  "page_instance": 1, "page_at": null, "bye_at": null}
}"#;

#[test]
fn a_session_stored_by_an_older_version_is_read_with_its_attempt_and_its_return_url() {
    let data: SessionData = serde_json::from_str(OLDER).expect("it was stored so");
    let underway = data.underway.as_ref().expect("an attempt is under way");
    assert_eq!(underway.attempt.to_string(), "9f1c3f0e-5a57-4d5e-8a53-0d9f0b6a7c11");
    assert!(underway.exchanging);
    let again: serde_json::Value = serde_json::to_value(&data).expect("JSON");
    let before: serde_json::Value = serde_json::from_str(OLDER).expect("JSON");
    assert!(data.return_url.is_some());
    assert_eq!(again["return_url"], before["return_url"]);
    assert_eq!(again["attempt"], before["attempt"], "an older process beside this one reads it too");
}

#[test]
fn a_browser_without_its_cookie_ends_the_session_after_three_seconds_unless_a_page_was_served_to_it() {
    for providers in [&["a"][..], &["a", "b"]] {
        let mut s = claimed(providers);
        assert!(s.came_without_cookie(T0));
        assert!(!s.came_without_cookie(T0.plus_seconds(2)), "known, and counted from the first time");
        assert!(!exit::settle(&mut s, T0.plus_seconds(2)));
        let mut kept = s.clone();
        assert!(exit::settle(&mut s, T0.plus_seconds(3)));
        let failure = s.end().and_then(|end| end.failure.as_ref());
        assert_eq!(failure.map(|f| &f.cause), Some(&Cause::CookiesBlocked));
        assert!(!exit::settle(&mut s, T0.plus_seconds(4)), "it is over");
        kept.page_served(T0.plus_seconds(2));
        assert!(!exit::settle(&mut kept, T0.plus_seconds(60)));
    }
}

#[test]
fn a_claim_stored_before_there_were_redirects_is_a_popups_and_a_popups_is_stored_as_before() {
    let popup = serde_json::to_value(claim(Level::L2, T0)).unwrap();
    assert!(popup.get("mode").is_none());
    assert_eq!(serde_json::from_value::<Claim>(popup).unwrap().mode, Mode::Popup);
    let redirect = Claim { mode: Mode::Redirect, ..claim(Level::L2, T0) };
    let read: Claim = serde_json::from_value(serde_json::to_value(&redirect).unwrap()).unwrap();
    assert_eq!(read.mode, Mode::Redirect);
}

#[test]
fn t42_a_session_has_one_result_code_and_its_time_is_not_renewed() {
    let mut s = claimed(&["a"]);
    let code = ResultCode::derive(&s.sid, &"key".to_owned().into());
    assert!(s.issue_result(&code, T0));
    let first = s.data.result.clone();
    let other = ResultCode::derive(&s.sid, &"another key".to_owned().into());
    assert!(!s.issue_result(&code, T0.plus_seconds(200)) && !s.issue_result(&other, T0.plus_seconds(200)));
    assert_eq!(s.data.result, first);
}

fn redirected(providers: &[&str]) -> Session {
    let mut s = session(providers);
    s.claim_by(Claim { mode: Mode::Redirect, ..claim(Level::L2, T0) }).unwrap();
    s
}

#[test]
fn b08_a_redirect_flow_has_no_popup_that_could_be_closed() {
    for mut s in [redirected(&["a"]), redirected(&["a", "b"])] {
        s.page_served(T0);
        assert!(!s.window_reported(Some(true), T0), "nothing to remember");
        s.page_left(1, T0);
        for second in [1, 10, 200, 599] {
            assert!(!exit::settle(&mut s, T0.plus_seconds(second)), "{second} s");
        }
        s.start(attempt(Coop::Keeps, T0.plus_seconds(300)));
        assert!(!exit::settle(&mut s, T0.plus_seconds(599)), "at the provider");
        assert!(exit::settle(&mut s, T0.plus_seconds(900)), "its deadline ends it");
        assert_eq!(s.end().unwrap().kind, EndKind::Expired);
    }
    // Control: the same reports end a popup flow.
    let mut popup = claimed(&["a"]);
    popup.page_served(T0);
    assert!(popup.window_reported(Some(true), T0) && popup.page_left(1, T0));
    assert!(exit::settle(&mut popup, T0.plus_seconds(10)));
}

#[test]
fn who_leaves_after_the_sessions_own_time_ends_it_and_nobody_else_does() {
    let mut s = redirected(&["a"]);
    s.start(attempt(Coop::Unknown, T0.plus_seconds(300)));
    assert!(!s.left_late(T0.plus_seconds(599)), "something can still start");
    let id = s.data.underway.as_ref().unwrap().attempt;
    let mut exchanged = s.clone();
    exchanged.exchanging(id, T0.plus_seconds(600));
    assert!(!exchanged.left_late(T0.plus_seconds(601)), "the exchange decides");
    assert!(s.left_late(T0.plus_seconds(600)) && !s.left_late(T0.plus_seconds(600)));
    assert_eq!(s.end().unwrap().kind, EndKind::Expired);
    assert!(!session(&["a"]).left_late(T0.plus_seconds(601)), "nobody had opened it");
}

#[test]
fn t52_who_is_back_at_the_app_without_a_cookie_ends_the_flow_at_once() {
    let mut s = redirected(&["a", "b"]);
    assert!(!s.left_without_cookie(T0));
    s.came_without_cookie(T0);
    assert!(s.left_without_cookie(T0) && !s.left_without_cookie(T0));
    assert_eq!(s.end().unwrap().failure.as_ref().unwrap().cause, Cause::CookiesBlocked);
}
