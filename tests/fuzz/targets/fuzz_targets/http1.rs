//! See `commucat_fuzz::http1`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| commucat_fuzz::http1::check(data));
