//! The specification, sentence by sentence: each statement names its section and the words it tests, and is tried over
//! every way to a relay. The last thing printed is the table of sections, statements, tested and passed.
//!
//! ```text
//! cargo test -p commucat-tests --test conformance -- --nocapture
//! ```

mod ground;
mod groups;
mod handshake;
mod offline;
mod report;
mod routing;
mod sequences;
mod telemetry;
mod transport;
mod wire;

use commucat_tests::people::WAYS;
use commucat_tests::stage::Stage;
use ground::{Ground, Statement};
use report::Report;

/// All statements, in the order of the specification.
fn statements() -> Vec<Statement> {
    [
        transport::STATEMENTS,
        wire::STATEMENTS,
        handshake::STATEMENTS,
        routing::STATEMENTS,
        groups::STATEMENTS,
        sequences::STATEMENTS,
        offline::STATEMENTS,
        telemetry::STATEMENTS,
    ]
    .concat()
}

#[test]
fn the_specification_holds_on_the_embedded_store() {
    let stage = Stage::new("");
    let mut report = Report::new("embedded");
    for statement in statements() {
        for http in WAYS {
            report.tried(&statement, http, ground::holds(&statement, &Ground::new(&stage, http)));
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
    let ground = Ground::new(&stage, WAYS[0]);
    let mut report = Report::new("embedded");
    report.tried(&wrong, WAYS[0], ground::holds(&wrong, &ground));
    assert_eq!(report.failures(), 1);
    assert!(std::panic::catch_unwind(move || report.assert()).is_err());
    stage.end();
}
