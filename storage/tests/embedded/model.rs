//! Any sequence of requests, batched and reopened in any way, is answered as an obvious store would answer it.

use std::collections::BTreeMap;

use bytes::Bytes;
use commucat_proto::{ChannelId, DeviceId, FrameType, Handle};
use commucat_storage::Store;
use commucat_storage::api::{Device, Envelope, InboxLimits, Profile, Reply, Request, RowId, StoreError, Wall};
use commucat_storage::embedded::{EmbeddedStore, Options};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::common::{Answer, append, device, execute, folder_in_memory, founding, inbox, options, run};

const LIMITS: InboxLimits = InboxLimits { rows: 12, bytes: 60 };
const NAMES: [&str; 6] = ["a", "ab", "b", "c", "d", "e"];

#[derive(Clone, Default)]
struct Inbox {
    rows: Vec<(RowId, Envelope)>,
    last: u64,
}

/// The obvious store.
#[derive(Default)]
struct Model {
    devices: BTreeMap<DeviceId, (Device, Inbox)>,
}

impl Model {
    fn answer(&mut self, request: &Request) -> Answer {
        match request {
            Request::Lookup { device, user, handle } => Ok(Reply::Found {
                device: self.devices.get(device).map(|(device, _)| device.clone()),
                user: self.profiles().find(|profile| Some(&profile.id) == user.as_ref()),
                handle_taken: handle.as_ref().is_some_and(|handle| self.is_taken(handle)),
            }),
            Request::Found {
                device,
                static_key,
                profile,
                ..
            } => {
                if self.devices.contains_key(device) {
                    return Err(StoreError::DeviceExists);
                }
                if self.is_taken(&profile.handle) {
                    return Err(StoreError::HandleTaken);
                }
                let (static_key, user) = (*static_key, profile.clone());
                let known = Device {
                    static_key,
                    user,
                    revoked: false,
                };
                self.devices.insert(device.clone(), (known, Inbox::default()));
                Ok(Reply::Done)
            }
            Request::UpdateProfile { profile } => {
                let mut known = self.devices.values_mut().map(|(device, _)| &mut device.user);
                let Some(user) = known.find(|user| user.id == profile.id) else {
                    return Err(StoreError::Unavailable(String::new()));
                };
                user.display_name = profile.display_name.clone();
                user.avatar_url = profile.avatar_url.clone();
                Ok(Reply::Done)
            }
            Request::Append { device, envelope } => {
                let inbox = self.inbox(device)?;
                let bytes = inbox.bytes() + envelope.payload.len() as u64;
                if inbox.rows.len() as u64 >= LIMITS.rows || bytes > LIMITS.bytes {
                    return Err(StoreError::InboxFull);
                }
                inbox.push(envelope.clone());
                Ok(Reply::Done)
            }
            Request::AppendOwed { device, envelopes } => {
                let inbox = self.inbox(device)?;
                envelopes.iter().cloned().for_each(|envelope| inbox.push(envelope));
                Ok(Reply::Done)
            }
            Request::ReadInbox {
                device,
                after,
                max_rows,
                max_bytes,
                now,
            } => Ok(self.inbox(device)?.read(*after, *max_rows, *max_bytes, *now)),
            Request::Delivered { device, upto } => {
                self.inbox(device)?.rows.retain(|(row, _)| row > upto);
                Ok(Reply::Done)
            }
            Request::Probe => Ok(Reply::Done),
            other => unreachable!("no strategy of this model makes {other:?}"),
        }
    }

    fn profiles(&self) -> impl Iterator<Item = Profile> {
        self.devices.values().map(|(device, _)| device.user.clone())
    }

    fn is_taken(&self, handle: &Handle) -> bool {
        self.profiles().any(|profile| profile.handle == *handle)
    }

    fn inbox(&mut self, device: &DeviceId) -> Result<&mut Inbox, StoreError> {
        let (_, inbox) = self.devices.get_mut(device).ok_or(StoreError::UnknownDevice)?;
        Ok(inbox)
    }

    fn upkeep(&mut self, now: Wall) {
        self.devices.values_mut().for_each(|(_, inbox)| inbox.drop_expired(now));
    }
}

impl Inbox {
    fn bytes(&self) -> u64 {
        self.rows.iter().map(|(_, row)| row.payload.len() as u64).sum()
    }

    fn push(&mut self, envelope: Envelope) {
        self.last += 1;
        self.rows.push((RowId(self.last), envelope));
    }

    /// Rows leave from the front; one that expired behind a live one stays until it is there.
    fn drop_expired(&mut self, now: Wall) {
        let live = self.rows.iter().position(|(_, row)| row.expires_at > now);
        self.rows.drain(..live.unwrap_or(self.rows.len()));
    }

    fn read(&mut self, after: RowId, max_rows: usize, max_bytes: usize, now: Wall) -> Reply {
        // A read that begins at the front takes out what expired there, as far as the page reaches: all of it, because
        // the page ends at live rows only.
        if self.rows.first().is_none_or(|(first, _)| after < *first) {
            self.drop_expired(now);
        }
        let (mut rows, mut bytes, mut more) = (Vec::new(), 0, false);
        let live = self
            .rows
            .iter()
            .filter(|(row, envelope)| *row > after && envelope.expires_at > now);
        for (row, envelope) in live {
            bytes += envelope.payload.len();
            if !rows.is_empty() && (rows.len() == max_rows.max(1) || bytes > max_bytes) {
                more = true;
                break;
            }
            rows.push((*row, envelope.clone()));
        }
        Reply::Rows { rows, more }
    }
}

