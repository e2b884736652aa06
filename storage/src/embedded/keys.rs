//! Keys: what sorts where. Device ids are visible ASCII, so the zero byte between a device and its row ids keeps one
//! device's rows together and apart from those of a device whose id begins with its own.

use commucat_proto::DeviceId;

use crate::api::RowId;

const INBOX: &[u8] = b"inbox:";

/// The key of `inbox_offset`, and the beginning of the device's keys in `relay_queue` (CCP-1, Offline Delivery).
pub(super) fn inbox(device: &DeviceId) -> Vec<u8> {
    let mut key = Vec::with_capacity(INBOX.len() + device.as_str().len());
    key.extend_from_slice(INBOX);
    key.extend_from_slice(device.as_str().as_bytes());
    key
}

/// The key of a row.
pub(super) fn row(device: &DeviceId, row: RowId) -> Vec<u8> {
    let mut key = Vec::with_capacity(INBOX.len() + device.as_str().len() + 9);
    key.extend_from_slice(INBOX);
    key.extend_from_slice(device.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(&row.0.to_be_bytes());
    key
}

/// The row id at the end of a row's key.
pub(super) fn row_id(key: &[u8]) -> Option<RowId> {
    let (head, id) = key.split_last_chunk::<8>()?;
    (head.last() == Some(&0)).then_some(RowId(u64::from_be_bytes(*id)))
}

/// Whose inbox a row is in, from its key.
pub(super) fn inbox_of(key: &[u8]) -> Option<DeviceId> {
    row_id(key)?;
    let device = key.strip_prefix(INBOX)?.get(..key.len() - INBOX.len() - 9)?;
    DeviceId::parse(std::str::from_utf8(device).ok()?).ok()
}

/// The beginning of every key under `owner`, a user or a group: neither's id holds a zero byte.
pub(super) fn under(owner: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(owner.len() + 1);
    key.extend_from_slice(owner.as_bytes());
    key.push(0);
    key
}

/// The key of something that belongs to `owner`.
pub(super) fn owned(owner: &str, what: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(owner.len() + 1 + what.len());
    key.extend_from_slice(owner.as_bytes());
    key.push(0);
    key.extend_from_slice(what);
    key
}

/// What belongs to `owner`, from its key.
pub(super) fn what<'a>(owner: &str, key: &'a [u8]) -> Option<&'a [u8]> {
    key.strip_prefix(owner.as_bytes())?.strip_prefix(&[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str) -> DeviceId {
        DeviceId::parse(id).unwrap()
    }

    #[test]
    fn rows_of_a_device_sort_by_number_and_never_between_those_of_another() {
        let (a, ab) = (device("a"), device("a!"));
        let keys = [
            row(&a, RowId(0)),
            row(&a, RowId(255)),
            row(&a, RowId(256)),
            row(&a, RowId(u64::MAX)),
        ];
        assert!(keys.is_sorted());
        assert!(keys[3] < row(&ab, RowId(0)));
    }

    #[test]
    fn what_is_owned_stands_under_its_owner_and_under_no_other() {
        assert!(owned("ab", b"x").starts_with(&under("ab")));
        assert!(!owned("ab", b"x").starts_with(&under("a")));
        assert_eq!(what("ab", &owned("ab", b"x")), Some(&b"x"[..]));
        assert_eq!(what("a", &owned("ab", b"x")), None);
    }

    #[test]
    fn a_row_key_tells_its_number_and_other_keys_tell_none() {
        let a = device("a");
        assert_eq!(row_id(&row(&a, RowId(7))), Some(RowId(7)));
        assert_eq!(inbox_of(&row(&a, RowId(7))), Some(a.clone()));
        assert_eq!(inbox_of(&inbox(&a)), None);
        assert_eq!(row_id(&inbox(&a)), None);
        assert_eq!(row_id(&inbox(&device("longer-than-eight"))), None);
    }
}
