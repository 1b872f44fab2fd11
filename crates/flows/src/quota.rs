//! How many sessions may be minted per minute, per app and per user (T56).
//!
//! The counts live in memory, per process: with several replicas, each replica allows the full share. This protects the
//! process and its database from one runaway caller; it is not accounting.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use alter_core::{AppId, Micros, UserId};

/// How many holders are kept. Beyond that, holders with a full share are forgotten, then the half of the users who have
/// spent least. An app is never forgotten before its share is full: apps are few.
const HOLDERS_MAX: usize = 100_000;
/// One minute, microseconds.
const MINUTE: i64 = 60_000_000;

/// Who holds the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quota {
    App(AppId),
    User(UserId),
}

/// The shares that one call has taken.
#[derive(Debug, Default)]
pub(crate) struct Taken(Vec<(Quota, u32)>);

/// The shares in use: for each holder, the moment when its share is full again (the generic cell rate algorithm).
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    whole_at: Mutex<HashMap<Quota, i64>>,
}

impl Quotas {
    /// Takes one out of `per_minute` (0 = no limit); a whole minute's share may be taken at once. Returns `None` on
    /// success, otherwise the seconds until one is free.
    pub(crate) fn spend(&self, taken: &mut Taken, quota: Quota, per_minute: u32, now: Micros) -> Option<u32> {
        if per_minute == 0 {
            return None;
        }
        let mut shares = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= HOLDERS_MAX {
            make_room(&mut shares, now);
        }
        let whole_at = shares.entry(quota).or_insert(now.0);
        // If the clock was set back, nobody may be locked out for longer than a minute.
        let then = (*whole_at).clamp(now.0, now.0 + MINUTE) + MINUTE / i64::from(per_minute);
        let wait = then - (now.0 + MINUTE);
        if wait > 0 {
            let seconds = wait.saturating_add(999_999) / 1_000_000;
            return Some(u32::try_from(seconds).unwrap_or(60));
        }
        *whole_at = then;
        taken.0.push((quota, per_minute));
        None
    }

    /// Gives back what a call has taken in vain, and no more: a call that was refused before has taken nothing.
    pub(crate) fn give_back(&self, taken: Taken) {
        let mut shares = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        for (quota, per_minute) in taken.0 {
            if let Some(whole_at) = shares.get_mut(&quota) {
                *whole_at -= MINUTE / i64::from(per_minute);
            }
        }
    }
}

fn make_room(shares: &mut HashMap<Quota, i64>, now: Micros) {
    shares.retain(|_, at| *at > now.0);
    if shares.len() < HOLDERS_MAX {
        return;
    }
    let is_user = |holder: &Quota| matches!(holder, Quota::User(_));
    let mut users: Vec<i64> =
        shares.iter().filter(|(holder, _)| is_user(holder)).map(|(_, at)| *at).collect();
    let middle = users.len() / 2;
    if middle > 0 {
        let (_, least, _) = users.select_nth_unstable(middle);
        shares.retain(|holder, at| !is_user(holder) || *at > *least);
    }
}

#[cfg(test)]
mod tests {
    use alter_core::SystemRandom;

    use super::*;

    #[test]
    fn t56_a_share_is_spent_and_comes_back_and_is_its_holders_own() {
        let quotas = Quotas::default();
        let (app, other) = (Quota::App(AppId::new(&SystemRandom)), Quota::App(AppId::new(&SystemRandom)));
        let start = Micros(1_000_000_000_000_000);
        let spend =
            |holder, second| quotas.spend(&mut Taken::default(), holder, 60, start.plus_seconds(second));
        assert!((0..60).all(|_| spend(app, 0).is_none()), "a minute's share at once");
        assert_eq!(spend(app, 0), Some(1));
        assert_eq!(spend(other, 0), None, "another's share");
        assert_eq!((spend(app, 1), spend(app, 1)), (None, Some(1)), "one a second comes back");
        assert!(
            (0..60).all(|_| spend(app, 100).is_none()) && spend(app, 100).is_some(),
            "whole, and no more"
        );
        assert_eq!(spend(app, 0), Some(1), "a clock that was set back");
        assert!(
            (0..1000).all(|_| quotas.spend(&mut Taken::default(), app, 0, start).is_none()),
            "0 = no limit"
        );
    }

    #[test]
    fn t56_exactly_what_a_call_has_taken_is_given_back() {
        let quotas = Quotas::default();
        let (app, user) = (Quota::App(AppId::new(&SystemRandom)), Quota::User(UserId::new(&SystemRandom)));
        let now = Micros(1_000_000_000_000_000);
        let mut taken = Taken::default();
        for (holder, limit) in [(app, 2), (user, 1)] {
            assert_eq!(quotas.spend(&mut taken, holder, limit, now), None);
        }
        quotas.give_back(taken);
        assert_eq!(quotas.spend(&mut Taken::default(), user, 1, now), None, "the user's share too");
        let mut refused = Taken::default();
        assert!(quotas.spend(&mut refused, user, 1, now).is_some());
        quotas.give_back(refused);
        assert!(quotas.spend(&mut Taken::default(), user, 1, now).is_some(), "nothing was taken");
        let left = (0..3).filter(|_| quotas.spend(&mut Taken::default(), app, 2, now).is_none()).count();
        assert_eq!(left, 2);
    }

    #[test]
    fn t56_a_crowd_of_other_users_gives_nobody_a_second_share() {
        let quotas = Quotas::default();
        let (app, user) = (Quota::App(AppId::new(&SystemRandom)), Quota::User(UserId::new(&SystemRandom)));
        let spend = |holder| quotas.spend(&mut Taken::default(), holder, 30, Micros(1_000_000_000_000_000));
        for holder in [app, user] {
            assert!((0..30).all(|_| spend(holder).is_none()));
        }
        for _ in 0..=HOLDERS_MAX {
            assert_eq!(spend(Quota::User(UserId::new(&SystemRandom))), None);
        }
        for holder in [app, user] {
            assert!(spend(holder).is_some(), "{holder:?}");
        }
        assert!(quotas.whole_at.lock().unwrap().len() < HOLDERS_MAX, "and there is room again");
    }
}
