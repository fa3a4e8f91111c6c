// SPDX-License-Identifier: GPL-2.0

//! The parser of request heads as an object of its own, for `tests/bench/parse.c` to call.
//!
//! It is compiled by the kernel's build system, for the kernel: what is measured is what the module
//! runs.

#![allow(dead_code, reason = "nothing but the parser is measured")]

/// The sources, laid out as in the module.
#[path = "../../src"]
mod src {
    pub(crate) mod http;
}

use core::hint::black_box;
use core::slice;

use src::http;

use http::request::Limits;
use http::request::Request;

/// Parses the `len` octets at `octets`; says how many of them are the head, 0 if it is not whole or
/// refused.
///
/// # Safety
///
/// There are `len` octets at `octets`, which nobody changes.
#[no_mangle]
pub unsafe extern "C" fn bench_parse(octets: *const u8, len: usize) -> usize {
    // SAFETY: By the safety requirements of this function.
    let octets = unsafe { slice::from_raw_parts(octets, len) };
    let mut request = Request::new();
    let head = request.read(octets, black_box(&Limits::default()));
    // The request is to be made, whole, as it is for a server that uses it.
    black_box(&request);
    head.ok().flatten().unwrap_or(0)
}
