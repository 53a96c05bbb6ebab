//! Counts the situations that a random run came across, so that none of them goes untested.

use std::collections::BTreeMap;

/// How often each situation came up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Each of these must have come up this often at least.
    pub(crate) fn assert_each<const N: usize>(&self, situations: [&'static str; N], count_min: u64) {
        println!("{:?}", self.0);
        for what in situations {
            assert!(
                self.0.get(what).is_some_and(|count| *count >= count_min),
                "too seldom: {what}, {self:?}"
            );
        }
    }
}
