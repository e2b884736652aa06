//! A wake-up between two tasks of one thread: no atomics, no allocation.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// One flag and the task that waits for it.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    set: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Notify {
    /// Wakes the waiting task, or lets the next wait return at once. Several wakes are one.
    pub(crate) fn wake(&self) {
        if !self.set.replace(true)
            && let Some(waker) = self.waiting.borrow_mut().take()
        {
            waker.wake();
        }
    }

    /// Waits for a wake-up that no wait has had yet.
    pub(crate) async fn wait(&self) {
        poll_fn(|context| {
            if self.set.replace(false) {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
