//! See `commucat_fuzz::websocket`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| commucat_fuzz::websocket::check(data));
