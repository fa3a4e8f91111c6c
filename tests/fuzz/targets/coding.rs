// SPDX-License-Identifier: GPL-2.0

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| rust_tux_fuzz::coding(octets));
