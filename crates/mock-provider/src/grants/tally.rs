//! Counting refresh requests: all of them, by second and by token.

use super::Grants;

/// How many refresh requests arrived since the start, and what became of them. One that was neither turned away nor
/// judged yet is waiting at a gate, or its client went away first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefreshCounts {
    pub arrived: u64,
    /// Took effect, whether the answer arrived or not.
    pub honoured: u64,
    /// Were judged and refused: a dead token, a wrong client, too much scope.
    pub refused: u64,
    /// Met a fault or the limit before anybody judged them.
    pub turned_away: u64,
    /// Of those turned away, the ones over [`crate::RefreshRules::limit_a_second`].
    pub over_limit: u64,
    /// The largest number of times that one refresh token was sent.
    pub most_sent: u64,
    /// The largest number that arrived within one second of the provider's clock.
    pub most_in_a_second: u64,
}

/// The counts, and those of the current second.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) counts: RefreshCounts,
    second: i64,
    arrived: u64,
    admitted: u64,
}

impl Tally {
    fn arrive(&mut self, now: i64) {
        if self.second != now {
            (self.second, self.arrived, self.admitted) = (now, 0, 0);
        }
        self.arrived += 1;
        self.counts.arrived += 1;
        self.counts.most_in_a_second = self.counts.most_in_a_second.max(self.arrived);
    }
}

impl Grants {
    pub(crate) fn counts(&self) -> RefreshCounts {
        self.tally.counts
    }

    /// Counts a refresh request that has just arrived.
    pub(crate) fn count_sent(&mut self, token: Option<&str>, now: i64) {
        self.tally.arrive(now);
        if let Some(known) = token.and_then(|token| self.refresh.get_mut(token)) {
            known.sent += 1;
            self.tally.counts.most_sent = self.tally.counts.most_sent.max(known.sent);
        }
    }

    /// Returns whether the request that was counted last is within the limit of its second.
    pub(crate) fn admit(&mut self, limit: u32) -> bool {
        let admitted = self.tally.admitted < u64::from(limit);
        if admitted {
            self.tally.admitted += 1;
        } else {
            self.tally.counts.over_limit += 1;
        }
        admitted
    }

    pub(crate) fn count_turned_away(&mut self, token: Option<&str>) {
        self.tally.counts.turned_away += 1;
        if let Some(known) = token.and_then(|token| self.refresh.get_mut(token)) {
            known.turned_away += 1;
        }
    }

    pub(crate) fn count_refused(&mut self) {
        self.tally.counts.refused += 1;
    }
}
