//! The store for REST handlers: a port of its own, and one future per request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use commucat_storage::api::{Reply, Request, StoreError, Submission, Ticket};
use commucat_storage::port::{Port, PortEnd, PortLimits, port};
use tokio::sync::oneshot;

/// The store as asynchronous calls. Cheap to clone.
#[derive(Clone)]
pub struct StoreClient(Arc<Mutex<Desk>>);

struct Desk {
    port: Port,
    next: u64,
    /// No more than the port holds.
    waiting: HashMap<Ticket, oneshot::Sender<Result<Reply, StoreError>>>,
}

impl StoreClient {
    /// A client, and the end that the pool takes.
    #[must_use]
    pub fn new() -> (Self, PortEnd) {
        let desk: Arc<OnceLock<Weak<Mutex<Desk>>>> = Arc::default();
        let wake = {
            let desk = Arc::clone(&desk);
            Arc::new(move || {
                if let Some(desk) = desk.get().and_then(Weak::upgrade) {
                    deliver(&desk);
                }
            })
        };
        let (port, end) = port(PortLimits::default(), wake);
        let client = Arc::new(Mutex::new(Desk {
            port,
            next: 0,
            waiting: HashMap::new(),
        }));
        // Nothing was submitted yet, so nothing can have woken before this.
        let _ = desk.set(Arc::downgrade(&client));
        (Self(client), end)
    }

    /// Asks the store.
    ///
    /// # Errors
    /// The store's, and `PortFull` when too much is asked at once.
    pub async fn call(&self, request: Request) -> Result<Reply, StoreError> {
        let (answer, waiting) = oneshot::channel();
        {
            let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let ticket = Ticket(desk.next);
            desk.next += 1;
            desk.port
                .submit(Submission { ticket, request })
                .map_err(|_| StoreError::PortFull)?;
            desk.waiting.insert(ticket, answer);
        }
        waiting
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the store has ended".to_owned())))
    }
}

/// Runs on the pool's thread, which holds no lock of ours; the lock is held for map operations only.
fn deliver(desk: &Mutex<Desk>) {
    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(completion) = desk.port.try_next() {
        if let Some(answer) = desk.waiting.remove(&completion.ticket) {
            // A caller that gave up has dropped its end.
            let _ = answer.send(completion.outcome);
        }
    }
}
