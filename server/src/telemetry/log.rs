//! Log lines: structured, on standard error, for people or for machines.
//!
//! A shard never waits for whoever reads them. Lines go through a bounded queue to a thread that writes; when the queue
//! is full a line is dropped and counted, and the count is logged. Neither a payload, a key nor a token is ever a field.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::LogFormat;

/// Lines between those who log and the one who writes: some seconds of a very talkative server.
const QUEUE_LINES: usize = 8192;

enum Word {
    Line(Vec<u8>),
    End,
}

#[derive(Clone)]
struct Queue {
    lines: SyncSender<Word>,
    dropped: Arc<AtomicU64>,
}

/// Writes what is queued when it is dropped.
pub struct Logging {
    queue: Queue,
    writer: Option<JoinHandle<()>>,
}

/// Starts logging for the process. Called once, by `main`.
///
/// # Errors
/// When the system gives no thread, or logging has started already.
pub fn start(format: LogFormat, filter: &str) -> io::Result<Logging> {
    let targets: Targets = filter.parse().map_err(io::Error::other)?;
    let (lines, queued) = sync_channel(QUEUE_LINES);
    let queue = Queue {
        lines,
        dropped: Arc::default(),
    };
    let dropped = Arc::clone(&queue.dropped);
    let writer = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write(&queued, &dropped))?;
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(queue.clone())
        .with_thread_names(true);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Json => layer.json().flatten_event(true).with_filter(targets).boxed(),
        LogFormat::Text => {
            let colours = io::IsTerminal::is_terminal(&io::stderr());
            layer.with_target(false).with_ansi(colours).with_filter(targets).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(layer)
        .try_init()
        .map_err(io::Error::other)?;
    Ok(Logging {
        queue,
        writer: Some(writer),
    })
}

impl Drop for Logging {
    fn drop(&mut self) {
        // Waits for room: this is the end, and the last lines tell why.
        let _ = self.queue.lines.send(Word::End);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn write(queued: &Receiver<Word>, dropped: &AtomicU64) {
    let mut out = io::stderr();
    while let Ok(Word::Line(line)) = queued.recv() {
        // There is nobody to tell that standard error is gone.
        let _ = out.write_all(&line);
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                lost,
                "log lines were dropped: they came faster than they could be written"
            );
        }
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter {
            queue: self,
            line: Vec::with_capacity(256),
        }
    }
}

/// Collects one line, and queues it when it is complete.
struct LineWriter<'a> {
    queue: &'a Queue,
    line: Vec<u8>,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter<'_> {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.line);
        if let Err(TrySendError::Full(_)) = self.queue.lines.try_send(Word::Line(line)) {
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
