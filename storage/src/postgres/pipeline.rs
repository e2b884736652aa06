//! Several statements on their way at once.
//!
//! A connection answers in the order in which it was asked, and a future of tokio-postgres asks when it is first polled.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// A future that has been polled once.
pub(super) struct Started<F: Future> {
    future: Pin<Box<F>>,
    done: Option<F::Output>,
}

/// Polls `future` once, so that what it asks is on its way before what is started after it.
pub(super) async fn started<F: Future>(future: F) -> Started<F> {
    let mut future = Box::pin(future);
    let done = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await;
    Started { future, done }
}

impl<F: Future> Started<F> {
    /// The rest of it.
    pub(super) async fn finish(self) -> F::Output {
        match self.done {
            Some(done) => done,
            None => self.future.await,
        }
    }
}

/// Drives a few futures together; the outputs stand in their order.
pub(super) async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut open: Vec<Result<F::Output, Pin<Box<F>>>> =
        futures.into_iter().map(|future| Err(Box::pin(future))).collect();
    poll_fn(|context| {
        let mut pending = false;
        for slot in &mut open {
            if let Err(future) = slot {
                match future.as_mut().poll(context) {
                    Poll::Ready(done) => *slot = Ok(done),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    open.into_iter().filter_map(Result::ok).collect()
}
