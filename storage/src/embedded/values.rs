//! Values: a version byte, the length of the whole value (u32, little endian), then an rkyv archive without alignment.
//! Reading validates; what does not hold is an error, never a guess. The length tells `journal` that a value which ends
//! with the file was cut off there, and not that its length is wrong.
//!
//! A new shape of a value gets a new version byte and the old one stays readable; a change that an older release must
//! not touch raises [`FORMAT`].

use bytes::Bytes;
use commucat_proto::{ChannelId, FrameType};
use rkyv::api::high::{HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::{Archive, Deserialize, Portable, Serialize};

use super::error::Fault;
use crate::api::{Envelope, Wall};

/// The format of the whole folder, kept in `meta`. Format 2 has `user_device`, which a release that knows only format 1
/// would leave behind; `tables` makes the one into the other.
pub const FORMAT: u32 = 3;

/// What a value of the first shape of its table begins with.
const VERSION: u8 = 1;

/// Of `device_key_event`, since format 2.
const KEY_EVENT_VERSION: u8 = 2;

/// Version and length.
const HEAD: usize = 5;

/// Table `devices`, by device id.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
pub(super) struct DeviceValue {
    pub(super) static_key: [u8; 32],
    pub(super) user: String,
    pub(super) created_at: u64,
    pub(super) revoked_at: Option<u64>,
}

/// Table `users`, by user id.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
pub(super) struct UserValue {
    pub(super) handle: String,
    pub(super) display_name: Option<String>,
    pub(super) avatar_url: Option<String>,
    pub(super) created_at: u64,
}

/// Table `handles`, by handle.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
pub(super) struct HandleValue {
    pub(super) user: String,
}

/// Table `device_key_event`, by event id (CCP-1, Handshake: device key audit). For auditors: nothing in the relay reads
/// it. Version 1, of format 1, is the same without `what`: all of them are `ADDED`.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
pub(super) struct KeyEventValue {
    pub(super) device: String,
    pub(super) public_key: [u8; 32],
    pub(super) at: u64,
    /// One of the constants.
    pub(super) what: u8,
}

impl KeyEventValue {
    /// The device came in with this key.
    pub(super) const ADDED: u8 = 1;
    /// The device has this key from now on.
    pub(super) const ROTATED: u8 = 2;
    /// The device and this key are refused from now on.
    pub(super) const REVOKED: u8 = 3;

    pub(super) fn encode(&self) -> Result<Vec<u8>, Fault> {
        encode_as(KEY_EVENT_VERSION, "device_key_event", self, 0)
    }

    #[cfg(test)]
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let event = access_as::<ArchivedKeyEventValue>(KEY_EVENT_VERSION, "device_key_event", bytes)?;
        rkyv::deserialize::<Self, Error>(event).map_err(|e| corrupt("device_key_event", e.to_string()))
    }
}

/// Table `inbox_offset`, by inbox: what has left an inbox. Its rows are those above `gone`, without a hole.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct OffsetValue {
    /// The last row delivered, for operators.
    pub(super) delivered: u64,
    /// Rows up to here have been delivered or have expired.
    pub(super) gone: u64,
    /// Payload bytes of all of those.
    pub(super) gone_bytes: u64,
    /// Rows up to here have also been taken out of the table.
    pub(super) swept: u64,
}

/// Table `relay_queue`, by inbox and row id.
#[derive(Archive, Serialize, Debug)]
pub(super) struct RowValue<'a> {
    kind: u8,
    channel: u32,
    expires_at: u64,
    /// Payload bytes of this row and of all before it: the newest row tells what the inbox holds, without a counter
    /// that every append would have to write.
    total_bytes: u64,
    #[rkyv(with = rkyv::with::InlineAsBox)]
    payload: &'a [u8],
}

/// A row as it was read.
pub(super) struct Row {
    pub(super) envelope: Envelope,
    pub(super) total_bytes: u64,
}

/// The bytes of a row.
pub(super) fn encode_row(envelope: &Envelope, total_bytes: u64) -> Result<Vec<u8>, Fault> {
    let value = RowValue {
        kind: envelope.kind.code(),
        channel: envelope.channel.get(),
        expires_at: envelope.expires_at.0,
        total_bytes,
        payload: &envelope.payload,
    };
    encode("relay_queue", &value, envelope.payload.len())
}

/// A row from its bytes. The payload is copied: left where it lies, a small row would hold a whole table block for as
/// long as its recipient is slow, and no budget would count it.
pub(super) fn decode_row(bytes: &[u8]) -> Result<Row, Fault> {
    const TABLE: &str = "relay_queue";
    let row = access::<ArchivedRowValue<'_>>(TABLE, bytes)?;
    let kind = FrameType::from_code(row.kind)
        .filter(|kind| kind.is_storable())
        .ok_or_else(|| corrupt(TABLE, format!("frame type {:#04x}", row.kind)))?;
    let envelope = Envelope {
        kind,
        channel: ChannelId::new(row.channel.to_native()),
        payload: Bytes::copy_from_slice(&row.payload),
        expires_at: Wall(row.expires_at.to_native()),
    };
    Ok(Row {
        envelope,
        total_bytes: row.total_bytes.to_native(),
    })
}

/// What of a row upkeep needs: when it expires, and the bytes up to it.
pub(super) fn decode_row_head(bytes: &[u8]) -> Result<(Wall, u64), Fault> {
    let row = access::<ArchivedRowValue<'_>>("relay_queue", bytes)?;
    Ok((Wall(row.expires_at.to_native()), row.total_bytes.to_native()))
}