/// What a test does.
#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Request>),
    Reopen,
    Upkeep(Wall),
}

fn name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&NAMES[..])
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let kind = proptest::sample::select(vec![FrameType::Msg, FrameType::KeyUpdate]);
    let expiry = prop_oneof![4 => Just(1_000), 1 => 0..100_u64];
    (
        kind,
        any::<u32>(),
        proptest::collection::vec(any::<u8>(), 0..12),
        expiry,
    )
        .prop_map(|(kind, channel, payload, expiry)| Envelope {
            kind,
            channel: ChannelId::new(channel),
            payload: Bytes::from(payload),
            expires_at: Wall(expiry),
        })
}

fn named(device: &str, handle: &str) -> Request {
    let Request::Found {
        device,
        static_key,
        profile,
        at,
    } = founding(device)
    else {
        unreachable!("a founding founds")
    };
    let profile = Profile {
        handle: Handle::parse(handle).unwrap(),
        ..profile
    };
    Request::Found {
        device,
        static_key,
        profile,
        at,
    }
}

fn renamed(id: &str, display_name: Option<String>) -> Request {
    let Request::Found { profile, .. } = founding(id) else {
        unreachable!("a founding founds")
    };
    Request::UpdateProfile {
        profile: Profile {
            display_name,
            ..profile
        },
    }
}

fn lookup(id: &str, other: &str) -> Request {
    let Request::Found { profile, .. } = founding(other) else {
        unreachable!("a founding founds")
    };
    Request::Lookup {
        device: device(id),
        user: Some(profile.id),
        handle: Some(profile.handle),
    }
}

fn request() -> impl Strategy<Value = Request> {
    let row = || prop_oneof![4 => 0..24_u64, 1 => Just(u64::MAX)].prop_map(RowId);
    prop_oneof![
        2 => (name(), name()).prop_map(|(id, handle)| named(id, handle)),
        2 => name().prop_map(founding),
        1 => (name(), name()).prop_map(|(id, other)| lookup(id, other)),
        1 => (name(), proptest::option::of("[a-z]{0,9}")).prop_map(|(id, text)| renamed(id, text)),
        8 => (name(), envelope())
            .prop_map(|(id, envelope)| Request::Append { device: device(id), envelope }),
        1 => (name(), proptest::collection::vec(envelope(), 0..4))
            .prop_map(|(id, envelopes)| Request::AppendOwed { device: device(id), envelopes }),
        4 => (name(), row(), 1..8_usize, 0..40_usize, 0..100_u64).prop_map(
            |(id, after, max_rows, max_bytes, now)| Request::ReadInbox {
                device: device(id), after, max_rows, max_bytes, now: Wall(now),
            }
        ),
        3 => (name(), row()).prop_map(|(id, upto)| Request::Delivered { device: device(id), upto }),
        1 => Just(Request::Probe),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => proptest::collection::vec(request(), 1..20).prop_map(Step::Batch),
        1 => Just(Step::Reopen),
        1 => (0..100_u64).prop_map(|now| Step::Upkeep(Wall(now))),
    ]
}

/// What a store that failed says is for the log: it does not have to agree.
fn without_reason(mut answers: Vec<Answer>) -> Vec<Answer> {
    for answer in &mut answers {
        if let Err(StoreError::Unavailable(why)) = answer {
            why.clear();
        }
    }
    answers
}

#[test]
fn requests_that_fail_do_not_make_the_cache_forget_what_is_staged() {
    let folder = folder_in_memory();
    let limits = InboxLimits { rows: 2, bytes: 100 };
    let options = Options {
        inbox_cache: 4,
        ..options(limits)
    };
    let store = EmbeddedStore::open(folder.path(), options).unwrap();
    execute(&store, NAMES.map(founding).to_vec());
    let full = |id| [append(id, "x"), append(id, "x")];
    execute(&store, NAMES[1..].iter().flat_map(|id| full(id)).collect());
    let refused = NAMES[1..].iter().map(|id| append(id, "x"));
    let batch = [append("a", "1")]
        .into_iter()
        .chain(refused)
        .chain([append("a", "2"), append("a", "3")]);
    let answers = execute(&store, batch.collect());
    let outcome: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(outcome, [true, false, false, false, false, false, true, false]);
    let rows: Vec<_> = inbox(&store, "a").into_iter().map(|(id, text)| (id.0, text)).collect();
    assert_eq!(rows, [(1, "1".into()), (2, "2".into())]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_answers_as_the_obvious_store_would(
        steps in proptest::collection::vec(step(), 1..24),
        inbox_cache in prop_oneof![1..9_usize, Just(1_000)],
    ) {
        let folder = folder_in_memory();
        let open = || {
            let options = Options { inbox_cache, ..options(LIMITS) };
            EmbeddedStore::open(folder.path(), options).unwrap()
        };
        let (mut store, mut model) = (Some(open()), Model::default());
        for step in steps {
            match step {
                Step::Reopen => {
                    drop(store.take());
                    store = Some(open());
                }
                Step::Upkeep(now) => {
                    // One visits every device, the next begins again.
                    for _ in 0..2 {
                        run(store.as_ref().unwrap().upkeep(now));
                    }
                    model.upkeep(now);
                }
                Step::Batch(batch) => {
                    let expected = batch.iter().map(|request| model.answer(request)).collect();
                    let answers = run(store.as_ref().unwrap().execute(batch.clone()));
                    prop_assert_eq!(without_reason(answers), without_reason(expected), "{:?}", batch);
                }
            }
        }
    }
}
