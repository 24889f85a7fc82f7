//! A quick hash for keys that no stranger chooses: peer-ids, prefixes, link numbers.
//!
//! Never for addresses that come from the network: whoever picks those could make them collide.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// An odd constant with well spread bits (the golden ratio's fraction).
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Multiplies and folds each word.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuickHasher(u64);

/// A map with the quick hash.
pub type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<QuickHasher>>;

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let wide = u128::from(self.0 ^ value) * u128::from(MULTIPLIER);
        self.0 = (wide as u64) ^ ((wide >> 64) as u64);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn hash(feed: impl FnOnce(&mut QuickHasher)) -> u64 {
        let mut hasher = QuickHasher::default();
        feed(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn neighbouring_numbers_spread_over_both_ends_of_the_word() {
        for width in [|n: u32| hash(|h| h.write_u32(n)), |n: u32| hash(|h| h.write_u32(n << 16))] {
            let hashes: Vec<u64> = (1..4096).map(width).collect();
            let top: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            let bottom: HashSet<u64> = hashes.iter().map(|hash| hash & 0xFFF).collect();
            assert_eq!(top.len(), 128);
            assert!(bottom.len() > 2000, "{}", bottom.len());
        }
    }

    #[test]
    fn all_of_a_long_key_counts() {
        assert_ne!(hash(|h| h.write_u128(1)), hash(|h| h.write_u128(1 << 64)));
        assert_ne!(hash(|h| h.write(b"123456789")), hash(|h| h.write(b"123456780")));
    }
}
