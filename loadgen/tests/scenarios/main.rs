//! Every scenario as a user runs it: the real program against the real relay, for about a second. What is checked is the
//! ledger, the fields that other programs read, and the page; never how fast anything was.

mod browser;
mod markup;
mod people_away;
mod relay;
mod run;
mod traffic;
mod trouble;
