//! Waiting for news of a session (protocol 5). Whoever waits looks at the session again when this process has saved it, when
//! its time has come, and when another process has saved it. The first is told by whoever saves. The beat finds the other
//! two: one question to the database for everybody who waits in this process, however many they are. It holds nothing
//! between two questions, so that it works behind any pooler.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alter_core::{Micros, Session, SessionId, StoreError, exit};
use tokio::{sync::Notify, time::timeout};

use crate::Flows;

/// How often the beat looks. A callback that reaches another server is heard of after half of this time on average, and a
/// closed popup ends its flow this much late; people notice neither. Four small questions a second are no load for a
/// database.
pub const BEAT: Duration = Duration::from_millis(250);

/// How long the beat waits for the database. Without an answer, those who wait go on with what this process tells them.
const ANSWER: Duration = Duration::from_secs(2);

/// Who waits, by session: one for each. An entry lives as long as its waiter.
#[derive(Default)]
pub(crate) struct Waiting {
    entries: Mutex<HashMap<SessionId, Entry>>,
    count: AtomicU64,
    begun: Notify,
}

struct Entry {
    /// Tells a waiter from the one that took its place.
    number: u64,
    wake: Arc<Notify>,
    /// The version that the waiter has seen; `None` = it is about to look.
    seen: Option<u64>,
    /// When time alone ends the session.
    moment: Option<Micros>,
}

impl Waiting {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<SessionId, Entry>) -> T) -> T {
        f(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the session's one place. Who had it is woken and learns that it has lost it.
    pub(crate) fn begin<'a>(&'a self, sid: &'a SessionId) -> Waiter<'a> {
        let (number, wake) = (self.count.fetch_add(1, Ordering::Relaxed), Arc::new(Notify::new()));
        let entry = Entry { number, wake: Arc::clone(&wake), seen: None, moment: None };
        if let Some(before) = self.with(|entries| entries.insert(sid.clone(), entry)) {
            before.wake.notify_one();
        }
        self.begun.notify_one();
        Waiter { waiting: self, sid, number, wake }
    }

    /// This process has changed the session.
    pub(crate) fn tell(&self, sid: &SessionId) {
        self.with(|entries| {
            if let Some(entry) = entries.get(sid) {
                entry.wake.notify_one();
            }
        });
    }

    /// Wakes those whose moment has come. Returns the sessions that the others have seen, with their versions.
    fn due(&self, now: Micros) -> HashMap<SessionId, u64> {
        self.with(|entries| {
            let (due, others): (Vec<_>, Vec<_>) =
                entries.iter().partition(|(_, entry)| entry.moment.is_some_and(|at| now >= at));
            due.into_iter().for_each(|(_, entry)| entry.wake.notify_one());
            others.into_iter().filter_map(|(sid, entry)| Some((sid.clone(), entry.seen?))).collect()
        })
    }
}

/// One who waits. The place is given back when this is dropped, also because the client has gone.
pub(crate) struct Waiter<'a> {
    waiting: &'a Waiting,
    sid: &'a SessionId,
    number: u64,
    wake: Arc<Notify>,
}

impl Waiter<'_> {
    /// Returns when there may be something to see.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Records what was seen. Returns `false` when another has the place: then there is nothing more to wait for.
    pub(crate) fn saw(&self, session: &Session) -> bool {
        self.waiting.with(|entries| {
            let own = entries.get_mut(self.sid).filter(|entry| entry.number == self.number);
            let Some(entry) = own else { return false };
            entry.seen = Some(session.version);
            entry.moment = exit::settles_at(session);
            true
        })
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiting.with(|entries| {
            if entries.get(self.sid).is_some_and(|entry| entry.number == self.number) {
                entries.remove(self.sid);
            }
        });
    }
}

/// Runs until the process ends. While nobody waits it does nothing.
pub async fn beat_forever(flows: Flows) {
    loop {
        if flows.waiting().with(|entries| entries.is_empty()) {
            flows.waiting().begun.notified().await;
        }
        tokio::time::sleep(BEAT).await;
        match timeout(ANSWER, beat(&flows)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "nobody knows what other servers have changed"),
            Err(_) => tracing::debug!("the database does not say what other servers have changed"),
        }
    }
}

/// Wakes whoever waits for a session whose moment has come, or that another process has changed.
///
/// # Errors
/// Storage does not say what others have changed. The moments were looked at.
pub async fn beat(flows: &Flows) -> Result<(), StoreError> {
    let mut seen = flows.waiting().due(flows.now());
    if seen.is_empty() {
        return Ok(());
    }
    let sids: Vec<_> = seen.keys().cloned().collect();
    for (sid, version) in flows.store().list_session_versions(&sids).await? {
        if seen.get(&sid) == Some(&version) {
            seen.remove(&sid);
        }
    }
    // Changed, or not there any more.
    seen.keys().for_each(|sid| flows.waiting().tell(sid));
    Ok(())
}

/// How many wait in this process, and have looked.
pub fn count(flows: &Flows) -> usize {
    flows.waiting().with(|entries| entries.values().filter(|entry| entry.seen.is_some()).count())
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use alter_core::SystemRandom;

    use super::*;

    fn sid() -> SessionId {
        SessionId::new(&SystemRandom)
    }

    fn is_woken(waiter: &Waiter<'_>) -> bool {
        pin!(waiter.woken()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_session_has_one_waiter_and_a_second_releases_the_first() {
        let (waiting, sid) = (Waiting::default(), sid());
        let first = waiting.begin(&sid);
        assert!(!is_woken(&first));
        let second = waiting.begin(&sid);
        assert!(is_woken(&first) && !is_woken(&second));
        assert_eq!(waiting.with(|entries| entries.len()), 1);
        drop(first);
        assert_eq!(waiting.with(|entries| entries.len()), 1, "the place is the second one's");
        waiting.tell(&sid);
        assert!(is_woken(&second));
        drop(second);
        assert_eq!(waiting.with(|entries| entries.len()), 0, "nobody is remembered without need");
        waiting.tell(&sid);
    }

    #[test]
    fn what_is_told_before_a_waiter_listens_is_not_lost() {
        let (waiting, here, other) = (Waiting::default(), sid(), sid());
        let waiter = waiting.begin(&here);
        waiting.tell(&other);
        assert!(!is_woken(&waiter), "another session is none of its business");
        waiting.tell(&here);
        assert!(is_woken(&waiter) && !is_woken(&waiter));
    }
}
