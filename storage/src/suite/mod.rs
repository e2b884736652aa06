//! The sentences that every store has to satisfy, whatever it is built on: [`conformance!`](crate::conformance) makes a
//! test of each.
//!
//! A store under test is a [`Fixture`]: a place that can be opened again after its store was dropped. The functions
//! assert, so they are for tests only.
//!
//! [`naive`] says the same in another way: what a store answers to any sequence of requests about people.

pub mod accounts;
pub mod groups;
pub mod inbox;
pub mod limits;
pub mod naive;
pub mod pairing;
pub mod people;
pub mod presence;

use std::future::Future;

use bytes::Bytes;
use commucat_proto::control::Role;
use commucat_proto::{ChannelId, DeviceId, FrameType, GroupId, Handle, UserId};

use crate::Store;
use crate::api::{
    AccountRequest, CODES_PER_USER, Device, DeviceRecord, Envelope, FRIENDS_PER_USER, Friend, GroupRequest,
    GroupRoster, InboxLimits, Invitation, Invited, PAIRING_TRIES, Paired, PairingClaim, PairingOffer, PresenceEntry,
    PresenceRequest, Profile, Reply, Request, RowId, SESSIONS_PER_DEVICE, Selector, SessionOwner, StoreError,
    TokenHash, Wall,
};

/// A place where a store keeps its data, empty when made.
pub trait Fixture {
    /// The store under test.
    type Store: Store;

    /// A new, empty place.
    fn new() -> Self;

    /// Opens the store there. The one opened before has been dropped.
    fn open(&self, limits: InboxLimits) -> impl Future<Output = Self::Store>;
}

/// Makes one test of every sentence, for a [`Fixture`] type. `$run` drives a future to its end.
#[macro_export]
macro_rules! conformance {
    ($fixture:ty, $run:path) => {
        $crate::conformance! { @of people $fixture, $run:
            a_founded_device_is_known_with_its_key_and_profile
            nobody_is_known_who_was_not_founded
            what_was_founded_is_there_after_reopening
            a_handle_belongs_to_one_profile
            of_foundings_with_one_handle_in_a_batch_exactly_one_wins
            of_foundings_of_one_device_in_a_batch_exactly_one_wins
            a_refused_founding_leaves_nothing_behind
            a_lookup_sees_what_its_batch_did_before_it
            an_updated_profile_keeps_its_handle
            an_unknown_profile_is_not_updated
            optional_texts_can_be_set_and_cleared
        }
        $crate::conformance! { @of inbox $fixture, $run:
            rows_come_back_in_the_order_they_were_appended
            rows_are_there_after_reopening
            an_envelope_survives_byte_for_byte
            the_largest_payload_survives
            a_device_without_a_record_has_no_inbox
            inboxes_of_similar_names_are_kept_apart
            a_page_ends_at_its_rows
            a_page_ends_at_its_bytes
            rows_up_to_after_are_skipped
            delivered_rows_are_gone_for_good
            delivering_twice_or_too_far_takes_nothing_else
            row_ids_are_never_used_again
            requests_of_one_device_take_effect_in_their_order
            answers_stand_in_the_order_of_their_requests
            a_failed_request_leaves_its_neighbours_alone
            owed_rows_follow_in_order
            a_probe_answers
        }
        $crate::conformance! { @of limits $fixture, $run:
            an_inbox_takes_no_more_rows_than_its_limit
            an_inbox_takes_no_more_bytes_than_its_limit
            a_full_inbox_stays_full_after_reopening
            delivery_makes_room
            a_refused_append_costs_no_row_id_and_no_room
            the_limit_is_per_device
            owed_rows_are_kept_beyond_the_limit
            expired_rows_are_not_read
            an_expired_row_behind_a_live_one_is_skipped
            a_page_of_nothing_but_expired_rows_is_empty_and_final
            upkeep_makes_room_of_expired_rows
            upkeep_leaves_live_rows_alone
        }
        $crate::conformance! { @of accounts $fixture, $run:
            an_opened_session_is_found_with_its_profile_as_it_is_now
            a_session_is_worth_nothing_from_its_end_on
            a_session_belongs_to_a_device_that_is_known
            the_ninth_session_of_a_device_ends_the_first
            a_session_lasts_as_long_as_what_was_kept_after_it
            upkeep_leaves_live_sessions_alone
            a_device_joins_a_profile
            nobody_joins_a_profile_that_is_not_or_as_a_device_that_is
            a_profile_has_room_for_so_many_devices_that_are_not_revoked
            devices_are_listed_by_name_for_their_user_alone
            a_revoked_device_is_refused_and_its_sessions_are_gone
            a_device_is_revoked_once_and_by_its_own_user
            a_revoked_device_has_no_inbox
            a_batch_sees_the_revocation_in_it
            a_rotated_key_is_the_devices_key
            with_a_key_the_sessions_end_that_it_had_but_the_one_that_rotates
            a_list_of_friends_is_replaced_as_a_whole_and_keeps_its_order
            the_longest_list_of_friends_is_kept
        }
        $crate::conformance! { @of pairing $fixture, $run:
            a_code_brings_one_device_into_the_profile
            of_claims_of_one_code_in_a_batch_exactly_one_wins
            four_wrong_secrets_leave_a_code_good
            the_fifth_wrong_secret_ends_a_code
            wrong_secrets_count_across_reopening
            a_code_is_worth_nothing_from_its_end_on
            claiming_for_a_known_device_leaves_the_code_as_it_was
            a_user_has_so_many_open_codes
            only_a_device_of_the_user_offers_a_code
            a_revoked_device_takes_its_codes_with_it
            upkeep_leaves_live_codes_alone
        }
        $crate::conformance! { @of groups $fixture, $run:
            a_created_group_is_there_after_reopening
            creating_again_gives_the_owner_the_stored_roster_and_changes_nothing
            nobody_creates_a_group_of_somebody_else
            an_owner_has_so_many_groups_and_no_more
            owners_and_admins_extend_the_roster_and_nobody_else
            only_the_owner_changes_a_role_and_nobody_the_owners
            nobody_is_made_owner
            a_full_group_takes_no_more_members_and_still_changes_roles
            groups_of_similar_names_are_kept_apart
            a_group_of_ten_thousand_is_kept_whole
        }
        $crate::conformance! { @of presence $fixture, $run:
            what_was_said_last_of_a_device_is_known
            what_a_batch_says_its_end_sees
            presence_ends_by_itself
            the_depth_is_what_all_inboxes_hold
            the_depth_is_right_after_reopening
            what_expired_and_what_a_revoked_device_had_leave_the_depth
        }
    };
    (@of $module:ident $fixture:ty, $run:path: $($name:ident)*) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $name() {
                    let place = <$fixture as $crate::suite::Fixture>::new();
                    $run($crate::suite::$module::$name(&place));
                }
            )*
        }
    };
}

