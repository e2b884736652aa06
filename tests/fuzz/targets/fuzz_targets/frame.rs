//! See `commucat_fuzz::frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| commucat_fuzz::frame::check(data));
