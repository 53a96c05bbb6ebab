//! The locks, channels and threads with which the log's threads meet. The crate's unit tests have those
//! of a scheduler that tries orders in which they may run; everybody else has the real ones.

#[cfg(not(test))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(test))]
pub(crate) use std::sync::{atomic, mpsc};
#[cfg(not(test))]
pub(crate) use std::thread;

#[cfg(test)]
pub(crate) use modelled::{Condvar, Mutex, MutexGuard};
#[cfg(test)]
pub(crate) use shuttle::sync::{atomic, mpsc};
#[cfg(test)]
pub(crate) use shuttle::thread;

/// What parking_lot has, of what shuttle has.
#[cfg(test)]
mod modelled {
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    use shuttle::rand::{Rng, thread_rng};
    use shuttle::sync;

    const NOT_POISONED: &str = "a thread that panics ends the test";

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    /// Empty only inside [`Condvar::wait`].
    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(sync::Condvar);

    #[derive(Debug)]
    pub(crate) struct WaitTimeoutResult(bool);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().expect(NOT_POISONED)))
        }
    }

    impl Condvar {
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.0 = guard.0.take().map(|held| self.0.wait(held).expect(NOT_POISONED));
        }

        /// There is no time here: as often as not it is over at once, otherwise never.
        pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) -> WaitTimeoutResult {
            let is_over = thread_rng().gen_bool(0.5);
            if !is_over {
                self.wait(guard);
            }
            WaitTimeoutResult(is_over)
        }
    }

    impl WaitTimeoutResult {
        pub(crate) fn timed_out(&self) -> bool {
            self.0
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_deref().expect("held outside of a wait")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_deref_mut().expect("held outside of a wait")
        }
    }
}
