// SPDX-License-Identifier: GPL-2.0

//! rust_tux: an HTTP server for static sites that runs in the kernel.

use kernel::prelude::*;
use kernel::sync::Arc;

mod src {
    pub(crate) mod http;
    pub(crate) mod linux;
    pub(crate) mod server;
}
use src::{
    http,
    linux,
    server, //
};

module! {
    type: RustTux,
    name: "rust_tux",
    authors: ["The rust_tux developers"],
    description: "HTTP/1.1 server for static sites",
    license: "GPL",
}

struct RustTux { server: Arc<server::Server> }

impl kernel::Module for RustTux {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let m = linux::context::MaySleep::begin();
        let config = server::config::Config {
            document_root: Arc::new(linux::path::Root::open(c"/srv", &m)?, GFP_KERNEL)?,
            server_port: 80, address: linux::address::Address::ANY, threads: 0, max_connect: 10000, max_backlog: 2048,
            keepalive_timeout: 15, header_timeout: 10, send_timeout: 30, max_header_len: 8192 };
        let server = server::Server::new(config)?;
        server.start(&m)?;
        Ok(RustTux { server })
    }
}
impl Drop for RustTux { fn drop(&mut self) { self.server.stop(&linux::context::MaySleep::begin()); } }
