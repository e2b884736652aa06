//! Ten thousand connections that never speak.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpStream};

use commucat_tests::bystanders::Bystanders;
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::people::{Device, PATIENCE};
use commucat_tests::raw::dial_from;
use commucat_tests::stage::Stage;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const COUNT: usize = 10_000;
const SOURCES: usize = 100;

/// Descriptors of this process beside those connections.
const OTHERS: u64 = 500;

#[test]
fn ten_thousand_connects_that_never_speak_cost_little_and_are_closed_in_time() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = COUNT as u64 + OTHERS;
    assert!(
        limit.maximum.is_none_or(|most| most >= wanted),
        "this test needs {wanted} descriptors (ulimit -Hn)"
    );
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let stage = Stage::measured("[limits]\nhead_timeout = \"8s\"\nclose_timeout = \"1s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let silent: Vec<TcpStream> = (0..COUNT)
        .map(|at| {
            let source = Ipv4Addr::new(127, 0, 1, (at % SOURCES) as u8 + 1);
            dial_from(&stage, IpAddr::V4(source)).unwrap_or_else(|error| panic!("connection {at}: {error}"))
        })
        .collect();
    bystanders.go_on();
    // New clients come in beside them.
    Device::new("newcomer")
        .connect(&stage, commucat_client::HttpVersion::Http1)
        .bye();
    watermark.below(64 * MIB, "10,000 silent connections");
    for mut socket in silent {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // Closed or reset; either way not a word, and not a timeout of ours.
        match socket.read(&mut [0; 64]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    bystanders.go_on();
    bystanders.stop();
    stage.end();
}
