//! The embedded store keeps every sentence of the suite: as it is shipped, and with a cache so small that counters are
//! forgotten and read again all the time.

use commucat_storage::api::InboxLimits;
use commucat_storage::embedded::{EmbeddedStore, Options};
use commucat_storage::suite::Fixture;
use tempfile::TempDir;

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(test);
}

struct Shipped(TempDir);

impl Fixture for Shipped {
    type Store = EmbeddedStore;

    fn new() -> Self {
        Self(crate::common::folder_in_memory())
    }

    async fn open(&self, inbox: InboxLimits) -> EmbeddedStore {
        EmbeddedStore::open(
            self.0.path(),
            Options {
                inbox,
                ..Options::default()
            },
        )
        .unwrap()
    }
}

struct Forgetful(TempDir);

impl Fixture for Forgetful {
    type Store = EmbeddedStore;

    fn new() -> Self {
        Self(crate::common::folder_in_memory())
    }

    async fn open(&self, inbox: InboxLimits) -> EmbeddedStore {
        let options = Options {
            inbox,
            inbox_cache: 2,
            ..Options::default()
        };
        EmbeddedStore::open(self.0.path(), options).unwrap()
    }
}

mod shipped {
    use super::*;
    commucat_storage::conformance!(Shipped, run);
}

mod forgetful {
    use super::*;
    commucat_storage::conformance!(Forgetful, run);
}
