//! Any sequence of requests, batched and reopened in any way, is answered as an obvious store would answer it.

mod obvious;
mod requests;

use commucat_storage::Store;
use commucat_storage::api::{InboxLimits, Request, StoreError, Wall};
use commucat_storage::embedded::{EmbeddedStore, Options};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::common::{Answer, append, execute, folder_in_memory, founding, inbox, options, run};
use obvious::{LIMITS, Model};
use requests::{NAMES, request};

/// What a test does.
#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Request>),
    Reopen,
    Upkeep(Wall),
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
                    model.forget_presence();
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
