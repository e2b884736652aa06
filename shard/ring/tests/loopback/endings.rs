//! However a connection ends, it ends once, and nothing the kernel still holds is touched.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::bed::{Bed, Dice, Said, small};
use commucat_ring::{Ending, RingConfig};

/// More than loopback sockets buffer, so that a send stays outstanding.
const MUCH: usize = 64 << 20;

fn reset(client: TcpStream) {
    socket2::SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
}

#[test]
fn a_reset_in_mid_send_gives_exactly_one_closed() {
    let mut bed = Bed::new(small());
    let (client, id) = bed.connect();
    bed.ring.send(id, vec![1; MUCH]);
    bed.settle();
    assert_eq!(bed.closed(id), 0);
    reset(client);
    bed.until_closed(id);
    bed.settle();
    assert_eq!(bed.closed(id), 1);
    assert!(
        !bed.log.iter().any(|said| matches!(said, Said::Sent { .. })),
        "the send did not complete"
    );
    bed.assert_lives();
}

#[test]
fn a_reset_in_mid_send_is_noticed_while_paused() {
    let mut bed = Bed::new(small());
    let (client, id) = bed.connect();
    bed.ring.pause(id);
    bed.ring.send(id, vec![1; MUCH]);
    bed.settle();
    reset(client);
    bed.until_closed(id);
    bed.settle();
    bed.assert_lives();
}

#[test]
fn a_graceful_close_delivers_the_last_bytes_although_input_is_unread() {
    let mut bed = Bed::new(small());
    let (mut client, id) = bed.connect();
    bed.ring.pause(id);
    bed.settle();
    client.write_all(&vec![3; 1 << 20]).unwrap();
    let last = Dice(23).bytes(4 << 20);
    bed.ring.send(id, last.clone());
    bed.ring.close(id, Ending::Graceful);
    let reading = thread::spawn(move || {
        client.write_all(b"still talking").unwrap();
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        all
    });
    bed.until_closed(id);
    assert!(reading.join().unwrap() == last, "the last bytes did not arrive whole");
    bed.settle();
    bed.assert_lives();
    assert!(bed.ring.counters().discarded_bytes > 0);
}

#[test]
fn a_peer_that_goes_on_talking_after_a_graceful_close_reads_the_last_bytes_and_an_end() {
    let mut bed = Bed::new(RingConfig {
        linger: Duration::from_secs(60),
        ..small()
    });
    let (mut client, id) = bed.connect();
    bed.ring.send(id, vec![4; 1000]);
    bed.ring.close(id, Ending::Graceful);
    bed.settle();
    for _ in 0..3 {
        // A closed socket would answer with a reset, and the read below would end in an error.
        client.write_all(b"still talking").unwrap();
        bed.settle();
    }
    assert_eq!(bed.closed(id), 0);
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert_eq!(all, [4; 1000]);
    drop(client);
    bed.until_closed(id);
}

#[test]
fn a_graceful_close_does_not_wait_for_ever_for_the_peers_fin() {
    let mut bed = Bed::new(RingConfig {
        linger: Duration::from_millis(50),
        ..small()
    });
    let (mut client, id) = bed.connect();
    bed.ring.close(id, Ending::Graceful);
    bed.until_closed(id);
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "the peer saw FIN, not a reset");
    bed.assert_lives();
}

#[test]
fn a_graceful_close_does_not_wait_for_ever_for_its_send() {
    let mut bed = Bed::new(RingConfig {
        flush: Duration::from_millis(50),
        ..small()
    });
    let (client, id) = bed.connect();
    bed.ring.send(id, vec![1; MUCH]);
    bed.ring.close(id, Ending::Graceful);
    bed.until_closed(id);
    bed.settle();
    bed.assert_lives();
    drop(client);
}

#[test]
fn an_abort_cancels_an_outstanding_send() {
    let mut bed = Bed::new(small());
    let (mut client, id) = bed.connect();
    bed.ring.send(id, vec![1; MUCH]);
    bed.settle();
    bed.ring.close(id, Ending::Abort);
    bed.until_closed(id);
    bed.settle();
    assert_eq!(bed.closed(id), 1);
    bed.assert_lives();
    let mut got = Vec::new();
    let _ = client.read_to_end(&mut got);
    assert!(got.len() < MUCH, "the rest was not sent");
}

