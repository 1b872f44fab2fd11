//! Digests of provider configurations, remembered: to digest a recipe takes longer than all else that a release computes.
//! A digest is taken again unless everything that was digested is equal, field by field, so no change passes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use alter_core::{ConfigId, Hash, ProviderConfig};

/// So many configurations are remembered, of some kilobytes each; then all are forgotten.
const MOST: usize = 1000;

#[derive(Default)]
pub(crate) struct Digests(Mutex<HashMap<ConfigId, Arc<(ProviderConfig, Hash)>>>);

impl Digests {
    pub(crate) fn of(&self, config: &ProviderConfig) -> Hash {
        let known = self.known().get(&config.config_id).cloned();
        if let Some(known) = known.filter(|known| known.0.is_digested_like(config)) {
            return known.1;
        }
        let digest = config.digest();
        let mut all = self.known();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(config.config_id.clone(), Arc::new((config.clone(), digest)));
        digest
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<ConfigId, Arc<(ProviderConfig, Hash)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use alter_core::SystemRandom;
    use alter_providers::Catalog;

    use super::*;

    fn config() -> ProviderConfig {
        ProviderConfig {
            config_id: ConfigId::new(&SystemRandom),
            app_id: alter_core::AppId::new(&SystemRandom),
            recipe: Arc::new(Catalog::builtin().get("google").unwrap().clone()),
            client_id: "client".into(),
            client_secret: Some(vec![1]),
            generation: 1,
            scopes: Vec::new(),
            created_at: alter_core::Micros(0),
            updated_at: alter_core::Micros(0),
            seal: None,
        }
    }

    #[test]
    fn t90_a_remembered_digest_is_not_taken_for_a_row_that_differs_in_anything_digested() {
        let (digests, first) = (Digests::default(), config());
        assert_eq!((digests.of(&first), digests.of(&first)), (first.digest(), first.digest()));
        let changes: [fn(&mut ProviderConfig); 8] = [
            |c| c.app_id = alter_core::AppId::new(&SystemRandom),
            |c| Arc::make_mut(&mut c.recipe).token_url.push('x'),
            |c| Arc::make_mut(&mut c.recipe).api_hosts.push("evil.example".into()),
            |c| Arc::make_mut(&mut c.recipe).revoke_url = Some("https://evil.example".into()),
            |c| drop(Arc::make_mut(&mut c.recipe).authorize_params.insert("a".into(), "b".into())),
            |c| c.client_id.push('x'),
            |c| c.client_secret = None,
            |c| c.generation += 1,
        ];
        for change in changes {
            let mut changed = first.clone();
            change(&mut changed);
            assert_ne!(digests.of(&changed), first.digest());
            assert_eq!(digests.of(&changed), changed.digest());
            assert_eq!(digests.of(&first), first.digest());
        }
    }

    /// How long a digest takes anew, and remembered:
    /// `cargo test --release -p alter-flows --lib digests -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures"]
    fn how_long_a_digest_takes() {
        let (digests, config) = (Digests::default(), config());
        let bytes = serde_json::to_vec(&*config.recipe).unwrap().len();
        let measure = |what: &str, digest: &dyn Fn() -> Hash| {
            let from = std::time::Instant::now();
            for _ in 0..100_000 {
                std::hint::black_box(digest());
            }
            println!("{what}: {} ns", from.elapsed().as_nanos() / 100_000);
        };
        println!("the recipe has {bytes} bytes of JSON");
        measure("anew", &|| std::hint::black_box(&config).digest());
        measure("remembered", &|| digests.of(std::hint::black_box(&config)));
    }
}
