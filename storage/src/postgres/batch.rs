//! Who carries out what of a batch.
//!
//! Requests about people and groups keep their order among each other, those about one inbox among each other. Between
//! the two only one thing matters: an inbox that comes or goes with its device. So a batch is cut before each such request
//! about a device whose inbox was asked about before; within a part, people come first whenever there is one.

use std::collections::HashSet;

use commucat_proto::DeviceId;

use super::{inbox, people};
use crate::api::Request;
use crate::limits::LANE_REQUESTS;

/// Places in the batch, by who carries them out.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// One after another.
    pub(super) parts: Vec<Part>,
    pub(super) presence: Vec<usize>,
    /// After everything else.
    pub(super) depth: Vec<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) people: Vec<usize>,
    pub(super) inboxes: Vec<usize>,
    /// Whether inboxes come or go with some of `people`: then they come first.
    pub(super) people_first: bool,
}

impl Plan {
    pub(super) fn of(batch: &[Request]) -> Self {
        let mut plan = Self::default();
        let mut part = Part::default();
        let mut asked: HashSet<&DeviceId> = HashSet::new();
        for (place, request) in batch.iter().enumerate() {
            if let Some(device) = inbox::owner(request) {
                asked.insert(device);
                part.inboxes.push(place);
                continue;
            }
            match request {
                Request::Presence(_) => plan.presence.push(place),
                Request::Depth => plan.depth.push(place),
                request => {
                    if let Some(device) = people::moves_inbox(request) {
                        if asked.contains(device) {
                            plan.parts.push(std::mem::take(&mut part));
                            asked.clear();
                        }
                        part.people_first = true;
                    }
                    part.people.push(place);
                }
            }
        }
        plan.parts.push(part);
        plan
    }
}

/// Deals the inbox requests at `places` out to at most `lanes` lanes, all of one device to the same, in their order. A few
/// requests are one lane.
pub(super) fn shares(batch: &[Request], places: &[usize], lanes: usize) -> Vec<Vec<usize>> {
    let lanes = lanes.min(places.len().div_ceil(LANE_REQUESTS)).max(1);
    let mut shares: Vec<Vec<usize>> = vec![Vec::new(); lanes];
    for &place in places {
        let lane = inbox::owner(&batch[place]).map_or(0, |device| spread(device.as_str()) % lanes as u64);
        shares[usize::try_from(lane).unwrap_or(0)].push(place);
    }
    shares
}

/// FNV-1a: any spread will do, the same in every process is easier to reason about.
fn spread(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use commucat_proto::{Handle, UserId};

    use super::*;
    use crate::api::{Profile, RowId, Wall};

    fn device(id: &str) -> DeviceId {
        DeviceId::parse(id).unwrap()
    }

    fn asks(id: &str) -> Request {
        Request::Delivered {
            device: device(id),
            upto: RowId(1),
        }
    }

    fn founds(id: &str) -> Request {
        let profile = Profile {
            id: UserId::parse(id).unwrap(),
            handle: Handle::parse(id).unwrap(),
            display_name: None,
            avatar_url: None,
        };
        Request::Found {
            device: device(id),
            static_key: [0; 32],
            profile,
            at: Wall(0),
        }
    }

    #[test]
    fn a_batch_is_cut_before_an_inbox_that_was_asked_about_comes_or_goes() {
        let batch = [
            asks("a"),
            founds("b"),
            asks("b"),
            founds("a"),
            Request::Depth,
            asks("a"),
        ];
        let plan = Plan::of(&batch);
        let parts: Vec<_> = plan
            .parts
            .iter()
            .map(|part| (&part.people[..], &part.inboxes[..]))
            .collect();
        assert_eq!(parts, [(&[1][..], &[0, 2][..]), (&[3][..], &[5][..])]);
        assert_eq!(plan.depth, [4]);
        assert!(plan.parts.iter().all(|part| part.people_first));
    }

    #[test]
    fn lanes_keep_a_device_together_and_few_requests_share_one() {
        let batch: Vec<_> = (0..400).map(|n| asks(&format!("device-{}", n % 40))).collect();
        let places: Vec<usize> = (0..batch.len()).collect();
        let dealt = shares(&batch, &places, 3);
        assert_eq!(dealt.len(), 3);
        assert_eq!(dealt.iter().map(Vec::len).sum::<usize>(), batch.len());
        for n in 0..40 {
            let homes = dealt.iter().filter(|share| share.iter().any(|place| place % 40 == n));
            assert_eq!(homes.count(), 1, "device-{n}");
        }
        assert!(dealt.iter().all(|share| share.is_sorted() && !share.is_empty()));
        assert_eq!(shares(&batch, &places[..10], 3).len(), 1);
    }
}
