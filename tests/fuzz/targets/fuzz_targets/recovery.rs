//! See `commucat_fuzz::recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| commucat_fuzz::recovery::check(data));