pub(crate) const NOW: Wall = Wall(1_700_000_000_000);
const LATER: Wall = Wall(NOW.0 + 86_400_000);

pub(crate) async fn one(store: &impl Store, request: Request) -> Result<Reply, StoreError> {
    let mut answers = store.execute(vec![request]).await;
    assert_eq!(answers.len(), 1, "one request, one answer");
    answers.remove(0)
}

pub(crate) fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).expect("a device id of the suite")
}

/// A profile whose id and handle are made of `name`.
pub(crate) fn profile(name: &str) -> Profile {
    Profile {
        id: UserId::parse(&format!("user-{name}")).expect("a user id of the suite"),
        handle: handle(name),
        display_name: Some(format!("{name} {name}")),
        avatar_url: None,
    }
}

pub(crate) fn handle(name: &str) -> Handle {
    Handle::parse(name).expect("a handle of the suite")
}

pub(crate) fn founding(id: &str, profile: Profile) -> Request {
    Request::Found {
        device: device(id),
        static_key: key(id),
        profile,
        at: NOW,
    }
}

/// A key that tells devices apart.
pub(crate) fn key(id: &str) -> [u8; 32] {
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(id.bytes()) {
        *to = from;
    }
    key
}

/// Founds `id` with a profile of the same name.
pub(crate) async fn found(store: &impl Store, id: &str) {
    assert_eq!(one(store, founding(id, profile(id))).await, Ok(Reply::Done));
}

pub(crate) fn lookup(id: &str, user: Option<&str>, wanted: Option<&str>) -> Request {
    Request::Lookup {
        device: device(id),
        user: user.map(|user| profile(user).id),
        handle: wanted.map(handle),
    }
}

pub(crate) async fn known(store: &impl Store, id: &str) -> Option<Device> {
    match one(store, lookup(id, None, None)).await {
        Ok(Reply::Found { device, .. }) => device,
        other => panic!("a lookup was answered with {other:?}"),
    }
}

pub(crate) fn envelope(payload: impl Into<Bytes>) -> Envelope {
    Envelope {
        kind: FrameType::Msg,
        channel: ChannelId::new(7),
        payload: payload.into(),
        expires_at: LATER,
    }
}

pub(crate) fn append(id: &str, payload: impl Into<Bytes>) -> Request {
    Request::Append {
        device: device(id),
        envelope: envelope(payload),
    }
}

pub(crate) fn append_until(id: &str, payload: &'static str, expires_at: Wall) -> Request {
    let envelope = Envelope {
        expires_at,
        ..envelope(payload)
    };
    Request::Append {
        device: device(id),
        envelope,
    }
}

pub(crate) fn read(id: &str, after: RowId) -> Request {
    read_page(id, after, usize::MAX, usize::MAX)
}

pub(crate) fn read_page(id: &str, after: RowId, max_rows: usize, max_bytes: usize) -> Request {
    Request::ReadInbox {
        device: device(id),
        after,
        max_rows,
        max_bytes,
        now: NOW,
    }
}

pub(crate) fn delivered(id: &str, upto: RowId) -> Request {
    Request::Delivered {
        device: device(id),
        upto,
    }
}

pub(crate) type Rows = Vec<(RowId, Envelope)>;

pub(crate) fn rows(answer: Result<Reply, StoreError>) -> (Rows, bool) {
    match answer {
        Ok(Reply::Rows { rows, more }) => (rows, more),
        other => panic!("a read was answered with {other:?}"),
    }
}

/// The whole inbox.
pub(crate) async fn inbox_of(store: &impl Store, id: &str) -> Rows {
    let (rows, more) = rows(one(store, read(id, RowId(0))).await);
    assert!(!more, "a page without limits holds everything");
    assert!(rows.is_sorted_by(|a, b| a.0 < b.0), "row ids increase");
    rows
}

/// The payloads of the whole inbox, as text.
pub(crate) async fn texts_of(store: &impl Store, id: &str) -> Vec<String> {
    texts(&inbox_of(store, id).await)
}

pub(crate) fn texts(rows: &Rows) -> Vec<String> {
    rows.iter()
        .map(|(_, row)| String::from_utf8_lossy(&row.payload).into_owned())
        .collect()
}
