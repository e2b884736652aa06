//! PostgreSQL with Redis keeps every sentence of the suite, in a fresh database each.

use crate::place::{Place, run};

commucat_storage::conformance!(Place, run);
