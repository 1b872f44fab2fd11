//! Draws from a seed how a round ends.

use std::time::Duration;

/// The named points, in the order in which a callback passes them, with their numbers in the fault list.
const POINTS: [(&str, &str); 7] = [
    ("read", "1 request read"),
    ("consumed", "2 code taken"),
    ("sent", "3 request announced"),
    ("answered", "5 answer in memory"),
    ("journalled", "6 answer in the journal"),
    ("grant_connected", "10 audit half written"),
    ("committed", "7 grant stored"),
];
const HELD: &str = "4 provider holds its answer";
const OUTSIDE: &str = "any moment, from outside";
/// A kill from outside comes at most this many microseconds after the callbacks were sent.
const OUTSIDE_MAX: u64 = 40_000;

/// How a round ends.
#[derive(Debug, Clone)]
pub(crate) enum Death {
    /// The server kills itself when a point is passed for the n-th time.
    Point { at: usize, pass: u64 },
    /// Killed while the provider has the code and does not answer.
    Held,
    /// Killed from outside, this long after the callbacks were sent.
    Outside(Duration),
}

impl Death {
    /// Draws half of the kills at points, half from outside.
    pub(crate) fn draw(random: &mut Draw, visits: u64) -> Self {
        match random.below(16) {
            at @ 0..7 => Self::Point { at: usize::try_from(at).unwrap_or(0), pass: 1 + random.below(visits) },
            7 => Self::Held,
            _ => Self::Outside(Duration::from_micros(random.below(OUTSIDE_MAX))),
        }
    }

    /// The value of `ALTER_FAILPOINT`.
    pub(crate) fn failpoint(&self) -> String {
        match self {
            Self::Point { at, pass } => format!("{}:{pass}", POINTS[*at].0),
            _ => String::new(),
        }
    }

    /// The name in the table.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Point { at, .. } => POINTS[*at].1,
            Self::Held => HELD,
            Self::Outside(_) => OUTSIDE,
        }
    }

    /// All names, in the table's order.
    pub(crate) fn names() -> Vec<&'static str> {
        POINTS.iter().map(|(_, name)| *name).chain([HELD, OUTSIDE]).collect()
    }
}

/// A random number generator (splitmix64). It needs only to be repeatable: its seed decides every number.
#[derive(Debug)]
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_deaths_and_every_kind_comes() {
        let draw = |seed| -> Vec<String> {
            let mut random = Draw(seed);
            (0..200).map(|_| format!("{:?}", Death::draw(&mut random, 3))).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut random = Draw(1);
        let mut seen: Vec<_> = (0..200).map(|_| Death::draw(&mut random, 3).name()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), Death::names().len());
    }
}
