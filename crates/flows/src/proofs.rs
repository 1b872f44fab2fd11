//! Seals that were proven, remembered: to open one takes a data key and five derivations, and every call needs two.
//!
//! A proof is remembered with all that it was of: place, seal, digest, and the app's data key as it is stored. A row put
//! back from before, a seal of another row, or a data key that was replaced since is proven anew.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alter_core::{Hash, SealedPlace};

/// So many proofs are remembered, of some half a kilobyte each; then all are forgotten.
const MOST: usize = 4096;

/// What was proven: that the seal opens in its place under this data key, and contains the digest.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proof<'a> {
    /// The app's current data key, wrapped, under which the seal lies.
    pub(crate) wrapped_key: &'a [u8],
    pub(crate) place: &'a SealedPlace,
    pub(crate) seal: &'a [u8],
    pub(crate) digest: &'a Hash,
}

struct Known {
    wrapped_key: Vec<u8>,
    place: SealedPlace,
    seal: Vec<u8>,
    digest: Hash,
}

/// By digest: there is one for each state of a row.
#[derive(Default)]
pub(crate) struct Proofs(Mutex<HashMap<Hash, Known>>);

impl Proofs {
    pub(crate) fn contains(&self, proof: &Proof) -> bool {
        self.known().get(proof.digest).is_some_and(|known| known.as_proof() == *proof)
    }

    pub(crate) fn remember(&self, proof: &Proof) {
        let known = Known {
            wrapped_key: proof.wrapped_key.to_owned(),
            place: proof.place.clone(),
            seal: proof.seal.to_owned(),
            digest: *proof.digest,
        };
        let mut all = self.known();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(*proof.digest, known);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Hash, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn as_proof(&self) -> Proof<'_> {
        let Self { wrapped_key, place, seal, digest } = self;
        Proof { wrapped_key, place, seal, digest }
    }
}

#[cfg(test)]
mod tests {
    use alter_core::{AppId, SealedColumn, SystemRandom, secret::sha256};

    use super::*;

    fn place(row: &str) -> SealedPlace {
        let app = AppId::new(&SystemRandom);
        SealedPlace { app, column: SealedColumn::KeySeal, row: row.into(), generation: 0, bound_to: None }
    }

    #[test]
    fn t90_a_remembered_proof_is_of_its_place_its_seal_its_digest_and_its_data_key_alone() {
        let (place, other_place) = (place("key 1"), place("key 2"));
        let (digest, other_digest) = (sha256(b"row"), sha256(b"row, changed"));
        let proven = Proof { wrapped_key: &[1], place: &place, seal: &[2], digest: &digest };
        let proofs = Proofs::default();
        assert!(!proofs.contains(&proven));
        proofs.remember(&proven);
        assert!(proofs.contains(&proven));
        for other in [
            Proof { wrapped_key: &[9], ..proven.clone() },
            Proof { place: &other_place, ..proven.clone() },
            Proof { seal: &[9], ..proven.clone() },
            Proof { digest: &other_digest, ..proven.clone() },
        ] {
            assert!(!proofs.contains(&other));
        }
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (place, proofs) = (place("key"), Proofs::default());
        for row in 0..3 * MOST {
            let digest = sha256(&row.to_be_bytes());
            proofs.remember(&Proof { wrapped_key: &[], place: &place, seal: &[], digest: &digest });
        }
        assert!(proofs.known().len() <= MOST);
    }
}
