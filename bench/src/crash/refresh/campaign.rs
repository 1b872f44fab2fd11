//! The rounds: the server starts, calls for a few grants come without a pause, the server dies and starts again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use alter_mock_provider::{Gate, TokenFault};
use serde::Serialize;

use super::{
    super::{Plan, Site, death::Draw},
    Reuse,
    death::Death,
    people::{Heard, Line, Person, Told},
    stock::{Stock, Tally},
    stored,
};

/// How many grants are called in each round.
const PEOPLE: usize = 12;
/// Leases of two seconds for forty, and a sweep every second for five.
const HURRY: [(&str, &str); 2] = [("ALTER_REFRESH_HOLD", "2"), ("ALTER_REAP_EVERY", "1")];
/// How long a round waits for its named point.
const POINT_MAX: Duration = Duration::from_secs(5);
/// How long calls for a grant may be told to try again later, until it counts as waiting for a probe.
const LATER_MAX: Duration = Duration::from_secs(15);
/// How many servers may be needed until nobody waits.
const LAST_SERVERS: usize = 3;

#[derive(Debug, Serialize)]
pub(super) struct Campaign {
    /// Kills by the name of their point.
    pub(super) kills: BTreeMap<&'static str, u32>,
    /// Kills from outside because the point was not passed; they are counted under its name too.
    pub(super) not_passed: u32,
    pub(super) seconds: f64,
    pub(super) people: usize,
    pub(super) told: Told,
    pub(super) tally: Tally,
}

pub(super) async fn run(plan: &Plan, mut site: Site, reuse: Reuse) -> anyhow::Result<Campaign> {
    let (mut random, begun) = (Draw(plan.seed), Instant::now());
    let (mut kills, mut not_passed, mut told) = (BTreeMap::new(), 0, Told::default());
    let mut crowd = Crowd::default();
    let mut stock = Stock::default();
    for round in 0..plan.rounds / 2 {
        let death = Death::draw(&mut random);
        not_passed += u32::from(!one(&mut site, &death, &mut crowd, &mut told).await?);
        *kills.entry(death.name()).or_default() += 1;
        stock.take(&site, reuse, &mut crowd.people)?;
        if (round + 1) % 50 == 0 {
            crate::say(&format!("  {} of {} kills", round + 1, plan.rounds / 2));
        }
    }
    let connected = crowd.next;
    let tally = finish(&mut site, reuse, crowd.people, stock).await?;
    Ok(Campaign { kills, not_passed, seconds: begun.elapsed().as_secs_f64(), people: connected, told, tally })
}

/// Whoever is connected now.
#[derive(Default)]
struct Crowd {
    people: Vec<Person>,
    /// The number of the next new person.
    next: usize,
}

impl Crowd {
    /// Connects new people in the place of those whose grants have ended. The server may die meanwhile.
    async fn fill(&mut self, site: &Site) {
        while self.people.len() < PEOPLE {
            let Ok(person) = Person::connect(site, self.next).await else { return };
            self.people.push(person);
            self.next += 1;
        }
    }
}

/// Runs one round. Returns `false` if its point was not passed.
async fn one(site: &mut Site, death: &Death, crowd: &mut Crowd, told: &mut Told) -> anyhow::Result<bool> {
    let gate = Gate::closed();
    let held = matches!(death, Death::Held);
    site.provider.set(|s| {
        s.refresh.fault = match death.failures() {
            Some(_) => Some(TokenFault::Status(503)),
            None => held.then(|| TokenFault::HoldAnswer(gate.clone())),
        };
        s.refresh.fault_times = death.failures();
    });
    let before = site.provider.refresh_counts().honoured;
    let (failpoint, [hold, reap]) = (death.failpoint(), HURRY);
    // The server may die before it is ready: its first sweep refreshes what is due.
    let _dead_already = site.alter.serve_with(&[hold, reap, ("ALTER_FAILPOINT", &failpoint)]).await;
    crowd.fill(site).await;
    let (line, mut calls) = (Line::to(site)?, tokio::task::JoinSet::new());
    for person in &crowd.people {
        calls.spawn(line.clone().call_on(person.clone()));
    }
    let passed = await_death(site, death, before).await?;
    gate.open();
    while let Some(ended) = calls.join_next().await {
        told.add(ended?);
    }
    Ok(passed)
}

async fn await_death(site: &mut Site, death: &Death, honoured: u64) -> anyhow::Result<bool> {
    match death {
        Death::Outside(after) => tokio::time::sleep(*after).await,
        Death::Held => {
            let asked = site.provider.wait_for_refreshes(|counts| counts.honoured > honoured);
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

/// Starts last servers, which nobody kills, and asks for every grant that has not ended. A grant that waits for a probe is
/// asked for again at the next one, with its wait skipped.
async fn finish(
    site: &mut Site,
    reuse: Reuse,
    mut people: Vec<Person>,
    mut stock: Stock,
) -> anyhow::Result<Tally> {
    // New tokens live long from here on, so that asking refreshes nobody twice.
    site.provider.set(|s| {
        (s.refresh.fault, s.refresh.answer_fields) = (None, serde_json::json!({ "expires_in": 3600 }));
    });
    people.append(&mut stock.waiting);
    for _ in 0..LAST_SERVERS {
        for grant in stored::grants(&site.alter)?.iter().filter(|grant| grant.is_paused()) {
            stored::end_pause(&site.alter, grant)?;
        }
        site.alter.serve_with(&HURRY).await?;
        people = ask_everybody(site, reuse, people, &mut stock).await?;
        site.alter.stop()?;
        stock.count_sendings(site);
        for person in &people {
            stock.expect_probe(person);
        }
    }
    stock.tally.stuck = people.into_iter().map(|person| person.grant).collect();
    site.alter.cli(&["audit", "verify", "--all"], "")?;
    stock.close(site)
}

/// Returns the people who have to wait.
async fn ask_everybody(
    site: &Site,
    reuse: Reuse,
    people: Vec<Person>,
    stock: &mut Stock,
) -> anyhow::Result<Vec<Person>> {
    let (line, mut waiting, mut asked) = (Line::to(site)?, Vec::new(), tokio::task::JoinSet::new());
    for person in people {
        asked.spawn(last_word(line.clone(), person));
    }
    while let Some(answered) = asked.join_next().await {
        match answered?? {
            (_, Heard::Token) => {}
            (_, Heard::Reconnect(reason)) => stock.end(reuse, &reason),
            (person, _) => waiting.push(person),
        }
    }
    Ok(waiting)
}

async fn last_word(line: Line, person: Person) -> anyhow::Result<(Person, Heard)> {
    let (mut server, begun) = (line.open().await?, Instant::now());
    loop {
        let heard = line.call(&mut server, &person).await?;
        match heard {
            Heard::Later(seconds) if begun.elapsed() + Duration::from_secs(seconds) < LATER_MAX => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            _ => return Ok((person, heard)),
        }
    }
}
