//! The rounds: the server starts, a few people come back from the provider at once, the server dies and starts again.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use alter_mock_provider::Gate;
use serde::Serialize;

use super::{
    Engine, Plan, Site,
    death::{Death, Draw},
    verdict::{self, Verdict},
    visit::Visit,
};

/// How many callbacks come at once in each round.
const VISITS: u64 = 3;
/// Makes the reaper look every second for attempts that have been silent for two seconds; by default both are a minute.
const HURRY: [(&str, &str); 2] = [("ALTER_LOST_AFTER", "2"), ("ALTER_REAP_EVERY", "1")];
/// How long a round waits for its named point.
const POINT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize)]
pub(crate) struct Campaign {
    /// Kills by the name of their point.
    pub(crate) kills: BTreeMap<&'static str, u32>,
    /// Kills from outside because the point was not passed; they are counted under its name too.
    pub(crate) not_passed: u32,
    pub(crate) seconds: f64,
    pub(crate) verdict: Verdict,
}

/// A visit and what the campaign has seen of it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) visit: Visit,
    /// The status channel has said `completed`.
    pub(crate) acknowledged: bool,
    /// The callback was answered: the person's browser is on our page.
    pub(crate) answered: bool,
}

pub(super) async fn run(plan: &Plan, engine: Engine) -> anyhow::Result<Campaign> {
    let mut site = Site::new(plan, engine).await?;
    let (mut random, begun) = (Draw(plan.seed), Instant::now());
    let (mut kills, mut not_passed) = (BTreeMap::new(), 0);
    let mut people: Vec<Seen> = Vec::new();
    let mut codes: HashMap<String, u32> = HashMap::new();
    for round in 0..plan.rounds {
        let death = Death::draw(&mut random, VISITS);
        if !one(&mut site, &death, &mut people).await? {
            not_passed += 1;
        }
        *kills.entry(death.name()).or_default() += 1;
        count_codes(&site, &mut codes);
        if (round + 1) % 50 == 0 {
            crate::say(&format!("  {} of {} kills", round + 1, plan.rounds));
        }
    }
    site.alter.serve_with(&HURRY).await?;
    come_back(&site, &mut people).await;
    let verdict = verdict::judge(&site, &people, &mut codes).await?;
    Ok(Campaign { kills, not_passed, seconds: begun.elapsed().as_secs_f64(), verdict })
}

/// Runs one round. Returns `false` if its point was not passed.
async fn one(site: &mut Site, death: &Death, people: &mut Vec<Seen>) -> anyhow::Result<bool> {
    let gate = Gate::closed();
    site.provider.set(|s| s.token_gate = matches!(death, Death::Held).then(|| gate.clone()));
    let failpoint = death.failpoint();
    let [lost, reap] = HURRY;
    // The server may die before it is ready, if a replay from the journal passes the point.
    let _dead_already = site.alter.serve_with(&[lost, reap, ("ALTER_FAILPOINT", &failpoint)]).await;
    come_back(site, people).await;
    let first = people.len();
    for number in first..first + VISITS as usize {
        // An error means that the server has died. The remaining people never came.
        let Ok(visit) = Visit::prepare(site, number).await else { break };
        people.push(Seen { visit, acknowledged: false, answered: false });
    }
    let (port, host) = (site.alter.port, site.alter.host());
    let mut tasks = tokio::task::JoinSet::new();
    for (number, seen) in people.iter().enumerate().skip(first) {
        let (visit, host) = (seen.visit.clone(), host.clone());
        tasks.spawn(async move {
            let told = tokio::join!(visit.callback(port, &host), visit.acknowledged(port, &host));
            (number, told)
        });
    }
    let passed = await_death(site, death).await?;
    gate.open();
    while let Some(ended) = tasks.join_next().await {
        let (number, (answered, acknowledged)) = ended?;
        (people[number].answered, people[number].acknowledged) = (answered.is_some(), acknowledged);
    }
    Ok(passed)
}

async fn await_death(site: &mut Site, death: &Death) -> anyhow::Result<bool> {
    match death {
        Death::Outside(after) => tokio::time::sleep(*after).await,
        Death::Held => {
            let asked = site.provider.wait_for(|seen| !seen.token.is_empty());
            let _nobody_came = tokio::time::timeout(POINT_MAX, asked).await;
        }
        Death::Point { .. } => {
            let begun = Instant::now();
            while site.alter.lives()? && begun.elapsed() < POINT_MAX {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    let killed = site.alter.kill()?;
    Ok(!killed || !matches!(death, Death::Point { .. }))
}

/// Reloads the callback for people whose browser shows an error.
async fn come_back(site: &Site, people: &mut [Seen]) {
    for seen in people.iter_mut().filter(|seen| !seen.answered) {
        seen.answered = seen.visit.callback(site.alter.port, &site.alter.host()).await.is_some();
    }
}

/// Adds the provider's own count of how often each code was sent.
pub(crate) fn count_codes(site: &Site, codes: &mut HashMap<String, u32>) {
    for request in site.provider.seen().token {
        *codes.entry(request.field("code").unwrap_or_default().to_owned()).or_default() += 1;
    }
    site.provider.forget_seen();
}
