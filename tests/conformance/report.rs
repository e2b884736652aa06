//! What was tried and what came of it, as a table by section.

use commucat_client::HttpVersion;

use crate::ground::Statement;

struct Row {
    section: &'static str,
    statements: u32,
    tested: u32,
    passed: u32,
}

/// The results on one store.
pub(crate) struct Report {
    store: &'static str,
    rows: Vec<Row>,
    last: &'static str,
    failures: Vec<String>,
}

impl Report {
    /// Nothing was tried.
    pub(crate) fn new(store: &'static str) -> Self {
        Self {
            store,
            rows: Vec::new(),
            last: "",
            failures: Vec::new(),
        }
    }

    /// A statement was tried over one way.
    pub(crate) fn tried(&mut self, statement: &Statement, http: HttpVersion, outcome: Result<(), String>) {
        let (section, words) = (statement.section, statement.words);
        let at = self.rows.iter().position(|row| row.section == section);
        let at = at.unwrap_or_else(|| {
            self.rows.push(Row {
                section,
                statements: 0,
                tested: 0,
                passed: 0,
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        row.statements += u32::from(self.last != words);
        self.last = words;
        row.tested += 1;
        match outcome {
            Ok(()) => row.passed += 1,
            Err(why) => self
                .failures
                .push(format!("{section}: \"{words}\" over {http:?}: {why}")),
        }
    }

    /// How many trials failed.
    pub(crate) fn failures(&self) -> usize {
        self.failures.len()
    }

    /// The table.
    pub(crate) fn print(&self) {
        println!("\nCCP-1 conformance, {} store", self.store);
        println!("{:<34} {:>10} {:>7} {:>7}", "section", "statements", "tested", "passed");
        for row in &self.rows {
            let Row {
                section,
                statements,
                tested,
                passed,
            } = row;
            println!("{section:<34} {statements:>10} {tested:>7} {passed:>7}");
        }
        let sum = |of: fn(&Row) -> u32| self.rows.iter().map(of).sum::<u32>();
        println!(
            "{:<34} {:>10} {:>7} {:>7}",
            "all",
            sum(|row| row.statements),
            sum(|row| row.tested),
            sum(|row| row.passed)
        );
    }

    /// Nothing failed.
    ///
    /// # Panics
    /// With everything that did.
    pub(crate) fn assert(&self) {
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
    }
}
