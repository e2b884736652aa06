//! See `commucat_fuzz::handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| commucat_fuzz::handshake::check(data));