#[test]
fn an_abort_may_follow_a_graceful_close_and_further_closes_do_nothing() {
    let mut bed = Bed::new(small());
    let (client, id) = bed.connect();
    bed.ring.send(id, vec![1; MUCH]);
    bed.ring.close(id, Ending::Graceful);
    bed.settle();
    assert_eq!(bed.closed(id), 0, "it waits for the send");
    bed.ring.close(id, Ending::Abort);
    bed.ring.close(id, Ending::Abort);
    bed.ring.close(id, Ending::Graceful);
    bed.until_closed(id);
    bed.settle();
    bed.assert_lives();
    drop(client);
}

#[test]
fn a_connection_closed_in_the_turn_that_announced_it_closes() {
    for ending in [Ending::Graceful, Ending::Abort] {
        let mut bed = Bed::new(small());
        let (client, id) = bed.connect();
        bed.ring.send(id, b"no".to_vec());
        bed.ring.close(id, ending);
        drop(client);
        bed.until_closed(id);
        bed.settle();
        bed.assert_lives();
        assert_eq!(bed.ring.connections(), 0);
    }
}

#[test]
fn a_ring_with_everything_in_flight_ends_clean_and_its_peers_notice() {
    let mut bed = Bed::new(small());
    let handle = bed.ring.handle();
    let waker = bed.ring.waker();
    let mut clients: Vec<_> = (0..20).map(|_| bed.connect()).collect();
    for (index, (client, id)) in clients.iter_mut().enumerate() {
        match index % 4 {
            0 => bed.ring.send(*id, vec![1; MUCH / 8]),
            1 => client.write_all(&[2; 10_000]).unwrap(),
            2 => bed.ring.close(*id, Ending::Graceful),
            _ => bed.ring.pause(*id),
        }
    }
    // Half of it submitted, the other half only queued.
    bed.turn(Duration::ZERO);
    for (_, id) in clients.iter().skip(1).step_by(4) {
        bed.ring.send(*id, vec![3; MUCH / 8]);
    }
    assert_eq!(bed.ring.shut_down(), Ok(()));
    for (client, _) in &mut clients {
        // The handle outlives the ring and must not keep its sockets.
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert!(rest.len() < MUCH / 8);
    }
    waker.wake();
    drop(handle);
}

#[test]
fn dropping_a_ring_in_mid_traffic_is_clean() {
    for seed in 1..20 {
        let mut bed = Bed::new(RingConfig {
            buffers: 1,
            buffer_size: 4096,
            ..small()
        });
        let mut clients: Vec<_> = (0..8).map(|_| bed.connect()).collect();
        let mut dice = Dice(seed);
        for (client, id) in &mut clients {
            client.write_all(&[1; 50_000]).unwrap();
            bed.ring.send(*id, vec![2; 1 << 20]);
        }
        for _ in 0..dice.roll(6) {
            bed.turn(Duration::ZERO);
        }
        drop(bed);
    }
}

#[test]
fn an_empty_send_comes_home() {
    let mut bed = Bed::new(small());
    let (_client, id) = bed.connect();
    bed.ring.send(id, Vec::with_capacity(10));
    bed.until("Sent", |log| matches!(log.last(), Some(Said::Sent { .. })));
}

#[test]
#[should_panic(expected = "at most one send outstanding")]
fn a_second_send_while_one_is_outstanding_is_our_bug() {
    let mut bed = Bed::new(small());
    let (_client, id) = bed.connect();
    bed.ring.send(id, vec![1; MUCH]);
    bed.ring.send(id, vec![1; 1]);
}

/// A half-close is done by a kernel worker, which looks the descriptor up when it gets to it: with the slot given on in
/// the meantime it would shut the next tenant's socket.
#[test]
fn a_late_half_close_does_not_meet_the_next_tenant() {
    let mut bed = Bed::new(small());
    for _ in 0..1000 {
        let (client, id) = bed.connect();
        bed.ring.close(id, Ending::Graceful);
        drop(client);
        bed.until_closed(id);
        let (mut next, tenant) = bed.connect();
        bed.turn(Duration::from_millis(1));
        next.set_nonblocking(true).unwrap();
        let open = next.read(&mut [0]).unwrap_err();
        assert_eq!(open.kind(), ErrorKind::WouldBlock, "nobody has closed this connection");
        bed.ring.close(tenant, Ending::Abort);
        bed.until_closed(tenant);
        bed.log.clear();
    }
}
