//! Between a shard and the router: requests go one way, answers come back the other, neither side waits.
//!
//! Invariant: each call that [`Desk::submit`] takes comes back from [`Desk::try_next`] exactly once, as a whole answer or as
//! the head of one in parts; after a head, its parts come in order, and then `End`, exactly once. A desk holds a fixed number
//! of calls and of answers in parts, and of each of those one part at a time; past it, the caller gets a 503 at once and
//! nothing is queued.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use bytes::Bytes;
use commucat_shard::input::{CallId, Part};
use crossbeam_queue::ArrayQueue;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use http::{Request, Response, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tower::ServiceExt;

use super::problem::Problem;

/// Wakes the shard, if it sleeps. Called on the router's threads.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What came of a call.
#[derive(Debug)]
pub enum Answer {
    /// All of it.
    Whole(Response<Bytes>),
    /// A part of one whose length nobody knows.
    Part(Part),
}

/// No answer of ours is longer; one that is would be our mistake, and is told as such.
const ANSWER_BYTES: usize = 16 << 20;

/// Dropped to hang up.
type Line = oneshot::Sender<std::convert::Infallible>;

/// What is queued for the shard. The permits are places in the queue; they are free again when the shard has taken it.
enum Said {
    Whole(Response<Bytes>),
    Head(Response<()>, Line),
    Data(Bytes, OwnedSemaphorePermit),
    End(OwnedSemaphorePermit),
}

/// How much a desk holds.
#[derive(Clone, Copy, Debug)]
pub struct DeskLimits {
    /// Calls without an answer.
    pub calls: usize,
    /// Answers in parts that are not complete.
    pub streams: usize,
}

/// One shard's desk.
pub struct Desk {
    runtime: Handle,
    router: Router,
    /// Room for every call, and for each answer in parts one part and its end.
    said: Arc<ArrayQueue<(CallId, Said)>>,
    streams: Arc<Semaphore>,
    wake: Wake,
    waiting: usize,
    /// Answers in parts whose end has not been taken.
    open: usize,
    /// Of those, the ones that somebody listens to.
    lines: HashMap<CallId, Line>,
    limits: DeskLimits,
}

impl Desk {
    /// A desk for so many calls at once.
    #[must_use]
    pub fn new(runtime: Handle, router: Router, wake: Wake, limits: DeskLimits) -> Self {
        Self {
            runtime,
            router,
            said: Arc::new(ArrayQueue::new(limits.calls + 2 * limits.streams)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            wake,
            waiting: 0,
            open: 0,
            lines: HashMap::new(),
            limits,
        }
    }

    /// Gives a call to the router.
    ///
    /// # Errors
    /// The answer itself, when the desk is full.
    #[expect(clippy::result_large_err, reason = "the error is an answer, and rare")]
    pub fn submit(&mut self, call: CallId, request: Request<Bytes>) -> Result<(), (CallId, Answer)> {
        if self.waiting == self.limits.calls {
            return Err((call, Answer::Whole(busy("too many requests are being answered"))));
        }
        self.waiting += 1;
        let router = self.router.clone();
        // Dropped with its task, also when that panics: every call is answered.
        let mut caller = Caller {
            call,
            owed: Owed::Answer(None),
            said: Arc::clone(&self.said),
            wake: Arc::clone(&self.wake),
        };
        let streams = Arc::clone(&self.streams);
        self.runtime.spawn(async move {
            let response = match router.oneshot(request.map(Body::from)).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let (head, body) = response.into_parts();
            if body.size_hint().exact().is_some() {
                let whole = collect(body).await.map(|bytes| Response::from_parts(head, bytes));
                caller.answer(whole);
            } else if let Ok(place) = streams.try_acquire_owned() {
                caller.tell(Response::from_parts(head, ()), body, place).await;
            } else {
                caller.answer(Some(busy("too many event streams are open")));
            }
        });
        Ok(())
    }

    /// Nobody listens to this answer in parts any longer. Its `End` still comes.
    pub fn hang_up(&mut self, call: CallId) {
        self.lines.remove(&call);
    }

    /// The next answer, or part of one.
    pub fn try_next(&mut self) -> Option<(CallId, Answer)> {
        let (call, said) = self.said.pop()?;
        let answer = match said {
            Said::Whole(response) => {
                self.waiting -= 1;
                Answer::Whole(response)
            }
            Said::Head(head, line) => {
                self.waiting -= 1;
                self.open += 1;
                self.lines.insert(call, line);
                Answer::Part(Part::Head(head))
            }
            Said::Data(bytes, place) => {
                drop(place);
                Answer::Part(Part::Data(bytes))
            }
            Said::End(place) => {
                drop(place);
                self.open -= 1;
                self.lines.remove(&call);
                Answer::Part(Part::End)
            }
        };
        Some((call, answer))
    }

    /// Calls without an answer.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.waiting
    }

    /// Answers in parts that are not complete.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.open
    }

    /// Whether calls are out or answers wait.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.open == 0
    }

    /// Whether an answer waits: the look before a sleep.
    #[must_use]
    pub fn has_answers(&self) -> bool {
        !self.said.is_empty()
    }
}

async fn collect(body: Body) -> Option<Bytes> {
    match to_bytes(body, ANSWER_BYTES).await {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be collected");
            None
        }
    }
}

fn failed() -> Response<Bytes> {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed to answer").into_bytes_response()
}

fn busy(detail: &str) -> Response<Bytes> {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_bytes_response()
}

/// What a call is still owed when its task ends.
enum Owed {
    Answer(Option<Response<Bytes>>),
    End(OwnedSemaphorePermit),
    Nothing,
}

