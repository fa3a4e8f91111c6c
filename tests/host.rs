// SPDX-License-Identifier: GPL-2.0

//! Host tests: layer 1, and what else is pure, with std around it; no kernel needed.
//!
//! `cargo test` in `tests/host` runs all of them. Those that need nothing but rustc also run by
//! `rustc --edition 2021 --test tests/host.rs -o host && ./host`, from the root of the tree.

#![no_std]
#![allow(dead_code, reason = "the kernel side is what uses the rest")]
#![cfg_attr(not(test), allow(unused_imports))]

#[cfg(test)]
extern crate std;

/// The sources, laid out as in the module.
#[path = "../src"]
mod src {
    pub(crate) mod http;
}

use src::http;

/// Of the kernel's side, what is pure.
#[path = "../src/linux/checksum/sums.rs"]
mod sums;

#[cfg(test)]
#[path = "host/corpus.rs"]
mod corpus;
#[cfg(test)]
#[path = "host/media_types.rs"]
mod media_types;
#[cfg(all(test, feature = "properties"))]
#[path = "host/properties.rs"]
mod properties;
#[cfg(all(test, feature = "properties"))]
#[path = "host/ranges.rs"]
mod ranges;

#[cfg(all(test, feature = "properties"))]
#[path = "host/sums.rs"]
mod sums_of_many;

/// What the fuzzer checks.
#[cfg(test)]
#[path = "fuzz"]
mod fuzz {
    pub(crate) mod authority;
    pub(crate) mod chunked;
    pub(crate) mod coding;
    pub(crate) mod common;
    pub(crate) mod condition;
    pub(crate) mod date;
    pub(crate) mod head;
    pub(crate) mod range;
    pub(crate) mod seeds;
    pub(crate) mod target;
}
#[cfg(test)]
use fuzz::common;
#[cfg(test)]
#[path = "host/seeds.rs"]
mod seeds;
