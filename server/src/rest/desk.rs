//! Between a shard and the router: requests go one way, answers come back the other, neither side waits.
//!
//! Invariant: each call that [`Desk::submit`] takes comes back from [`Desk::try_next`] exactly once. A desk holds a fixed
//! number of calls; past it, the caller gets a 503 at once and nothing is queued.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use commucat_shard::input::CallId;
use crossbeam_queue::ArrayQueue;
use http::{Request, Response, StatusCode};
use tokio::runtime::Handle;
use tower::ServiceExt;

use super::problem::Problem;

/// Wakes the shard, if it sleeps. Called on the router's threads.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// An answer for a call.
pub type Answer = (CallId, Response<Bytes>);

/// No answer of ours is longer; one that is would be our mistake, and is told as such.
const ANSWER_BYTES: usize = 16 << 20;

/// One shard's desk.
pub struct Desk {
    runtime: Handle,
    router: Router,
    /// As long as `capacity`, so an answer always finds room.
    answers: Arc<ArrayQueue<Answer>>,
    wake: Wake,
    waiting: usize,
    capacity: usize,
}

impl Desk {
    /// A desk for `capacity` calls at once.
    #[must_use]
    pub fn new(runtime: Handle, router: Router, wake: Wake, capacity: usize) -> Self {
        Self {
            runtime,
            router,
            answers: Arc::new(ArrayQueue::new(capacity)),
            wake,
            waiting: 0,
            capacity,
        }
    }

    /// Gives a call to the router.
    ///
    /// # Errors
    /// The answer itself, when the desk is full.
    #[expect(clippy::result_large_err, reason = "the error is an answer, and rare")]
    pub fn submit(&mut self, call: CallId, request: Request<Bytes>) -> Result<(), Answer> {
        if self.waiting == self.capacity {
            let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests are being answered");
            return Err((call, busy.into_bytes_response()));
        }
        self.waiting += 1;
        let router = self.router.clone();
        // Dropped with its task, also when that panics: every call is answered.
        let returned = Returned {
            call,
            answer: None,
            answers: Arc::clone(&self.answers),
            wake: Arc::clone(&self.wake),
        };
        self.runtime.spawn(async move {
            let mut returned = returned;
            returned.answer = Some(ask(router, request).await);
        });
        Ok(())
    }

    /// The next answer.
    pub fn try_next(&mut self) -> Option<Answer> {
        let answer = self.answers.pop()?;
        self.waiting -= 1;
        Some(answer)
    }

    /// Whether calls are out or answers wait.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting == 0
    }

    /// Whether an answer waits: the look before a sleep.
    #[must_use]
    pub fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }
}

async fn ask(router: Router, request: Request<Bytes>) -> Response<Bytes> {
    let response = match router.oneshot(request.map(Body::from)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (head, body) = response.into_parts();
    match to_bytes(body, ANSWER_BYTES).await {
        Ok(bytes) => Response::from_parts(head, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be collected");
            failed()
        }
    }
}

fn failed() -> Response<Bytes> {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed to answer").into_bytes_response()
}

struct Returned {
    call: CallId,
    answer: Option<Response<Bytes>>,
    answers: Arc<ArrayQueue<Answer>>,
    wake: Wake,
}

impl Drop for Returned {
    fn drop(&mut self) {
        let answer = self.answer.take().unwrap_or_else(failed);
        let pushed = self.answers.push((self.call, answer));
        debug_assert!(pushed.is_ok(), "a call holds its place until it is answered");
        (self.wake)();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use axum::routing::get;
    use commucat_shard::input::ConnId;

    use super::*;

    fn call(stream: u32) -> CallId {
        CallId {
            conn: ConnId { slot: 0, generation: 1 },
            stream,
        }
    }

    fn request(path: &str) -> Request<Bytes> {
        Request::builder().uri(path).body(Bytes::new()).unwrap()
    }

    /// A desk on a runtime of its own whose wakes can be waited for.
    fn desk(router: Router, capacity: usize) -> (Desk, mpsc::Receiver<()>, tokio::runtime::Runtime) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let (woken, wakes) = mpsc::channel();
        let wake = Arc::new(move || woken.send(()).unwrap());
        (
            Desk::new(runtime.handle().clone(), router, wake, capacity),
            wakes,
            runtime,
        )
    }

    #[test]
    fn a_call_comes_back_with_its_answer() {
        let (mut desk, wakes, _runtime) = desk(Router::new().route("/hello", get(|| async { "hello" })), 4);
        desk.submit(call(3), request("/hello")).unwrap();
        wakes.recv().unwrap();
        assert!(desk.has_answers());
        let (from, answer) = desk.try_next().unwrap();
        assert_eq!(
            (from, answer.status(), answer.body().as_ref()),
            (call(3), StatusCode::OK, &b"hello"[..])
        );
        assert!(desk.is_idle());
    }

    #[test]
    fn a_full_desk_answers_503_at_once_and_takes_calls_again_afterwards() {
        let (mut desk, wakes, _runtime) = desk(Router::new(), 1);
        desk.submit(call(1), request("/a")).unwrap();
        let (from, answer) = desk.submit(call(2), request("/b")).unwrap_err();
        assert_eq!((from, answer.status()), (call(2), StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        wakes.recv().unwrap();
        assert_eq!(desk.try_next().unwrap().1.status(), StatusCode::NOT_FOUND);
        desk.submit(call(3), request("/c")).unwrap();
    }

    #[test]
    fn a_handler_that_panics_is_answered_500() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        async fn broken() -> &'static str {
            assert_ne!(CALLS.fetch_add(1, Ordering::Relaxed), 0, "broken on purpose");
            "mended"
        }
        let (mut desk, wakes, _runtime) = desk(Router::new().route("/", get(broken)), 1);
        for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::OK] {
            desk.submit(call(1), request("/")).unwrap();
            wakes.recv().unwrap();
            assert_eq!(desk.try_next().unwrap().1.status(), status);
        }
    }
}