struct Caller {
    call: CallId,
    owed: Owed,
    said: Arc<ArrayQueue<(CallId, Said)>>,
    wake: Wake,
}

impl Caller {
    /// Told when the task ends, which is now.
    fn answer(mut self, answer: Option<Response<Bytes>>) {
        self.owed = Owed::Answer(answer);
    }

    /// Tells an answer part by part, until it ends or nobody listens. The next part is asked for when the shard has taken
    /// the one before.
    async fn tell(&mut self, head: Response<()>, body: Body, place: OwnedSemaphorePermit) {
        let (line, hung_up) = oneshot::channel();
        self.say(Said::Head(head, line));
        self.owed = Owed::End(place);
        let room = Arc::new(Semaphore::new(1));
        let mut hung_up = pin!(hung_up);
        let mut parts = body.into_data_stream();
        loop {
            let next = pin!(async {
                let place = Arc::clone(&room).acquire_owned().await.ok()?;
                let part = parts.next().await?;
                Some((part.ok()?, place))
            });
            match select(next, &mut hung_up).await {
                Either::Left((Some((bytes, place)), _)) => self.say(Said::Data(bytes, place)),
                Either::Left((None, _)) | Either::Right(_) => return,
            }
        }
    }

    fn say(&self, said: Said) {
        let pushed = self.said.push((self.call, said));
        debug_assert!(pushed.is_ok(), "whatever is said has its place");
        (self.wake)();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.owed, Owed::Nothing) {
            Owed::Answer(answer) => self.say(Said::Whole(answer.unwrap_or_else(failed))),
            Owed::End(place) => self.say(Said::End(place)),
            Owed::Nothing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

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
            Desk::new(
                runtime.handle().clone(),
                router,
                wake,
                DeskLimits {
                    calls: capacity,
                    streams: 1,
                },
            ),
            wakes,
            runtime,
        )
    }

    fn whole(answer: Option<(CallId, Answer)>) -> (CallId, Response<Bytes>) {
        match answer {
            Some((call, Answer::Whole(response))) => (call, response),
            other => panic!("{other:?}"),
        }
    }

    fn part(desk: &mut Desk, wakes: &mpsc::Receiver<()>) -> (CallId, Part) {
        wakes.recv().unwrap();
        match desk.try_next() {
            Some((call, Answer::Part(part))) => (call, part),
            other => panic!("{other:?}"),
        }
    }

    /// `/count` says 1, 2, 3 … for ever, `/two` ends after 2.
    fn counting() -> Router {
        let count = |upto: u64| {
            move || async move {
                let numbers = (1..=upto).map(|number| Ok::<_, Infallible>(number.to_string()));
                Body::from_stream(futures_util::stream::iter(numbers))
            }
        };
        Router::new()
            .route("/count", get(count(u64::MAX)))
            .route("/two", get(count(2)))
    }

    #[test]
    fn a_body_of_unknown_length_comes_in_parts_one_at_a_time_and_ends() {
        let (mut desk, wakes, _runtime) = desk(counting(), 4);
        desk.submit(call(3), request("/two")).unwrap();
        assert!(matches!(part(&mut desk, &wakes), (from, Part::Head(head)) if from == call(3) && head.status() == 200));
        assert_eq!((desk.calls(), desk.streams(), desk.is_idle()), (0, 1, false));
        for text in ["1", "2"] {
            assert!(matches!(part(&mut desk, &wakes).1, Part::Data(bytes) if bytes == text));
        }
        assert!(matches!(part(&mut desk, &wakes).1, Part::End));
        assert!(desk.is_idle() && desk.try_next().is_none());
    }

    #[test]
    fn a_stream_waits_for_the_shard_ends_when_it_hangs_up_and_its_place_is_free_again() {
        let (mut desk, wakes, _runtime) = desk(counting(), 4);
        desk.submit(call(1), request("/count")).unwrap();
        assert!(matches!(part(&mut desk, &wakes).1, Part::Head(_)));
        wakes.recv().unwrap();
        assert!(
            wakes.recv_timeout(Duration::from_millis(50)).is_err(),
            "one part waits, not two"
        );
        desk.submit(call(3), request("/count")).unwrap();
        wakes.recv().unwrap();
        assert!(matches!(desk.try_next(), Some((_, Answer::Part(Part::Data(_))))));
        let (from, refused) = whole(desk.try_next());
        assert_eq!((from, refused.status()), (call(3), StatusCode::SERVICE_UNAVAILABLE));
        desk.hang_up(call(1));
        while !matches!(part(&mut desk, &wakes).1, Part::End) {}
        assert!(desk.is_idle());
        desk.submit(call(5), request("/two")).unwrap();
        assert!(matches!(part(&mut desk, &wakes), (from, Part::Head(_)) if from == call(5)));
    }

    #[test]
    fn a_call_comes_back_with_its_answer() {
        let (mut desk, wakes, _runtime) = desk(Router::new().route("/hello", get(|| async { "hello" })), 4);
        desk.submit(call(3), request("/hello")).unwrap();
        wakes.recv().unwrap();
        assert!(desk.has_answers());
        let (from, answer) = whole(desk.try_next());
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
        let (from, answer) = whole(desk.submit(call(2), request("/b")).err());
        assert_eq!((from, answer.status()), (call(2), StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        wakes.recv().unwrap();
        assert_eq!(whole(desk.try_next()).1.status(), StatusCode::NOT_FOUND);
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
            assert_eq!(whole(desk.try_next()).1.status(), status);
        }
    }
}
