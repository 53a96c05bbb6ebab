//! Whether what clients saw of one object could have happened one after the other.
//!
//! The search of Wing and Gong, with Lowe's memory of the configurations that it has seen.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// What a client asked of one object, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<C, A> {
    /// What it asked for.
    pub call: C,
    /// When it asked.
    pub asked: u64,
    /// When it was answered, and what; `None` if it does not know. Then the operation may take effect
    /// at any time after it was asked for, or never.
    pub answer: Option<(u64, A)>,
}

/// Whether there is an order of the operations in which each gives its answer, and none comes before
/// one that was answered before it was asked for.
///
/// `apply` carries out a call on a state. The time it takes grows with how many operations overlap,
/// and doubles with each one of unknown outcome: check objects apart from each other, leave out
/// reads without an answer, and have answers that tell where in the order they belong, such as the
/// entry's index.
///
/// ```
/// use raft_core::sim::{Operation, is_linearizable};
///
/// // A register: `Some` writes, `None` reads; either tells the value afterwards.
/// let apply = |state: &mut u8, call: &Option<u8>| {
///     *state = call.unwrap_or(*state);
///     *state
/// };
/// let write = Operation { call: Some(7), asked: 1, answer: Some((4, 7)) };
/// let early = Operation { call: None, asked: 2, answer: Some((3, 7)) };
/// let late = |value| Operation { call: None, asked: 5, answer: Some((6, value)) };
/// assert!(is_linearizable(&[write.clone(), early.clone(), late(7)], 0, apply));
/// assert!(!is_linearizable(&[write, early, late(0)], 0, apply));
/// ```
pub fn is_linearizable<S: Clone + Ord, C, A: PartialEq>(
    operations: &[Operation<C, A>],
    initial: S,
    apply: impl Fn(&mut S, &C) -> A,
) -> bool {
    let mut closed: Vec<_> =
        operations.iter().filter_map(|operation| Some((operation, operation.answer.as_ref()?))).collect();
    closed.sort_by_key(|(operation, _)| operation.asked);
    let open: Vec<_> = operations.iter().filter(|operation| operation.answer.is_none()).collect();
    let first = Configuration { base: 0, done: BTreeSet::new(), open_done: BTreeSet::new(), state: initial };
    let mut seen = BTreeSet::from([first.clone()]);
    let mut todo = Vec::from([first]);
    while let Some(now) = todo.pop() {
        // Whatever comes next was asked for before any other was answered.
        let mut until = u64::MAX;
        let mut next = Vec::new();
        for (at, (operation, (answered, _))) in closed.iter().enumerate().skip(now.base) {
            if operation.asked > until {
                break;
            }
            if !now.done.contains(&at) {
                until = until.min(*answered);
                next.push(at);
            }
        }
        if next.is_empty() {
            return true;
        }
        for (at, operation) in open.iter().enumerate().filter(|(_, operation)| operation.asked <= until) {
            let mut after = now.clone();
            if after.open_done.insert(at) {
                apply(&mut after.state, &operation.call);
                if after.state != now.state && seen.insert(after.clone()) {
                    todo.push(after);
                }
            }
        }
        for at in next.into_iter().rev() {
            let (operation, (_, answer)) = closed[at];
            let mut after = now.clone();
            if operation.asked <= until && apply(&mut after.state, &operation.call) == *answer {
                after.finish(at);
                if seen.insert(after.clone()) {
                    todo.push(after);
                }
            }
        }
    }
    false
}

/// What has been put in order so far, and the state after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Configuration<S> {
    /// All answered operations before this one are done …
    base: usize,
    /// … and these behind it.
    done: BTreeSet<usize>,
    /// Those of unknown outcome that are done.
    open_done: BTreeSet<usize>,
    state: S,
}

impl<S> Configuration<S> {
    fn finish(&mut self, at: usize) {
        self.done.insert(at);
        while self.done.remove(&self.base) {
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Dice;

    /// Zero adds nothing, so it reads.
    fn add(state: &mut u8, call: &u8) -> u8 {
        *state += call;
        *state
    }

    /// Tries every order of every choice of the operations of unknown outcome.
    fn by_force(operations: &[Operation<u8, u8>], done: &mut Vec<usize>, state: u8) -> bool {
        let is_left = |at: &usize| !done.contains(at);
        let left: Vec<usize> = (0..operations.len()).filter(is_left).collect();
        if left.iter().all(|at| operations[*at].answer.is_none()) {
            return true;
        }
        left.iter().any(|at| {
            let operation = &operations[*at];
            let mut after = state;
            let result = add(&mut after, &operation.call);
            let precedes = |other: &usize| {
                operations[*other].answer.is_some_and(|(answered, _)| answered < operation.asked)
            };
            if left.iter().any(precedes) || operation.answer.is_some_and(|(_, answer)| answer != result) {
                return false;
            }
            done.push(*at);
            let is_possible = by_force(operations, done, after);
            done.pop();
            is_possible
        })
    }

    /// A history that really happened: each operation takes effect between its question and its answer.
    fn draw(dice: &mut Dice) -> Vec<Operation<u8, u8>> {
        let mut state = 0;
        let mut now = 10;
        let mut history = Vec::new();
        for _ in 0..dice.between(1, 6) {
            now += u64::from(dice.between(0, 3));
            let call = u8::try_from(dice.between(0, 2)).unwrap();
            let (asked, answered) =
                (now - u64::from(dice.between(0, 8)), now + u64::from(dice.between(0, 8)));
            if dice.between(0, 4) == 0 {
                if dice.between(0, 1) == 0 {
                    add(&mut state, &call);
                }
                history.push(Operation { call, asked, answer: None });
            } else {
                history.push(Operation { call, asked, answer: Some((answered, add(&mut state, &call))) });
            }
        }
        history
    }

    #[test]
    fn what_happened_is_linearizable_and_what_is_broken_is_judged_as_by_force() {
        let (mut dice, mut broken_count) = (Dice::new(7), 0);
        for round in 0..20_000 {
            let mut history = draw(&mut dice);
            assert!(is_linearizable(&history, 0, add), "round {round}: {history:?}");
            let at = dice.between(0, u32::try_from(history.len()).unwrap() - 1) as usize;
            let Operation { asked, answer, .. } = &mut history[at];
            if let Some((answered, answer)) = answer {
                *answer = answer.wrapping_add(1);
                *answered = (*answered).min(*asked + 2);
            }
            let is_possible = by_force(&history, &mut Vec::new(), 0);
            broken_count += u32::from(!is_possible);
            assert_eq!(is_linearizable(&history, 0, add), is_possible, "round {round}: {history:?}");
        }
        assert!(broken_count > 5_000, "only {broken_count} histories were broken");
    }
}
