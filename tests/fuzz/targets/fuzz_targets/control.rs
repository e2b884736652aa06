//! See `commucat_fuzz::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| commucat_fuzz::control::check(data));
