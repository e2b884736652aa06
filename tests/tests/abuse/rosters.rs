//! JOINs that name as many as they may, and more: made-up names cost what the limits say, and no more.

use commucat_client::Pattern;
use commucat_tests::bystanders::Bystanders;
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::people::{Device, WAYS};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::Tunnel;
use commucat_tests::wire::kind;
use serde_json::json;

/// `limits.roster`, by default.
const ROSTER: usize = 4096;
/// `limits.session_members`, by default.
const MEMBERS: usize = 65_536;

fn members(channel: usize, count: usize) -> String {
    let names: Vec<String> = (0..count).map(|at| format!("nobody-{channel}-{at}")).collect();
    json!({ "members": names, "relay": true }).to_string()
}

#[test]
fn rosters_of_nobody_are_bounded_for_a_channel_and_for_a_session_and_leave_with_it() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let device = Device::new("knows-everybody");
    for http in WAYS {
        let mut tunnel = Tunnel::open(&stage, http);
        tunnel.greet(&stage, &device, Pattern::Xk);
        tunnel.say(kind::JOIN, 1, members(1, ROSTER + 1));
        assert_eq!(tunnel.refusal(), ("Roster Too Large".to_owned(), 413));

        let mut tunnel = Tunnel::open(&stage, http);
        tunnel.greet(&stage, &device, Pattern::Xk);
        for channel in 0..MEMBERS / ROSTER {
            tunnel.say(kind::JOIN, channel as u64 + 1, members(channel, ROSTER));
            assert_eq!(tunnel.hear().kind, kind::ACK);
        }
        bystanders.go_on();
        tunnel.say(kind::JOIN, 1000, members(1000, 1));
        assert_eq!(tunnel.refusal(), ("Roster Too Large".to_owned(), 413));
    }
    // Four sessions one after another, each of 65,536 names in all: a KiB for each name of one, and what the allocator
    // keeps of the others.
    watermark.below(160 * MIB, "rosters of nobody");
    bystanders.stop();
    stage.end();
}
