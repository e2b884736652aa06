//! What `/proc` tells about a relay on this machine: who listens, how much processor time and memory it took.

use std::fs;
use std::time::Duration;

/// The process that listens on TCP port `port`, when it is ours to see.
pub(crate) fn listening_on(port: u16) -> Option<u32> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listeners(&table, port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let own = std::process::id();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        (pid != own && holds(pid, &inodes)).then_some(pid)
    })
}

/// The socket inodes of those who listen on `port`, from the text of `/proc/net/tcp`.
fn listeners(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            (local.ends_with(&suffix) && *state == LISTEN).then(|| format!("socket:[{inode}]"))
        })
        .collect()
}

fn holds(pid: u32, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()))
}

/// Processor time of one thread so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ThreadTime {
    pub(crate) id: i32,
    pub(crate) name: String,
    /// On a core.
    pub(crate) busy: Duration,
    /// Ready to run, without a core to run on.
    pub(crate) waiting: Duration,
}

/// Processor time of every thread of a process, when it is there to be asked.
pub(crate) fn thread_times(pid: u32) -> Option<Vec<ThreadTime>> {
    let threads: Vec<ThreadTime> = fs::read_dir(format!("/proc/{pid}/task"))
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            // A thread that has just ended has no files any more.
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            let times = fs::read_to_string(entry.path().join("schedstat")).ok()?;
            let (busy, waiting) = schedstat(&times)?;
            Some(ThreadTime {
                id,
                name: name.trim().to_owned(),
                busy,
                waiting,
            })
        })
        .collect();
    (!threads.is_empty()).then_some(threads)
}

/// Time on a core and time in the queue for one, both in nanoseconds.
fn schedstat(text: &str) -> Option<(Duration, Duration)> {
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let busy = numbers.next()?.ok()?;
    let waiting = numbers.next()?.ok()?;
    Some((Duration::from_nanos(busy), Duration::from_nanos(waiting)))
}

/// Whether there is such a process.
pub(crate) fn exists(pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// The resident memory of a process in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{exists, listeners, listening_on, resident_bytes, schedstat, thread_times};

    #[test]
    fn busy_and_waiting_are_the_first_two_numbers() {
        let times = (Duration::from_nanos(12), Duration::from_nanos(3));
        assert_eq!(schedstat("12 3 4\n"), Some(times));
        assert_eq!(schedstat("12"), None);
    }

    #[test]
    fn listeners_are_told_from_connections_on_the_same_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0 100 0 0 10 0\n\
            1: 0100007F:20FB 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 778 1 0 20 4 30 10 -1\n";
        assert_eq!(listeners(table, 8443), ["socket:[777]"]);
        assert!(listeners(table, 50_000).is_empty());
    }

    #[test]
    fn this_process_has_used_memory_and_is_not_taken_for_a_relay() {
        let own = std::process::id();
        assert!(resident_bytes(own).is_some_and(|bytes| bytes > 0));
        let threads = thread_times(own).expect("this process has threads");
        assert!(threads.iter().all(|thread| !thread.name.is_empty()), "{threads:?}");
        assert!(exists(own) && !exists(u32::MAX));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        assert_eq!(listening_on(listener.local_addr().expect("bound").port()), None);
    }
}
