//! A panic in a run is a violation like any other: it comes with the seed that leads to it, and can be made
//! small and drawn. That takes the standard library (feature `std`).

#[cfg(feature = "std")]
pub(super) use with_std::caught;

/// Without the standard library, a panic ends the program.
#[cfg(not(feature = "std"))]
pub(super) fn caught<T>(
    run: impl FnOnce() -> Result<T, super::violation::Violation>,
) -> Result<T, super::violation::Violation> {
    run()
}

#[cfg(feature = "std")]
mod with_std {
    use alloc::boxed::Box;
    use alloc::string::{String, ToString};
    use core::cell::RefCell;
    use core::sync::atomic::{AtomicBool, Ordering};
    use std::panic::{self, AssertUnwindSafe};

    use crate::sim::violation::Violation;

    std::thread_local! {
        /// What the panics in the run of this thread said, and where; `None` if nothing runs.
        static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    /// Runs something; a panic in it is a violation that tells the message and the place.
    ///
    /// Meanwhile this thread's panics are not printed; those of all others are, as they were before.
    pub(in crate::sim) fn caught<T>(run: impl FnOnce() -> Result<T, Violation>) -> Result<T, Violation> {
        // Whoever overtakes the first one here may see a panic printed that it does not learn of.
        static IS_LISTENING: AtomicBool = AtomicBool::new(false);
        if !IS_LISTENING.swap(true, Ordering::Relaxed) {
            listen();
        }
        let outer = SAID.replace(Some(String::new()));
        // Whatever the panic left half done is only looked at, if somebody watches, and dropped.
        let result = panic::catch_unwind(AssertUnwindSafe(run));
        let said = SAID.replace(outer).unwrap_or_default();
        result.unwrap_or_else(|_| Err(Violation::new("nothing panics", said)))
    }

    /// Only a hook learns where a panic comes from.
    fn listen() {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let is_ours = SAID.with_borrow_mut(|said| {
                let Some(said) = said else { return false };
                if said.is_empty() {
                    *said = panic.to_string();
                }
                true
            });
            if !is_ours {
                others(panic);
            }
        }));
    }
}
