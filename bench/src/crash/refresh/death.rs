//! Draws from a seed how a round ends.

use std::time::Duration;

use super::super::death::Draw;

/// The named points, in the order in which a refresh passes them, with their numbers in the fault list.
const POINTS: [(&str, &str); 7] = [
    ("refresh_wanted", "11 need read"),
    ("refresh_leased", "12 lease taken"),
    ("refresh_answered", "15 answer in memory"),
    ("refresh_journalled", "16 answer in the journal"),
    ("credential_refreshed", "16 audit half written"),
    ("refresh_committed", "17 grant updated"),
    ("refresh_ended", "17 failure recorded"),
];
const HELD: &str = "14 provider holds its answer";
const OUTSIDE: &str = "any moment, from outside";
/// A kill from outside comes at most this many microseconds after the calls began.
const OUTSIDE_MAX: u64 = 250_000;
/// A point is passed at most so many times before it kills.
const PASSES: u64 = 4;

/// How a round ends.
#[derive(Debug, Clone)]
pub(super) enum Death {
    /// The server kills itself when a point is passed for the n-th time.
    Point { at: usize, pass: u64 },
    /// Killed while the provider has rotated a token and does not answer.
    Held,
    /// Killed from outside, this long after the calls began.
    Outside(Duration),
}

impl Death {
    /// Draws half of the kills at points, half from outside.
    pub(super) fn draw(random: &mut Draw) -> Self {
        match random.below(16) {
            at @ 0..7 => Self::Point { at: usize::try_from(at).unwrap_or(0), pass: 1 + random.below(PASSES) },
            7 => Self::Held,
            _ => Self::Outside(Duration::from_micros(random.below(OUTSIDE_MAX))),
        }
    }

    /// The value of `ALTER_FAILPOINT`.
    pub(super) fn failpoint(&self) -> String {
        match self {
            Self::Point { at, pass } => format!("{}:{pass}", POINTS[*at].0),
            _ => String::new(),
        }
    }

    /// How many refreshes the provider turns away in this round: a failure has to be there to be recorded.
    pub(super) fn failures(&self) -> Option<u32> {
        match self {
            Self::Point { at, pass } if POINTS[*at].0 == "refresh_ended" => u32::try_from(*pass).ok(),
            _ => None,
        }
    }

    /// The name in the table.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Point { at, .. } => POINTS[*at].1,
            Self::Held => HELD,
            Self::Outside(_) => OUTSIDE,
        }
    }

    /// All names, in the table's order.
    pub(super) fn names() -> Vec<&'static str> {
        POINTS.iter().map(|(_, name)| *name).chain([HELD, OUTSIDE]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_deaths_and_every_kind_comes() {
        let draw = |seed| -> Vec<Death> {
            let mut random = Draw(seed);
            (0..200).map(|_| Death::draw(&mut random)).collect()
        };
        let text = |seed| format!("{:?}", draw(seed));
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
        let seen: std::collections::BTreeSet<_> = draw(1).iter().map(Death::name).collect();
        assert_eq!(seen.len(), Death::names().len());
    }
}
