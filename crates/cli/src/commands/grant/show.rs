//! `alter grant show APP ID`: one grant, and how refreshing it went.

use alter_core::{App, Grant, GrantId, Micros, RefreshAttempt};
use alter_flows::{Flows, ShownGrant, grants, needs_reconnect};
use anyhow::Context;
use serde_json::{Value, json};

use super::{
    list::{account, row, whose},
    words,
};
use crate::output::Output;

pub(super) async fn run(flows: &Flows, app: &App, id: GrantId, output: Output) -> anyhow::Result<()> {
    let shown = grants::show_grant_as_operator(flows, app.id, id).await?;
    let shown = shown.with_context(|| format!("the app has no grant {id} (alter grant list {})", app.id))?;
    let now = flows.now();
    output.list(&lines(&shown, now), "", &value(&shown, now));
    Ok(())
}

fn lines(shown: &ShownGrant, now: Micros) -> Vec<String> {
    let mut lines: Vec<String> =
        facts(shown, now).into_iter().map(|(name, fact)| format!("{name:<14}{fact}")).collect();
    lines.push(String::new());
    if shown.attempts.is_empty() {
        lines.push("No attempt to refresh it yet.".to_owned());
    } else {
        lines.push("The last attempts to refresh it:".to_owned());
        lines.extend(shown.attempts.iter().map(|attempt| line(attempt, &shown.grant, now)));
    }
    lines
}

fn facts(shown: &ShownGrant, now: Micros) -> Vec<(&'static str, String)> {
    let ShownGrant { grant, user, .. } = shown;
    let mut facts = vec![
        ("grant", grant.id.to_string()),
        ("provider", grant.provider.clone()),
        ("account", format!("{} of {}", account(grant), whose(user.as_ref()))),
        ("account id", grant.subject.clone()),
        ("state", state(grant, now)),
        ("connected", grant.updated_at.to_rfc3339()),
        ("last used", grant.last_used_at.map_or("never".to_owned(), Micros::to_rfc3339)),
    ];
    if grant.revoked.is_some() {
        return facts;
    }
    facts.push(("access token", access_token(grant, now)));
    if let Some((reason, since)) = grant.reconnect(now) {
        facts.push(("reconnect", words::reconnect(reason, since, now)));
    } else if let Some(trouble) = grant.refresh.trouble {
        facts.push(("trouble", words::trouble(trouble, &grant.app_id.to_string(), &grant.provider)));
    }
    facts.push(("next step", next_step(grant, now)));
    if !grant.missing_scopes.is_empty() {
        facts.push(("not granted", grant.missing_scopes.join(" ")));
    }
    facts
}

fn state(grant: &Grant, now: Micros) -> String {
    match (&grant.revoked, grant.ends_at) {
        (Some(revoked), _) => format!("revoked since {}", revoked.at.to_rfc3339()),
        (None, Some(end)) => format!("{}, ends {}", grant.state(now).as_str(), end.to_rfc3339()),
        (None, None) => grant.state(now).as_str().to_owned(),
    }
}

fn access_token(grant: &Grant, now: Micros) -> String {
    match grant.credential.expires_at {
        Some(at) if at > now => format!("works until {}", at.to_rfc3339()),
        Some(at) => format!("ended {}", at.to_rfc3339()),
        None => "the provider did not say how long it works".to_owned(),
    }
}

/// What happens to the grant next, if nobody does anything.
fn next_step(grant: &Grant, now: Micros) -> String {
    let state = &grant.refresh;
    if let Some(until) = state.lease_until.filter(|until| *until > now) {
        return format!("an attempt is under way, until {} at most", until.to_rfc3339());
    }
    match (state.not_before.filter(|at| *at > now), grant.refresh_at) {
        (Some(at), _) if state.verdict.is_some() => {
            format!("alter serve asks the provider once more {}, in case it erred", at.to_rfc3339())
        }
        (None, Some(at)) if state.verdict.is_some() && at > now => {
            format!("alter serve wipes the refresh token {}", at.to_rfc3339())
        }
        (Some(at), _) => format!("nothing is sent before {}", at.to_rfc3339()),
        (None, Some(at)) if at <= now => format!("it is due since {} (alter serve)", at.to_rfc3339()),
        (None, Some(at)) => format!("alter serve looks at it {}", at.to_rfc3339()),
        (None, None) if needs_reconnect(grant, now) => "none, until the user connects again".to_owned(),
        (None, None) => "none, until a call needs its token".to_owned(),
    }
}

fn line(attempt: &RefreshAttempt, grant: &Grant, now: Micros) -> String {
    let took = took(attempt).map_or("-".to_owned(), |ms| format!("{ms} ms"));
    let outcome = outcome(attempt, grant, now);
    let code = attempt.code.as_deref().unwrap_or_default();
    format!("  {}  {took:>9}  {outcome:<14} {code}", attempt.begun_at.to_rfc3339()).trim_end().to_owned()
}

/// How long an attempt took, milliseconds.
fn took(attempt: &RefreshAttempt) -> Option<i64> {
    Some(attempt.ended_at?.since(attempt.begun_at) / 1000)
}

fn outcome<'a>(attempt: &'a RefreshAttempt, grant: &Grant, now: Micros) -> &'a str {
    let held = grant.refresh.lease_until.is_some_and(|until| until > now);
    match &attempt.outcome {
        Some(outcome) => outcome,
        None if held && attempt.attempt == grant.refresh.attempt => "under_way",
        None => "broken_off",
    }
}

fn value(ShownGrant { grant, user, attempts }: &ShownGrant, now: Micros) -> Value {
    let mut value = row(grant, user.as_ref(), now);
    let state = &grant.refresh;
    value["refresh"] = json!({
        "next_look_at": grant.refresh_at.map(Micros::to_rfc3339),
        "not_before": state.not_before.map(Micros::to_rfc3339),
        "lease_until": state.lease_until.map(Micros::to_rfc3339),
        "trouble": state.trouble, "failures": state.failures, "unknown": state.unknown,
        "has_refresh_token": grant.credential.refresh_token.is_some(),
        "generation": grant.credential.generation,
    });
    let attempt = |attempt: &RefreshAttempt| {
        json!({
            "begun_at": attempt.begun_at.to_rfc3339(), "took_ms": took(attempt),
            "generation": attempt.generation, "attempt": attempt.attempt,
            "outcome": outcome(attempt, grant, now), "code": attempt.code,
        })
    };
    value["attempts"] = attempts.iter().map(attempt).collect();
    value
}
