//! Key sets and metadata kept in memory, for each app apart: what one app's tokens provoke, what its issuer fails at
//! and what its key set says is nothing to another app, of the same issuer too (T73).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use alter_core::{AppId, Micros};
use alter_egress::Egress;

use crate::discovery::{self, DiscoveryError};
use crate::jwks::{JwksError, KeySet};
use crate::kept::Kept;

/// URLs kept for one app; the one read longest ago goes.
const URLS_PER_APP: usize = 32;

/// URLs kept for all apps.
const URLS_MAX: usize = 2048;

/// Shared by all flows of one process. Time is an argument throughout.
#[derive(Default)]
pub struct JwksCache {
    keys: Table<KeySet, JwksError>,
    /// Where the keys of an issuer are, by its metadata.
    metadata: Table<String, DiscoveryError>,
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

    /// The part of one app.
    pub fn of(&self, app: AppId) -> AppKeySets<'_> {
        AppKeySets { cache: self, app }
    }
}

/// What is kept for one app.
#[derive(Debug, Clone, Copy)]
pub struct AppKeySets<'a> {
    cache: &'a JwksCache,
    app: AppId,
}

impl AppKeySets<'_> {
    /// The key set of this URL, from memory where it is fresh.
    pub(crate) async fn get(
        &self,
        egress: &Egress,
        url: &str,
        now: Micros,
    ) -> Result<Arc<KeySet>, JwksError> {
        self.cache.keys.entry(self.app, url).get(now, || keys(egress, url)).await
    }

    /// Another key set than `seen`, for a token that `seen` does not verify; `None` when there is none to be had now.
    pub(crate) async fn newer(
        &self,
        egress: &Egress,
        url: &str,
        seen: &Arc<KeySet>,
        now: Micros,
    ) -> Option<Arc<KeySet>> {
        self.cache.keys.entry(self.app, url).newer(seen, now, || keys(egress, url)).await
    }

    /// Where the keys of this issuer are, from memory where that is fresh.
    pub(crate) async fn jwks_url(
        &self,
        egress: &Egress,
        issuer: &str,
        now: Micros,
    ) -> Result<Arc<String>, DiscoveryError> {
        let read = || {
            let (egress, issuer) = (egress.clone(), issuer.to_owned());
            async move { discovery::jwks_url(&egress, &issuer).await }
        };
        self.cache.metadata.entry(self.app, issuer).get(now, read).await
    }
}

/// The read goes on when its caller is gone, so that it has everything itself.
fn keys(egress: &Egress, url: &str) -> impl Future<Output = Result<KeySet, JwksError>> + Send + 'static {
    let (egress, url) = (egress.clone(), url.to_owned());
    async move { KeySet::fetch(&egress, &url).await }
}

/// What is kept, by app and URL.
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

/// An app makes room among its own first; another's goes only when the places of all are taken. What somebody is reading or
/// waiting for stays: its first read would be thrown away, and asked for again.
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
