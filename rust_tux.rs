// SPDX-License-Identifier: GPL-2.0

//! rust_tux: an HTTP server for static sites that runs in the kernel.

use kernel::prelude::*;

mod src {
    pub(crate) mod linux;
}
use src::linux;

module! {
    type: RustTux,
    name: "rust_tux",
    authors: ["The rust_tux developers"],
    description: "HTTP/1.1 server for static sites",
    license: "GPL",
}

struct RustTux;

impl kernel::Module for RustTux {
    fn init(_module: &'static ThisModule) -> Result<Self> {

        Ok(RustTux)
    }
}
