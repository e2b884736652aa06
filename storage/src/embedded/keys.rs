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
    fn a_row_key_tells_its_number_and_other_keys_tell_none() {
        let a = device("a");
        assert_eq!(row_id(&row(&a, RowId(7))), Some(RowId(7)));
        assert_eq!(row_id(&inbox(&a)), None);
        assert_eq!(row_id(&inbox(&device("longer-than-eight"))), None);
    }
}
