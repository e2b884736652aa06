//! The descriptor table: reuse, exhaustion, listeners.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::bed::{Bed, Said, small};
use commucat_ring::{Ending, ListenError, Ring, RingConfig, limits, listener};

#[test]
fn a_slot_is_reused_with_a_higher_generation_and_old_ids_do_nothing() {
    let mut bed = Bed::new(RingConfig {
        connections: 1,
        ..small()
    });
    let mut previous = None;
    for _ in 0..10 {
        let (mut client, id) = bed.connect();
        if let Some(old) = previous.replace(id) {
            assert_eq!(id.slot, old.slot);
            assert!(id.generation > old.generation);
            let stale = bed.ring.counters().stale_ids;
            bed.ring.send(old, b"to the wrong one".to_vec());
            bed.ring.pause(old);
            bed.ring.resume(old);
            bed.ring.close(old, Ending::Abort);
            assert_eq!(bed.ring.counters().stale_ids, stale + 4);
        }
        client.write_all(b"hello").unwrap();
        bed.until("the bytes", |log| {
            log.iter()
                .any(|said| matches!(said, Said::Received { id: from, .. } if *from == id))
        });
        bed.ring.close(id, Ending::Abort);
        bed.until_closed(id);
        let mut got = Vec::new();
        let _ = client.read_to_end(&mut got);
        assert_eq!(got, b"", "the new tenant was not sent what was meant for the old");
    }
    bed.assert_lives();
}

#[test]
fn a_full_table_leaves_peers_in_the_backlog_and_takes_them_later() {
    let mut bed = Bed::new(RingConfig {
        connections: 4,
        ..small()
    });
    let clients: Vec<_> = (0..10).map(|_| TcpStream::connect(bed.addr).unwrap()).collect();
    let accepted = |log: &[Said]| log.iter().filter(|said| matches!(said, Said::Accepted { .. })).count();
    bed.until("four", |log| accepted(log) == 4);
    bed.settle();
    assert_eq!(accepted(&bed.log), 4);
    assert!(bed.ring.counters().table_full > 0);
    assert_eq!(
        bed.ring.counters().accept_refused,
        0,
        "nobody was taken only to be dropped"
    );
    let cqes = bed.ring.counters().cqes;
    bed.settle();
    assert_eq!(bed.ring.counters().cqes, cqes, "a full table does not spin");
    let mut closed = 0;
    while closed < 10 {
        let mut next = bed.log.iter().filter_map(|said| match said {
            Said::Accepted { id, .. } => Some(*id),
            _ => None,
        });
        let next = next.nth(closed).unwrap();
        bed.ring.close(next, Ending::Abort);
        bed.until_closed(next);
        closed += 1;
        bed.until("the next in the backlog", |log| accepted(log) >= (4 + closed).min(10));
    }
    bed.assert_lives();
    drop(clients);
}

#[test]
fn a_connection_is_announced_with_its_listeners_tag_and_its_peers_address() {
    let mut bed = Bed::new(small());
    let second = listener("[::1]:0".parse().unwrap(), false).unwrap();
    let dual = listener("[::]:0".parse().unwrap(), false).unwrap();
    let addrs = [
        second.local_addr().unwrap(),
        SocketAddr::from(([127, 0, 0, 1], dual.local_addr().unwrap().port())),
    ];
    bed.ring.listen(second, 2).unwrap();
    bed.ring.listen(dual, 3).unwrap();
    for (addr, expected) in [(bed.addr, 1), (addrs[0], 2), (addrs[1], 3)] {
        let client = TcpStream::connect(addr).unwrap();
        let me = client.local_addr().unwrap();
        bed.until("the connection", |log| {
            log.iter()
                .any(|said| matches!(said, Said::Accepted { peer, tag, .. } if *peer == me && *tag == expected))
        });
    }
}

#[test]
fn after_accepting_has_stopped_new_peers_are_refused_and_old_ones_served() {
    let mut bed = Bed::new(small());
    let (mut client, id) = bed.connect();
    bed.ring.stop_accepting();
    bed.settle();
    assert_eq!(
        TcpStream::connect(bed.addr).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    client.write_all(b"still").unwrap();
    bed.until("the bytes", |log| {
        log.iter().any(|said| matches!(said, Said::Received { .. }))
    });
    assert_eq!(bed.received(id), b"still");
    let late = listener("127.0.0.1:0".parse().unwrap(), false).unwrap();
    assert!(matches!(bed.ring.listen(late, 1), Err(ListenError::Stopped)));
}

#[test]
fn a_ring_takes_a_bounded_number_of_listeners() {
    let mut ring = Ring::new(small()).unwrap();
    let make = || TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..limits::LISTENERS {
        ring.listen(make(), 0).unwrap();
    }
    assert!(matches!(ring.listen(make(), 0), Err(ListenError::TooMany)));
}

#[test]
fn several_rings_may_listen_on_one_address() {
    let first = listener("127.0.0.1:0".parse().unwrap(), true).unwrap();
    let addr = first.local_addr().unwrap();
    listener(addr, true).unwrap();
    assert!(matches!(
        listener(addr, false),
        Err(ListenError::Socket { step: "bind", .. })
    ));
}

#[test]
fn accepted_sockets_inherit_the_listeners_options() {
    let listener = listener("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let accepted = socket2::SockRef::from(&accepted);
    assert!(accepted.tcp_nodelay().unwrap());
    assert!(accepted.keepalive().unwrap());
    assert_eq!(accepted.tcp_keepalive_time().unwrap(), limits::KEEPALIVE_IDLE);
    assert_eq!(accepted.tcp_keepalive_interval().unwrap(), limits::KEEPALIVE_INTERVAL);
    assert_eq!(accepted.tcp_keepalive_retries().unwrap(), limits::KEEPALIVE_COUNT);
    assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(limits::USER_TIMEOUT));
}

#[test]
fn an_idle_ring_sleeps_its_whole_time() {
    let mut bed = Bed::new(small());
    let (_client, _) = bed.connect();
    bed.settle();
    let before = bed.ring.counters().cqes;
    for _ in 0..5 {
        bed.turn(Duration::from_millis(10));
    }
    assert_eq!(bed.ring.counters().cqes, before);
}
