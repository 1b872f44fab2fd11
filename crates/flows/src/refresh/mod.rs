//! Keeping a grant's credential usable.
//!
//! 1. [`usable`] decides on the grant that was read: serve, ask for a new token, wait, or tell that the user must connect
//!    again. A token that is still valid is served at once, and its refresh runs beside.
//! 2. One flight per grant and process ([`flight`]); all its callers share the outcome.
//! 3. The flight ([`attempt`]) takes the lease, asks the provider, journals the answer, and changes the grant by
//!    compare-and-set. It runs in a task of its own, which no disconnect cancels.
//! 4. Every few seconds [`sweep`] looks at grants that are due, and finishes what a crash has broken off.
//!
//! Which decision follows from what is a pure function: `alter_core::refresh`.

pub(crate) mod attempt;
mod finish;
mod flight;
mod gate;
mod health;
mod operator;
mod sweep;
mod usable;

use std::borrow::Cow;

use alter_core::{ProviderConfig, Recipe, recipe::Refresh};
use alter_providers::Catalog;

pub(crate) use flight::Flights;
pub(crate) use gate::Gates;
pub use health::{Health, health};
pub use operator::{RefreshError, refresh_as_operator};
pub use sweep::sweep;
pub(crate) use sweep::{Gone, begin_sweep};
pub use usable::NotUsable;
pub(crate) use usable::{rejected, usable};

/// What is known about refreshing at this provider. For a provider of the catalog it is what the catalog knows today, so
/// that what is learnt reaches grants that exist. A provider that the operator defined keeps the operator's facts, and so
/// does one of the catalog's name whose tokens come from elsewhere.
pub(crate) fn facts(config: &ProviderConfig) -> Cow<'_, Refresh> {
    let own = &config.recipe.refresh;
    if config.recipe.status == alter_core::recipe::Status::Operator {
        return Cow::Borrowed(own);
    }
    let same = |known: &&Recipe| !known.parameters.is_empty() || known.token_url == config.recipe.token_url;
    match Catalog::builtin().get(&config.recipe.id).filter(same) {
        // Every release asks, so nothing is copied unless the operator's own URL has to stay.
        Some(known) if own.url.is_none() || own.url == known.refresh.url => Cow::Borrowed(&known.refresh),
        Some(known) => Cow::Owned(Refresh { url: own.url.clone(), ..known.refresh.clone() }),
        None => Cow::Borrowed(own),
    }
}
