//! Numbers that no two segments share.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Draws salts and incarnations (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Salts {
    state: u64,
}

impl Salts {
    /// From a seed, or from the randomness that the system gives to hash maps.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self { state: seed.unwrap_or_else(|| RandomState::new().build_hasher().finish()) }
    }

    /// Mixes in what else distinguishes this log, so equal seeds do not mean equal salts.
    pub(crate) fn absorb(&mut self, value: u64) {
        self.state ^= value;
        self.draw();
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
