//! The operations of a batch, with what the next ones need fetched before it is needed.

use std::iter::Flatten;

use super::operation::{Operation, Operations};
use super::store::{FETCHED_MAX, Store};

/// Gives the operations of a batch one by one and lets the store fetch ahead.
///
/// Finding a value takes a few reads that wait for each other, and in a large store each of them waits
/// for main memory. Reads for other keys need not wait: side by side, those for many keys take
/// little longer than those for one.
pub(super) struct Ahead<'a> {
    operations: Flatten<Operations<'a>>,
    /// How many of the next operations have been looked at.
    fetched: usize,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(batch: &'a [u8]) -> Self {
        Self { operations: Operations::decode(batch).flatten(), fetched: 0 }
    }

    /// The next operation, which the store will be asked to carry out.
    pub(super) fn next(&mut self, store: &Store) -> Option<Operation<'a>> {
        if self.fetched == 0 {
            self.fetched = FETCHED_MAX;
            let group = self.operations.clone().take(FETCHED_MAX);
            store.fetch(group.filter_map(|operation| operation.key()));
        }
        self.fetched -= 1;
        self.operations.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Batch;

    #[test]
    fn gives_every_operation_once_and_in_order() {
        let store = Store::new(0);
        for count in [0, 1, 2, FETCHED_MAX - 1, FETCHED_MAX, FETCHED_MAX + 1, 5 * FETCHED_MAX + 3] {
            let mut batch = Batch::new();
            (0..count).for_each(|at| match at % 3 {
                0 => batch.count(),
                1 => batch.fetch(&at.to_le_bytes()),
                _ => batch.append(&at.to_le_bytes(), b"tail"),
            });
            let mut ahead = Ahead::new(batch.as_bytes());
            let given: Vec<_> = std::iter::from_fn(|| ahead.next(&store)).collect();
            let decoded: Result<Vec<_>, _> = Operations::decode(batch.as_bytes()).collect();
            assert_eq!(given, decoded.unwrap());
            assert_eq!(given.len(), count);
        }
    }
}
