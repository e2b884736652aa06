//! The specification, sentence by sentence: each statement names its section and the words it tests, and is tried over
//! every way to a relay, on both stores. The last thing printed on each is the table of sections, statements, tested and
//! passed.
//!
//! ```text
//! tests/services run cargo test -p commucat-tests --test conformance -- --nocapture
//! ```
//!
//! Not tested yet, since the relay does not offer it: Hybrid Key Establishment, Forward Error Correction & Multipath
//! Delivery, Multipath P2P Assistance, Adaptive Protocol Polymorphism, Pluggable Transports, Federation, and
//! `IntegrityCheckFailed`, which is of `adaptive-obf`.

mod calls;
mod diagnostics;
mod ground;
mod groups;
mod handshake;
mod offline;
mod pairing;
mod presence;
mod report;
mod routing;
mod security;
mod sequences;
mod telemetry;
mod transport;
mod wire;

use commucat_tests::people::WAYS;
use commucat_tests::stage::{Stage, Store};
use ground::{Ground, Statement};
use report::Report;

/// All statements, in the order of the specification.
fn statements(store: Store) -> Vec<Statement> {
    let all = [
        transport::STATEMENTS,
        wire::STATEMENTS,
        diagnostics::STATEMENTS,
        calls::STATEMENTS,
        handshake::STATEMENTS,
        pairing::STATEMENTS,
        routing::STATEMENTS,
        groups::STATEMENTS,
        sequences::STATEMENTS,
        offline::STATEMENTS,
        presence::STATEMENTS,
        telemetry::STATEMENTS,
        security::STATEMENTS,
    ];
    let on_databases = [pairing::ON_DATABASES, presence::ON_DATABASES];
    let more = on_databases.into_iter().filter(|_| store == Store::Postgres);
    all.into_iter().chain(more).flatten().copied().collect()
}

#[test]
fn the_specification_holds_on_the_embedded_store() {
    try_all(Store::Embedded, "embedded");
}

#[test]
fn the_specification_holds_on_postgresql_and_redis() {
    try_all(Store::Postgres, "PostgreSQL and Redis");
}

/// All statements over every way to one relay, and the table.
fn try_all(store: Store, name: &'static str) {
    let stage = Stage::on(store, "");
    let mut report = Report::new(name);
    for statement in statements(store) {
        for http in WAYS {
            let ground = Ground::new(&stage, store, http);
            report.tried(&statement, http, ground::holds(&statement, &ground));
        }
    }
    stage.end();
    report.print();
    report.assert();
}

#[test]
fn a_statement_that_does_not_hold_is_reported() {
    let stage = Stage::new("");
    let wrong = Statement {
        section: "Frame Types",
        words: "on purpose",
        check: |_| panic!("it does not hold"),
    };
    let ground = Ground::new(&stage, Store::Embedded, WAYS[0]);
    let mut report = Report::new("embedded");
    report.tried(&wrong, WAYS[0], ground::holds(&wrong, &ground));
    assert_eq!(report.failures(), 1);
    assert!(std::panic::catch_unwind(move || report.assert()).is_err());
    stage.end();
}
