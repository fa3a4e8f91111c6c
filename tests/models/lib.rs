// SPDX-License-Identifier: GPL-2.0

//! Models of what contexts share: the module's own sources over loom.
//!
//! What is below `src` is compiled as it is. In the place of the `kernel` crate stands
//! `tests/models/kernel`, in that of C and of the files that the models don't need what lies beside
//! this file. So a model is a few threads that do what the network, the administrator and the
//! clock do, and loom tries each order of their steps that the memory model allows, up to a bound.

#![feature(arbitrary_self_types)]
#![allow(dead_code, reason = "the rest of the module is what uses the rest")]
#![cfg(test)]

/// The protocol, whole.
#[path = "../../src"]
mod src {
    pub(crate) mod http;
}

use src::http;

mod linux;
mod models;
mod server;
