#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tuman_fuzz::report::check(bytes));
