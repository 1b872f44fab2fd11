//! Randomness that is the same in every run.

use std::sync::atomic::{AtomicU64, Ordering};

use alter_core::{Random, secret::sha256};

/// SHA-256 of a counter: no two buffers are equal, and a failure shows the same ids again.
#[derive(Debug, Default)]
pub(crate) struct SeededRandom(AtomicU64);

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(32) {
            let block = sha256(&self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes());
            part.copy_from_slice(&block[..part.len()]);
        }
    }
}
