//! Key sets and metadata kept in memory, for each app separately: what one app's tokens provoke, what its issuer fails
//! at and what its key set says does not affect another app, even one with the same issuer (T73).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alter_core::{AppId, Micros};
use alter_egress::Egress;

use crate::discovery::{self, DiscoveryError};
use crate::jwks::{JwksError, KeySet};
use crate::kept::Kept;

/// How many URLs are kept for one app; beyond that, the one read longest ago is dropped.
const URLS_PER_APP: usize = 32;

/// How many URLs are kept for all apps together.
const URLS_MAX: usize = 2048;

/// How long one read may take, and for how many seconds its failure is the answer.
#[derive(Debug, Clone, Copy)]
struct Patience {
    total: Duration,
    pause: i64,
}

/// For a user token: anybody can send one, as often as they like.
const OF_A_CALL: Patience = Patience { total: Duration::from_secs(5), pause: 60 };

/// For an id_token: a user waits, the code is spent, and the token endpoint had as much time.
const OF_A_FLOW: Patience = Patience { total: Duration::from_secs(30), pause: 0 };

/// Shared by all flows of one process. Time is an argument throughout.
#[derive(Default)]
pub struct JwksCache {
    keys: Table<KeySet, JwksError>,
    /// The URL of an issuer's keys, as its metadata say.
    metadata: Table<String, DiscoveryError>,
}

impl std::fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwksCache").finish_non_exhaustive()
    }
}

impl JwksCache {
    /// Makes an empty cache. Also chooses the cryptography of the JWT library, which otherwise panics at first use when
    /// another crate in the build enables a second one.
    pub fn new() -> Self {
        // An error means that it was chosen before, which is enough.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        Self::default()
    }

    /// Returns the part of the cache that belongs to one app.
    pub fn of(&self, app: AppId) -> AppKeySets<'_> {
        AppKeySets { cache: self, app, patience: OF_A_CALL }
    }
}

/// The key sets and metadata kept for one app.
#[derive(Debug, Clone, Copy)]
pub struct AppKeySets<'a> {
    cache: &'a JwksCache,
    app: AppId,
    patience: Patience,
}

impl AppKeySets<'_> {
    /// The same, for an id_token.
    pub(crate) fn patiently(self) -> Self {
        Self { patience: OF_A_FLOW, ..self }
    }

    /// Returns the key set at this URL, from memory if it is fresh.
    pub(crate) async fn get(
        &self,
        egress: &Egress,
        url: &str,
        now: Micros,
    ) -> Result<Arc<KeySet>, JwksError> {
        self.cache.keys.entry(self.app, url).get(now, self.patience.pause, || self.keys(egress, url)).await
    }

    /// Returns a key set other than `seen`, for a token that `seen` does not verify; `None` when there is none at the
    /// moment.
    pub(crate) async fn newer(
        &self,
        egress: &Egress,
        url: &str,
        seen: &Arc<KeySet>,
        now: Micros,
    ) -> Option<Arc<KeySet>> {
        self.cache.keys.entry(self.app, url).newer(seen, now, || self.keys(egress, url)).await
    }

    /// Returns the URL of this issuer's keys, from memory if it is fresh.
    pub(crate) async fn jwks_url(
        &self,
        egress: &Egress,
        issuer: &str,
        now: Micros,
    ) -> Result<Arc<String>, DiscoveryError> {
        let read = || {
            let (egress, issuer) = (egress.clone(), issuer.to_owned());
            let total = self.patience.total;
            async move { discovery::jwks_url(&egress, &issuer, total).await }
        };
        self.cache.metadata.entry(self.app, issuer).get(now, self.patience.pause, read).await
    }

    /// Reads a key set. The read goes on when its caller is gone, so it owns everything that it needs.
    fn keys(
        &self,
        egress: &Egress,
        url: &str,
    ) -> impl Future<Output = Result<KeySet, JwksError>> + Send + use<> {
        let (egress, url, total) = (egress.clone(), url.to_owned(), self.patience.total);
        async move { KeySet::fetch(&egress, &url, total).await }
    }
}

