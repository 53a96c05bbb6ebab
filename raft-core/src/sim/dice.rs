//! Chance, all of it from one seed.

use crate::means::rng::Rng;

/// A probability in units of 1/65536.
pub type Chance = u32;

/// What is certain.
pub(super) const ALWAYS: Chance = 65536;

/// A generator that a seed decides: whoever draws in the same order draws the same.
#[derive(Clone, Debug)]
pub struct Dice(Rng);

impl Dice {
    /// Begins with a seed; every one is good.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    /// Others, which from now on draw apart from these.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self::new(self.next())
    }

    /// The next 64 random bits.
    #[expect(clippy::should_implement_trait, reason = "dice have no end")]
    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        self.0.between(low, high)
    }

    /// Whether a chance comes true.
    pub fn happens(&mut self, chance: Chance) -> bool {
        // As a number below 65536 is drawn.
        self.next() >> 48 < u64::from(chance)
    }

    /// How likely something is in this run: not at all, a little, or up to the maximum. So some seeds
    /// meet one fault in abundance, and others many in small doses.
    pub fn swarm(&mut self, max: Chance) -> Chance {
        match self.between(0, 3) {
            0 => 0,
            1 => self.between(0, max / 8),
            _ => self.between(0, max),
        }
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let last = u32::try_from(from.len()).ok().and_then(|count| count.checked_sub(1));
        &from[self.between(0, last.expect("there are some, and not too many")) as usize]
    }
}
