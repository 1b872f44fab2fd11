//! Whether a provider's pages leave the popup its opener, as the flows of one configuration have shown. Only where they do,
//! a popup that looks closed is closed ([`crate::exit`]).
//!
//! Nothing is learnt across configurations: how an app's users sign in at a provider (their organisation's own sign-in
//! page, say) is part of what its flows show.

use serde::{Deserialize, Serialize};

use crate::{Attempt, ConfigId, Coop, Micros, Session};

/// How many flows must have come back from a popup that never looked closed.
pub const KEPT_MIN: u32 = 3;
/// How soon after its return the app's page must ask again, when our last page may have closed the popup meanwhile,
/// seconds. A page whose timers the browser slows down asks once a minute, and may have missed what it should have seen.
const AWAKE: i64 = 10;

/// What the flows of one configuration have shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opener {
    /// How many came back from a popup that never looked closed, up to [`KEPT_MIN`].
    pub kept: u32,
    /// One came back from a popup that looked closed. This is never taken back.
    pub severed: bool,
}

/// What one flow has shown by coming back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The popup never looked closed.
    Keeps,
    /// The popup looked closed, and was not.
    Severs,
}

/// A flow has come back from a popup that had never looked closed. The next report of the app's page says whether the page
/// would have seen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The configuration of the provider it came from.
    pub config: ConfigId,
    /// When it came back.
    pub at: Micros,
    /// The newest page that was served until then.
    pub page: u64,
}

impl Opener {
    /// What is known of the provider's pages, `known` being what the recipe says of them. What severed once is never
    /// trusted, whatever the recipe says.
    pub fn coop(self, known: Coop) -> Coop {
        match known {
            _ if self.severed => Coop::Severs,
            Coop::Unknown if self.kept >= KEPT_MIN => Coop::Keeps,
            known => known,
        }
    }

    /// Whether one more flow that shows this would change nothing.
    pub fn has(self, shown: Shown) -> bool {
        match shown {
            Shown::Severs => self.severed,
            Shown::Keeps => self.severed || self.kept >= KEPT_MIN,
        }
    }
}

impl Session {
    /// Whether the browser comes back from a popup that looked closed while it was at the provider of `attempt`.
    pub fn is_severed_at(&self, attempt: &Attempt) -> bool {
        self.data.signals.closed_since.is_some_and(|closed| closed >= attempt.created_at)
    }

    /// Looks at the first report after a return, and returns the configuration whose provider has kept the opener. A popup
    /// that looks closed by then says nothing, unless the flow is over and our last page was there to close it.
    pub fn kept_since_return(&mut self, closed: bool, now: Micros) -> Option<ConfigId> {
        let Returned { config, at, page } = self.data.signals.returned.take()?;
        let by_us = self.end().is_some() && self.data.signals.page_instance > page;
        let awake = now < at.plus_seconds(AWAKE);
        (!closed || (by_us && awake)).then_some(config)
    }
}

#[cfg(test)]
#[path = "opener_tests.rs"]
mod tests;
