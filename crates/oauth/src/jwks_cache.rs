//! Key sets kept in memory, so that a connection does not cost a request for keys.
//!
//! A set is good for an hour. A token that names a key which the set lacks may be of a rotation just made, so the set
//! is read again at once, but at most once a minute per URL: the name is the token's, and tokens are anybody's. When
//! the provider cannot be read, what is there stays good for a day.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use alter_core::Micros;
use alter_egress::Egress;

use crate::jwks::{JwksError, KeySet};

/// Seconds for which a set is used without asking again.
const FRESH_S: i64 = 3600;

/// Seconds for which a set is used when asking fails.
const STALE_S: i64 = 24 * 3600;

/// Seconds between two reads that a token, or a failure, provokes.
const PAUSE_S: i64 = 60;

/// URLs kept; the one read longest ago goes.
const URLS_MAX: usize = 256;

/// Key sets by URL, shared by all flows of one process. Time is an argument throughout.
#[derive(Default)]
pub struct JwksCache {
    entries: Mutex<HashMap<String, Arc<Entry>>>,
}

/// One URL. The gate is held while it is read, so that many waiters cost one request; who finds what he needs in
/// `known` does not wait for it.
#[derive(Default)]
struct Entry {
    known: Mutex<Known>,
    gate: tokio::sync::Mutex<()>,
}

#[derive(Default, Clone)]
struct Known {
    keys: Option<(Arc<KeySet>, Micros)>,
    /// The last failure, and the last read that a token provoked.
    failed_at: Option<Micros>,
    provoked_at: Option<Micros>,
    error: Option<JwksError>,
}

impl std::fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwksCache").finish_non_exhaustive()
    }
}

impl JwksCache {
    /// Empty. Also chooses the cryptography of the JWT library, which else panics at first use when another crate of
    /// the build enables a second one.
    pub fn new() -> Self {
        // Refused where it was chosen before: then it is chosen.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        Self::default()
    }

    /// The set of this URL, from memory where it is fresh.
    pub(crate) async fn get(
        &self,
        egress: &Egress,
        url: &str,
        now: Micros,
    ) -> Result<Arc<KeySet>, JwksError> {
        let entry = self.entry(url);
        if let Some(keys) = entry.known().fresh(now) {
            return Ok(keys);
        }
        let _gate = entry.gate.lock().await;
        let known = entry.known();
        if let Some(keys) = known.fresh(now) {
            return Ok(keys);
        }
        if known.failed_at.is_some_and(|at| within(at, now, PAUSE_S)) {
            return known.despite_failure(now);
        }
        entry.read(egress, url, now).await
    }

    /// Another set than `seen`, for a token that `seen` does not verify; `None` when there is none to be had now.
    pub(crate) async fn newer(
        &self,
        egress: &Egress,
        url: &str,
        seen: &Arc<KeySet>,
        now: Micros,
    ) -> Option<Arc<KeySet>> {
        let entry = self.entry(url);
        let _gate = entry.gate.lock().await;
        let known = entry.known();
        match known.keys {
            Some((keys, _)) if !Arc::ptr_eq(&keys, seen) => return Some(keys),
            _ if known.provoked_at.is_some_and(|at| within(at, now, PAUSE_S)) => return None,
            _ => {}
        }
        entry.change(|known| known.provoked_at = Some(now));
        let keys = entry.read(egress, url, now).await.ok()?;
        (!Arc::ptr_eq(&keys, seen)).then_some(keys)
    }

    fn entry(&self, url: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if !entries.contains_key(url) && entries.len() >= URLS_MAX {
            let oldest =
                entries.iter().min_by_key(|(_, entry)| entry.known().keys.map_or(i64::MIN, |(_, at)| at.0));
            if let Some(url) = oldest.map(|(url, _)| url.clone()) {
                entries.remove(&url);
            }
        }
        entries.entry(url.to_owned()).or_default().clone()
    }
}

impl Entry {
    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, f: impl FnOnce(&mut Known)) {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Asks the provider; falls back to what is there. The gate is held.
    async fn read(&self, egress: &Egress, url: &str, now: Micros) -> Result<Arc<KeySet>, JwksError> {
        match KeySet::fetch(egress, url).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                self.change(|known| {
                    known.keys = Some((keys.clone(), now));
                    known.failed_at = None;
                    known.error = None;
                });
                Ok(keys)
            }
            Err(error) => {
                self.change(|known| {
                    known.failed_at = Some(now);
                    known.error = Some(error.clone());
                });
                let keys = self.known().despite_failure(now)?;
                // Without a fallback the caller gets the error, and logs it.
                tracing::warn!(url, %error, "a provider's keys could not be read again; those read earlier are used");
                Ok(keys)
            }
        }
    }
}

impl Known {
    fn fresh(&self, now: Micros) -> Option<Arc<KeySet>> {
        self.keys.as_ref().filter(|(_, at)| within(*at, now, FRESH_S)).map(|(keys, _)| keys.clone())
    }

    fn despite_failure(&self, now: Micros) -> Result<Arc<KeySet>, JwksError> {
        match (&self.keys, &self.error) {
            (Some((keys, at)), _) if within(*at, now, STALE_S) => Ok(keys.clone()),
            (_, Some(error)) => Err(error.clone()),
            (_, None) => Err(JwksError::NotUnderstood("they were never read")),
        }
    }
}

/// Less than `seconds` apart, in either direction: a clock that was set back must not freeze anything.
fn within(at: Micros, now: Micros, seconds: i64) -> bool {
    now.since(at).unsigned_abs() < seconds.unsigned_abs() * 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_fresh_for_an_hour_and_a_fallback_for_a_day() {
        let start = Micros(1_000_000_000_000_000);
        let keys = Arc::new(KeySet::parse(br#"{"keys":[]}"#).unwrap());
        let known =
            Known { keys: Some((keys, start)), error: Some(JwksError::Status(500)), ..Known::default() };
        for (after, fresh, fallback) in [
            (0, true, true),
            (3599, true, true),
            (3600, false, true),
            (86_399, false, true),
            (86_400, false, false),
        ] {
            let now = start.plus_seconds(after);
            assert_eq!(known.fresh(now).is_some(), fresh, "{after}");
            assert_eq!(known.despite_failure(now).is_ok(), fallback, "{after}");
        }
    }

    #[test]
    fn no_more_than_256_urls_are_kept() {
        let cache = JwksCache::new();
        for n in 0..1000 {
            cache.entry(&format!("https://{n}.example/jwks"));
        }
        assert_eq!(cache.entries.lock().unwrap().len(), URLS_MAX);
    }
}