/// Whether the device of this `devices` value has been revoked.
pub(super) fn is_revoked(bytes: &[u8]) -> Result<bool, Fault> {
    Ok(access::<ArchivedDeviceValue>("devices", bytes)?.revoked_at.is_some())
}

/// The bytes of a value.
pub(super) fn encode(
    table: &'static str,
    value: &impl for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Error>>,
    hint: usize,
) -> Result<Vec<u8>, Fault> {
    encode_as(VERSION, table, value, hint)
}

fn encode_as(
    version: u8,
    table: &'static str,
    value: &impl for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Error>>,
    hint: usize,
) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(hint + 64);
    out.extend_from_slice(&[version, 0, 0, 0, 0]);
    let mut out = rkyv::api::high::to_bytes_in::<_, Error>(value, out).map_err(|e| corrupt(table, e.to_string()))?;
    let len = u32::try_from(out.len()).map_err(|e| corrupt(table, e.to_string()))?;
    out[1..HEAD].copy_from_slice(&len.to_le_bytes());
    Ok(out)
}

/// The length that a value itself says it has, from its first bytes.
pub(super) fn own_len(bytes: &[u8]) -> Option<u64> {
    let (version, rest) = bytes.split_first()?;
    let len = rest.first_chunk::<4>()?;
    matches!(*version, VERSION | KEY_EVENT_VERSION).then_some(u64::from(u32::from_le_bytes(*len)))
}

/// A value from its bytes.
pub(super) fn decode<T>(table: &'static str, bytes: &[u8]) -> Result<T, Fault>
where
    T: Archive,
    T::Archived:
        for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<T, rkyv::api::high::HighDeserializer<Error>>,
{
    rkyv::deserialize::<T, Error>(access::<T::Archived>(table, bytes)?).map_err(|e| corrupt(table, e.to_string()))
}

/// A value where it lies.
pub(super) fn access<'b, A>(table: &'static str, bytes: &'b [u8]) -> Result<&'b A, Fault>
where
    A: Portable + for<'a> CheckBytes<HighValidator<'a, Error>>,
{
    access_as(VERSION, table, bytes)
}

fn access_as<'b, A>(version: u8, table: &'static str, bytes: &'b [u8]) -> Result<&'b A, Fault>
where
    A: Portable + for<'a> CheckBytes<HighValidator<'a, Error>>,
{
    match bytes.first() {
        Some(found) if *found == version && own_len(bytes) == Some(bytes.len() as u64) => {
            rkyv::access::<A, Error>(&bytes[HEAD..]).map_err(|e| corrupt(table, e.to_string()))
        }
        Some(found) if *found == version => Err(corrupt(table, "its length is wrong".to_owned())),
        Some(version) => Err(corrupt(table, format!("unknown version {version}"))),
        None => Err(corrupt(table, "it is empty".to_owned())),
    }
}

pub(super) fn corrupt(table: &'static str, detail: String) -> Fault {
    Fault::Corrupt { table, detail }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope(payload: Vec<u8>) -> Envelope {
        Envelope {
            kind: FrameType::Msg,
            channel: ChannelId::new(0x0102_0304),
            payload: payload.into(),
            expires_at: Wall(5),
        }
    }

    #[test]
    fn the_bytes_of_a_row_stay_what_they_are() {
        let row = encode_row(&envelope(b"abc".to_vec()), 9).unwrap();
        let mut expected = vec![VERSION, 37, 0, 0, 0];
        expected.extend(b"abc");
        expected.push(FrameType::Msg.code());
        expected.extend(0x0102_0304_u32.to_le_bytes());
        expected.extend(5_u64.to_le_bytes());
        expected.extend(9_u64.to_le_bytes());
        // Where the payload lies, counted from here, and its length.
        expected.extend((-24_i32).to_le_bytes());
        expected.extend(3_u32.to_le_bytes());
        assert_eq!(row, expected);
        let read = decode_row(&row).unwrap();
        assert_eq!((read.envelope, read.total_bytes), (envelope(b"abc".to_vec()), 9));
    }

    #[test]
    fn an_unknown_version_is_named() {
        let mut row = encode_row(&envelope(vec![]), 0).unwrap();
        row[0] = 7;
        let fault = decode_row(&row).map(|_| ()).unwrap_err();
        assert!(fault.to_string().contains("unknown version 7"), "{fault}");
    }

    #[test]
    fn a_frame_that_is_never_stored_is_corrupt() {
        for kind in FrameType::ALL {
            let row = encode_row(
                &Envelope {
                    kind,
                    ..envelope(vec![1])
                },
                1,
            )
            .unwrap();
            assert_eq!(decode_row(&row).is_ok(), kind.is_storable(), "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = bytes.clone();
            framed.splice(..0, [VERSION, 0, 0, 0, 0]);
            let len = (framed.len() as u32).to_le_bytes();
            framed[1..HEAD].copy_from_slice(&len);
            for bytes in [bytes, framed] {
                let _ = decode_row(&bytes);
                let _ = decode_row_head(&bytes);
                let _ = decode::<DeviceValue>("devices", &bytes);
                let _ = decode::<UserValue>("users", &bytes);
                let _ = decode::<OffsetValue>("inbox_offset", &bytes);
            }
        }

        #[test]
        fn a_cut_or_lengthened_row_is_an_error(
            payload in proptest::collection::vec(any::<u8>(), 0..100), cut in any::<prop::sample::Index>(),
        ) {
            let row = encode_row(&envelope(payload), 1).unwrap();
            prop_assert!(decode_row(&row[..cut.index(row.len())]).is_err());
            let longer: Vec<u8> = row.iter().copied().chain([0]).collect();
            prop_assert!(decode_row(&longer).is_err());
        }
    }
}