/// The kept values, by app and URL.
struct Table<T, E>(Mutex<Entries<T, E>>);

type Entries<T, E> = HashMap<(AppId, String), Arc<Kept<T, E>>>;

impl<T, E> Default for Table<T, E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T, E> Table<T, E> {
    fn entry(&self, app: AppId, url: &str) -> Arc<Kept<T, E>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (app, url.to_owned());
        if let Some(entry) = entries.get(&key) {
            return entry.clone();
        }
        make_room(&mut entries, app);
        let entry = Arc::new(Kept::new(url));
        entries.insert(key, entry.clone());
        entry
    }
}

/// Makes room for one more URL. An app that has reached its own limit loses one of its own URLs; another app's is
/// dropped only when the limit for all apps is reached. An entry in use stays: otherwise its first read would be thrown
/// away and repeated.
fn make_room<T, E>(entries: &mut Entries<T, E>, app: AppId) {
    loop {
        let own = entries.keys().filter(|(of, _)| *of == app).count();
        let crowded = own >= URLS_PER_APP;
        if !crowded && entries.len() < URLS_MAX {
            return;
        }
        let idle = entries.iter().filter(|(_, entry)| Arc::strong_count(entry) == 1);
        let leaving = idle.filter(|((of, _), _)| !crowded || *of == app);
        let Some((oldest, _)) = leaving.min_by_key(|(_, entry)| entry.read_at()) else { return };
        let oldest = oldest.clone();
        entries.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use alter_core::SystemRandom;

    use super::*;

    #[test]
    fn an_app_drives_out_its_own_urls_and_no_other_apps() {
        let (cache, mine, other) = (JwksCache::new(), AppId::new(&SystemRandom), AppId::new(&SystemRandom));
        let kept = cache.keys.entry(mine, "https://a.example/jwks");
        for n in 0..1000 {
            cache.keys.entry(other, &format!("https://{n}.example/jwks"));
        }
        assert_eq!(cache.keys.0.lock().unwrap().len(), URLS_PER_APP + 1);
        assert!(Arc::ptr_eq(&kept, &cache.keys.entry(mine, "https://a.example/jwks")));
    }

    #[test]
    fn t73_an_app_that_is_full_keeps_another_apps_idle_urls() {
        let (cache, mine, other) = (JwksCache::new(), AppId::new(&SystemRandom), AppId::new(&SystemRandom));
        let fill = |app, count| {
            (0..count).for_each(|n| drop(cache.keys.entry(app, &format!("https://{n}.example/jwks"))));
        };
        fill(mine, 20);
        fill(other, 1000);
        let held = |app| cache.keys.0.lock().unwrap().keys().filter(|(of, _)| *of == app).count();
        assert_eq!((held(mine), held(other)), (20, URLS_PER_APP));
    }

    #[test]
    fn what_is_being_read_does_not_make_room() {
        let (cache, app) = (JwksCache::new(), AppId::new(&SystemRandom));
        let reading = cache.keys.entry(app, "https://a.example/jwks");
        for n in 0..100 {
            cache.keys.entry(app, &format!("https://{n}.example/jwks"));
        }
        assert!(Arc::ptr_eq(&reading, &cache.keys.entry(app, "https://a.example/jwks")));
        drop(reading);
        assert_eq!(cache.keys.0.lock().unwrap().len(), URLS_PER_APP);
    }

    #[test]
    fn no_more_than_2048_urls_are_kept() {
        let cache = JwksCache::new();
        for _ in 0..3000 {
            cache.keys.entry(AppId::new(&SystemRandom), "https://a.example/jwks");
        }
        assert_eq!(cache.keys.0.lock().unwrap().len(), URLS_MAX);
    }
}
