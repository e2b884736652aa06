//! A folder that an earlier release has written opens, and everything works in it. `format-1/` was made by the release
//! before format 2: three people, rows of two of them, one delivered.

use std::path::Path;

use commucat_proto::Handle;
use commucat_storage::api::{
    AccountRequest, Device, InboxLimits, Profile, Reply, Request, RowId, StoreError, TokenHash, Wall,
};
use commucat_storage::embedded::EmbeddedStore;

use crate::common::{append, copy_all, device, execute, folder_in_memory, founding, inbox, options, user};

fn list(name: &str) -> Request {
    Request::Account(AccountRequest::ListDevices { user: user(name) })
}

fn names(answer: &Result<Reply, StoreError>) -> Vec<&str> {
    match answer {
        Ok(Reply::Devices(devices)) => devices.iter().map(|one| one.device.as_str()).collect(),
        other => panic!("a list was answered with {other:?}"),
    }
}

#[test]
fn a_folder_of_format_1_opens_with_everything_in_it() {
    let folder = folder_in_memory();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/embedded/format-1");
    copy_all(&original, folder.path());
    // Twice: made new by the first opening, and as the first has left it.
    for _ in 0..2 {
        let store = EmbeddedStore::open(folder.path(), options(InboxLimits::default())).unwrap();
        let payloads = |id| -> Vec<_> { inbox(&store, id).into_iter().map(|(id, text)| (id.0, text)).collect() };
        assert_eq!(payloads("ada"), [(2, "two".into()), (3, "three".into())]);
        assert_eq!(payloads("bob"), [(1, "four".into())]);
        let eve = Device {
            static_key: [b'e'; 32],
            user: Profile {
                id: user("eve"),
                handle: Handle::parse("eve").unwrap(),
                display_name: Some("Eve".to_owned()),
                avatar_url: Some("https://example.org/eve.png".to_owned()),
            },
            revoked: false,
        };
        let lookup = Request::Lookup {
            device: device("eve"),
            user: None,
            handle: None,
        };
        let answers = execute(
            &store,
            vec![lookup, list("ada"), list("bob"), list("eve"), Request::Depth],
        );
        let known = Reply::Found {
            device: Some(eve),
            user: None,
            handle_taken: false,
        };
        assert_eq!(answers[0], Ok(known));
        for (answer, name) in answers[1..4].iter().zip(["ada", "bob", "eve"]) {
            assert_eq!(names(answer), [name]);
        }
        assert_eq!(answers[4], Ok(Reply::Depth { rows: 3, bytes: 12 }));
    }
    let store = EmbeddedStore::open(folder.path(), options(InboxLimits::default())).unwrap();
    let join = Request::Account(AccountRequest::JoinProfile {
        device: device("phone"),
        static_key: [2; 32],
        user: user("ada"),
        limit: 2,
        at: Wall(2),
    });
    let open = Request::Account(AccountRequest::OpenSession {
        token: TokenHash([1; 32]),
        device: device("ada"),
        static_key: [b'a'; 32],
        expires_at: Wall(9),
    });
    let batch = vec![
        founding("ada"),
        founding("zoe"),
        join,
        append("ada", "five"),
        open,
        list("ada"),
    ];
    let answers = execute(&store, batch);
    assert_eq!(answers[0], Err(StoreError::DeviceExists));
    assert!(
        answers[1..5].iter().all(|answer| *answer == Ok(Reply::Done)),
        "{answers:?}"
    );
    assert_eq!(names(&answers[5]), ["ada", "phone"]);
    assert_eq!(inbox(&store, "ada").last(), Some(&(RowId(4), "five".into())));
}
