//! What the operator sees: numbers, who may see them, and the page.

mod access;
mod browser;
mod metrics;
mod streams;
