//! One refresh per grant in a process, whoever asks for it; all who ask share its outcome.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use alter_core::{GrantId, Micros, ReconnectReason, refresh::Trouble};
use tokio::sync::watch;
use tracing::Instrument;

use super::attempt::{Asking, fly};
use crate::Flows;

/// How a flight ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flown {
    /// The grant has changed, or needed nothing: read it again.
    Moved,
    /// Nothing can be sent before this; `None`: another process is asking.
    Wait(Micros, Option<Trouble>),
    /// Only the user can help, since this time.
    Reconnect(ReconnectReason, Micros),
    /// Our own failure; it is in the log.
    Broken,
}

pub(crate) type Landing = watch::Receiver<Option<Flown>>;

/// The flights under way.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<GrantId, Landing>>);

impl Flights {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<GrantId, Landing>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Removes the flight when it ends, even if it panics.
struct Landed<'a>(&'a Flights, GrantId);

impl Drop for Landed<'_> {
    fn drop(&mut self) {
        self.0.with(|flights| flights.remove(&self.1));
    }
}

/// Begins a refresh, or joins the one that is under way. The refresh goes on whether or not anyone waits for the result.
pub(super) fn join(flows: &Flows, asking: Asking) -> Landing {
    let id = asking.grant_id;
    flows.inner.flights.with(|flights| {
        if let Some(landing) = flights.get(&id) {
            return landing.clone();
        }
        let (sender, landing) = watch::channel(None);
        flights.insert(id, landing.clone());
        let own = flows.clone();
        let flight = async move {
            let landed = Landed(&own.inner.flights, id);
            let flown = fly(&own, &asking).await;
            // Whoever hears the outcome and asks again begins a new flight.
            drop(landed);
            let _nobody_waits = sender.send(Some(flown));
        };
        flows.inner.tasks.spawn(flight.in_current_span());
        landing
    })
}

/// Waits for the outcome.
pub(super) async fn landed(mut landing: Landing) -> Flown {
    match landing.wait_for(Option::is_some).await {
        Ok(flown) => flown.unwrap_or(Flown::Broken),
        // The flight panicked.
        Err(_) => Flown::Broken,
    }
}
