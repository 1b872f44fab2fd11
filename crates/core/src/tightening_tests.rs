use std::collections::HashSet;

use super::*;
use crate::{AgentData, AgentId, AppId, IdentityProvider, Level, Micros, Origin, SystemRandom};

fn app(change: impl FnOnce(&mut AppSettings)) -> App {
    let mut settings = AppSettings::named("App");
    settings.website_url = Some("https://app.example".into());
    change(&mut settings);
    App { id: AppId::new(&SystemRandom), settings, wrapped_key: Vec::new(), created_at: Micros(0) }
}

fn idp(issuer: &str) -> Option<IdentityProvider> {
    Some(IdentityProvider { issuer: issuer.into(), audience: Some("a".into()), ..Default::default() })
}

/// As loose as settings can be.
fn loose(s: &mut AppSettings) {
    (s.legacy_clients, s.allow_unverified_links, s.allow_bearer) = (true, true, true);
    s.allow_auth_sessions = true;
    (s.session_ttl, s.sessions_per_minute, s.sessions_per_minute_and_user) = (3600, 0, 100);
    s.return_origins = ["https://a.example", "https://b.example"].map(|o| Origin::parse(o).unwrap()).to_vec();
    s.identity_provider = idp("https://id.example");
}

/// A setting that can be tightened, and what tightens it.
type Case = (Tightening, fn(&mut AppSettings));

fn tightened() -> Vec<Case> {
    use Tightening as T;
    vec![
        (T::LegacyClientsRefused, |s| s.legacy_clients = false),
        (T::LinksRefused, |s| s.allow_unverified_links = false),
        (T::AuthSessionsRefused, |s| s.allow_auth_sessions = false),
        (T::BearerRefused, |s| s.allow_bearer = false),
        (T::UserTokenRequired, |s| s.require_user_token = true),
        (T::BindingRaised, |s| s.min_binding = Some(Level::L2)),
        (T::WebsiteChanged, |s| s.website_url = Some("https://new.example".into())),
        (T::WebsiteChanged, |s| s.website_url = None),
        (T::ReturnOriginRemoved, |s| s.return_origins.truncate(1)),
        (T::SessionShortened, |s| s.session_ttl = 60),
        (T::QuotaLowered, |s| s.sessions_per_minute = 10),
        (T::QuotaLowered, |s| s.sessions_per_minute_and_user = 10),
        (T::IdentityProviderRemoved, |s| s.identity_provider = None),
        (T::IdentityProviderChanged, |s| s.identity_provider = idp("https://other.example")),
        (T::IdentityProviderChanged, |s| {
            s.identity_provider =
                s.identity_provider.take().map(|i| IdentityProvider { audience: None, ..i });
        }),
    ]
}

#[test]
fn every_setting_that_was_tightened_since_stays_tight() {
    for (what, tighten) in tightened() {
        let before = app(loose);
        let mut today = before.clone();
        tighten(&mut today.settings);
        let (joined, found) = settings(&before, &today);
        assert!(found.contains(&what), "{what:?}: {found:?}");
        let least = today.settings.min_binding.or(joined.min_binding);
        assert_eq!(joined, AppSettings { min_binding: least, ..today.settings.clone() }, "{what:?}");
    }
}

#[test]
fn what_was_loosened_since_is_as_tight_as_before_and_nothing_is_said() {
    for (what, tighten) in tightened() {
        let unordered = [Tightening::WebsiteChanged, Tightening::IdentityProviderChanged];
        if unordered.contains(&what) {
            continue;
        }
        let before = app(|s| {
            loose(s);
            tighten(s);
        });
        let today = App { settings: app(loose).settings, ..before.clone() };
        let (joined, found) = settings(&before, &today);
        assert_eq!((joined, found), (before.settings, vec![]), "{what:?}");
    }
}

#[test]
fn the_level_of_sessions_never_falls_by_joining() {
    // Without the website there is no level of its own, and L2 came from the website.
    let before = app(|_| ());
    let today = App { settings: app(|s| s.website_url = None).settings, ..before.clone() };
    let (joined, _) = settings(&before, &today);
    assert_eq!(joined.min_binding, Some(Level::L2));
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn an_agent(status: AgentStatus, scopes: Option<&[(&str, &[&str])]>) -> Agent {
    let scopes = scopes.map(|all| all.iter().map(|(p, s)| ((*p).to_owned(), texts(s))).collect());
    Agent {
        id: AgentId::new(&SystemRandom),
        app_id: AppId::new(&SystemRandom),
        name: "mailbot".into(),
        status,
        data: AgentData { scopes, ..AgentData::default() },
        version: 3,
        created_at: Micros(0),
        updated_at: Micros(0),
    }
}

#[test]
fn an_agent_gets_the_tighter_status_whichever_side_has_it() {
    use AgentStatus::{Active, Inactive, Revoked};
    for (before, today, joined, what) in [
        (Active, Active, Active, None),
        (Active, Inactive, Inactive, Some(Tightening::AgentSuspended)),
        (Active, Revoked, Revoked, Some(Tightening::AgentDeleted)),
        (Inactive, Active, Inactive, None),
        (Inactive, Revoked, Revoked, Some(Tightening::AgentDeleted)),
        (Revoked, Active, Revoked, None),
    ] {
        let (made, found) = agent(&an_agent(before, None), &an_agent(today, None));
        assert_eq!((made.status, found), (joined, what.into_iter().collect()), "{before:?} {today:?}");
        assert_eq!(made.version, 4);
    }
}

#[test]
fn an_agent_may_use_what_both_sides_allow() {
    type Scopes<'a> = Option<&'a [(&'a str, &'a [&'a str])]>;
    let all: Scopes<'_> = None;
    let none: Scopes<'_> = Some(&[]);
    let two: Scopes<'_> = Some(&[("google", &["read", "send"])]);
    let one: Scopes<'_> = Some(&[("google", &["send"]), ("slack", &["post"])]);
    for (before, today, joined, changed) in [
        (all, none, none, true),
        (all, two, two, true),
        (two, all, two, false),
        (two, none, Some(&[("google", &[] as &[&str])] as &[_]), true),
        (two, one, Some(&[("google", &["send"] as &[&str])] as &[_]), true),
        (none, two, none, false),
        (all, all, all, false),
    ] {
        let active = |scopes| an_agent(AgentStatus::Active, scopes);
        let (made, found) = agent(&active(before), &active(today));
        assert_eq!(made.data.scopes, active(joined).data.scopes, "{before:?} {today:?}");
        assert_eq!(!found.is_empty(), changed, "{before:?} {today:?}");
    }
}

#[test]
fn each_tightening_has_a_word_of_its_own() {
    let words: HashSet<_> = Tightening::ALL.iter().map(|what| what.as_str()).collect();
    assert_eq!(words.len(), Tightening::ALL.len());
    assert!(Tightening::ALL.iter().all(|what| !what.sentence().is_empty()));
}
