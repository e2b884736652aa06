//! What `/proc` tells about a relay on this machine: who listens, how much processor time and memory it took.

use std::fs;

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

/// User and system time of a process so far, all threads, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = cpu_ticks(&stat)?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// `utime` and `stime`, fields 14 and 15. The name before them may hold anything, so they count from its bracket.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The resident memory of a process in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Raises the limit on open files as far as it goes, since every session is one.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is forbidden the soft limit stands, and a session too many says "too many open files".
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    use super::{cpu_seconds, cpu_ticks, listeners, listening_on, resident_bytes};

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 500 0 0 0 123 45 0 0 20 0 3 0 100 0 0";
        assert_eq!(cpu_ticks(stat), Some(168));
        assert_eq!(cpu_ticks("nonsense"), None);
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
        assert!(cpu_seconds(own).is_some());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        assert_eq!(listening_on(listener.local_addr().expect("bound").port()), None);
    }
}
