// SPDX-License-Identifier: GPL-2.0

//! Fuzzing of layer 1: for each parser a function that takes any octets, and panics if something
//! that must hold does not.
//!
//! Properties are not only that nothing panics: each parser is held against another that is written
//! to be simple, not fast; what arrives in pieces is held against what arrives whole; what is
//! written is read again. The functions need nothing but std, and `make check` runs them over the
//! seeds. The binaries of `targets` give them to libFuzzer.

#![no_std]
#![allow(dead_code, reason = "the kernel side is what uses the rest")]

extern crate std;

/// The sources, laid out as in the module.
#[path = "../../src"]
mod src {
    pub(crate) mod http;
}

use src::http;

mod authority;
mod chunked;
mod coding;
mod common;
mod condition;
mod date;
mod head;
mod range;
pub mod seeds;
mod target;

pub use authority::run as authority;
pub use chunked::run as chunked;
pub use coding::run as coding;
pub use condition::run as condition;
pub use date::run as date;
pub use head::run as head;
pub use range::run as range;
pub use target::run as target;
