//! The keyboard, or whatever stands in its place: a thread that reads lines and wakes the session.

use std::io::{BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use commucat_client::blocking::Waker;

use super::envelope::printable;
use crate::limits::{CHAT_LINE, CHAT_WAITING};

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Line(String),
    /// Nothing more will be.
    End,
}

/// Lines in the order they were typed.
#[derive(Debug)]
pub(crate) struct Input {
    lines: Receiver<Typed>,
    waker: Arc<Mutex<Option<Waker>>>,
    ended: bool,
}

impl Input {
    /// Reads from `source` on a thread of its own.
    pub(crate) fn read(source: impl Read + Send + 'static) -> Self {
        let (sender, lines) = sync_channel(CHAT_WAITING);
        let waker = Arc::new(Mutex::new(None));
        let for_thread = Arc::clone(&waker);
        // It ends with its source or with the process, whichever comes first: nobody joins it.
        std::thread::spawn(move || read_lines(source, &sender, &for_thread));
        Self {
            lines,
            waker,
            ended: false,
        }
    }

    /// Has these lines and no others.
    pub(crate) fn of(messages: &[String]) -> Self {
        let text = messages
            .iter()
            .map(|message| format!("{}\n", printable(message)))
            .collect::<String>();
        Self::read(std::io::Cursor::new(text))
    }

    /// Whom to wake when there is a line: the session of the moment.
    pub(crate) fn wake(&self, waker: Waker) {
        // Lines may have come before there was anybody to wake.
        waker.wake();
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    /// The next line, if there is one by now.
    pub(crate) fn next(&mut self) -> Option<String> {
        match self.lines.try_recv() {
            Ok(Typed::Line(line)) => Some(line),
            Ok(Typed::End) | Err(TryRecvError::Disconnected) => {
                self.ended = true;
                None
            }
            Err(TryRecvError::Empty) => None,
        }
    }

    /// Whether everything typed was taken and nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }
}

fn read_lines(source: impl Read, lines: &SyncSender<Typed>, waker: &Mutex<Option<Waker>>) {
    let mut source = std::io::BufReader::new(source);
    loop {
        let mut line = Vec::new();
        let read = source.by_ref().take(CHAT_LINE as u64).read_until(b'\n', &mut line);
        let typed = match read {
            Ok(0) | Err(_) => Typed::End,
            Ok(_) => Typed::Line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
        };
        let last = typed == Typed::End;
        // An empty line says nothing.
        if typed != Typed::Line(String::new()) && lines.send(typed).is_err() {
            return;
        }
        if let Some(waker) = waker.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            waker.wake();
        }
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Input;

    fn all(mut input: Input) -> Vec<String> {
        let (mut lines, patience) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        while !input.has_ended() {
            match input.next() {
                Some(line) => lines.push(line),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
            assert!(Instant::now() < patience, "the input never ended");
        }
        lines
    }

    #[test]
    fn lines_come_in_order_without_their_ends_and_empty_ones_not_at_all() {
        assert_eq!(
            all(Input::read(b"one\r\n\ntwo\nlast".as_slice())),
            ["one", "two", "last"]
        );
        assert_eq!(all(Input::of(&["a\nb".to_owned(), "c".to_owned()])), ["a b", "c"]);
        assert!(all(Input::of(&[])).is_empty());
    }

    #[test]
    fn a_line_without_end_is_cut_and_not_kept_in_memory() {
        let lines = all(Input::read(std::io::Cursor::new(vec![b'x'; 40_000])));
        assert_eq!(
            lines.iter().map(String::len).collect::<Vec<_>>(),
            [16_384, 16_384, 7_232]
        );
    }
}
