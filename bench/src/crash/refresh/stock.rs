//! What is counted after each kill, from the dead server's database and from the provider's own books.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::{
    super::Site,
    Reuse,
    people::Person,
    stored::{self, Grant},
};

/// How often a refresh token may be sent: once, and once more after an unknown outcome.
const SENT_MAX: u64 = 2;
/// How many probes may follow, for a grant that is set aside.
const PROBES: u64 = 3;

/// What became of refreshes and grants.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    /// Refreshes that the provider carried out.
    pub(super) honoured: u64,
    /// Attempts that ended, or were broken off, without anyone knowing how.
    pub(super) unknown: usize,
    /// Generations with such an attempt from which the grant came to new tokens all the same.
    pub(super) recovered: usize,
    /// Answers that a dead server left in the journal.
    pub(super) journalled: usize,
    /// Grants that ended, by the reason that they told.
    pub(super) ended: BTreeMap<String, usize>,
    /// Grants with two unknown outcomes in a row, which wait for a probe; at the end the wait is skipped.
    pub(super) set_aside: usize,
    /// Tokens that were durable and did not come to their grant, and generations that went away.
    pub(super) lost_durable: Vec<String>,
    /// Ended although the provider has a reuse window.
    pub(super) lost_in_window: usize,
    /// Refresh tokens that were sent more often than the rule says, or twice by one process.
    pub(super) sent_too_often: usize,
    /// Without a usable token and without a reason at the end.
    pub(super) stuck: Vec<String>,
}

/// The books.
#[derive(Default)]
pub(super) struct Stock {
    pub(super) tally: Tally,
    /// By attempt: its grant, generation and last outcome, and whether its answer was ever found in the journal.
    attempts: HashMap<String, (String, u64, Option<String>, bool)>,
    generations: HashMap<String, u64>,
    /// By refresh token: how often it had been judged when the previous process died.
    sent: HashMap<String, u64>,
    too_often: HashSet<String>,
    /// The accounts of grants that are set aside.
    aside: HashSet<String>,
    pub(super) waiting: Vec<Person>,
}

impl Stock {
    /// Takes stock of a server that has died. Grants that ended or wait for a probe leave `people`.
    pub(super) fn take(&mut self, site: &Site, reuse: Reuse, people: &mut Vec<Person>) -> anyhow::Result<()> {
        self.read_attempts(site)?;
        let grants: HashMap<String, Grant> =
            stored::grants(&site.alter)?.into_iter().map(|grant| (grant.id.clone(), grant)).collect();
        self.compare_generations(grants.values());
        let (stay, leave) = std::mem::take(people).into_iter().partition(|person: &Person| {
            grants.get(&person.grant).is_some_and(|grant| grant.reconnect.is_none() && !grant.is_paused())
        });
        *people = stay;
        for person in leave {
            match grants.get(&person.grant).and_then(|grant| grant.reconnect.clone()) {
                Some(reason) => self.end(reuse, &reason),
                None => self.set_aside(person),
            }
        }
        self.count_sendings(site);
        Ok(())
    }

    /// Counts a grant whose user has to connect again.
    pub(super) fn end(&mut self, reuse: Reuse, reason: &str) {
        *self.tally.ended.entry(reason.to_owned()).or_default() += 1;
        self.tally.lost_in_window += usize::from(reuse == Reuse::Window);
    }

    fn set_aside(&mut self, person: Person) {
        self.tally.set_aside += 1;
        self.expect_probe(&person);
        self.waiting.push(person);
    }

    /// From now on a probe for this grant is within the rule.
    pub(super) fn expect_probe(&mut self, person: &Person) {
        self.aside.insert(person.sub.clone());
    }

    fn read_attempts(&mut self, site: &Site) -> anyhow::Result<()> {
        for found in stored::attempts(&site.alter)? {
            let known = self.attempts.entry(found.id).or_insert((found.grant, found.generation, None, false));
            known.2 = found.outcome;
            known.3 |= found.journalled;
        }
        Ok(())
    }

    /// A generation that was durable never goes away.
    fn compare_generations<'a>(&mut self, grants: impl Iterator<Item = &'a Grant>) {
        for grant in grants {
            let before = self.generations.insert(grant.id.clone(), grant.generation);
            if let Some(before) = before.filter(|before| *before > grant.generation) {
                self.tally.lost_durable.push(format!("generation {before}, then {}", grant.generation));
            }
        }
    }

    /// Compares the provider's count of each refresh token with that at the previous death: one process sends a token
    /// once.
    pub(super) fn count_sendings(&mut self, site: &Site) {
        let subs: HashMap<u64, String> =
            site.provider.grants().into_iter().map(|grant| (grant.number, grant.sub)).collect();
        for token in site.provider.refresh_tokens() {
            let judged = token.sent - token.turned_away;
            let before = self.sent.insert(token.sha256.clone(), judged).unwrap_or(0);
            let aside = subs.get(&token.grant).is_some_and(|sub| self.aside.contains(sub));
            let most = if aside { SENT_MAX + PROBES } else { SENT_MAX };
            if judged > most || judged - before > 1 {
                self.too_often.insert(token.sha256);
            }
        }
    }

    /// Closes the books when every grant has been asked for a last time.
    pub(super) fn close(mut self, site: &Site) -> anyhow::Result<Tally> {
        self.read_attempts(site)?;
        self.compare_generations(stored::grants(&site.alter)?.iter());
        self.count_sendings(site);
        let mut by_generation: HashMap<(&str, u64), (bool, bool)> = HashMap::new();
        for (grant, generation, outcome, journalled) in self.attempts.values() {
            let (unknown, refreshed) =
                (outcome.as_deref() == Some("unknown"), outcome.as_deref() == Some("refreshed"));
            let both = by_generation.entry((grant, *generation)).or_default();
            (both.0, both.1) = (both.0 | unknown, both.1 | refreshed);
            self.tally.unknown += usize::from(unknown);
            self.tally.journalled += usize::from(*journalled);
            // An answer in the journal may also be the provider's refusal.
            if *journalled && !matches!(outcome.as_deref(), Some("refreshed" | "refused" | "failed")) {
                self.tally.lost_durable.push(format!("{grant} {generation}: {outcome:?}"));
            }
        }
        self.tally.recovered = by_generation.values().filter(|both| **both == (true, true)).count();
        self.tally.sent_too_often = self.too_often.len();
        self.tally.honoured = site.provider.refresh_counts().honoured;
        Ok(self.tally)
    }
}

impl Tally {
    pub(super) fn is_good(&self) -> bool {
        self.lost_durable.len() + self.lost_in_window + self.sent_too_often + self.stuck.len() == 0
    }
}
