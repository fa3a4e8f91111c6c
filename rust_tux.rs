// SPDX-License-Identifier: GPL-2.0

//! rust_tux: an HTTP server for static sites that runs in the kernel.
//!
//! ```text
//!              rust_tux.rs
//!                   |
//!             src/server          what a server does; safe Rust only
//!              /        \
//!       src/http      src/linux   the protocol, pure | the kernel, and all the unsafe
//! ```

use kernel::prelude::*;
use kernel::sync::Arc;

mod src {
    // The protocol is complete in itself; the server doesn't use all of it yet.
    #[allow(dead_code)]
    pub(crate) mod http;
    pub(crate) mod linux;
    pub(crate) mod server;
}
use src::{
    http,
    linux,
    server, //
};

use linux::context::MaySleep;
use linux::proc;
use linux::sysctl;
use server::config::{
    Config,
    Parameters, //
};
use server::knobs::{
    Control as _,
    Sysctls, //
};
use server::stats::Statistics;
use server::Server;

module! {
    type: RustTux,
    name: "rust_tux",
    authors: ["The rust_tux developers"],
    description: "HTTP/1.1 server for static sites",
    license: "GPL",
    params: {
        port: u16 {
            default: 80,
            description: "TCP port to listen on, 1 to 65535 (default 80)",
        },
        threads: u32 {
            default: 0,
            description: "Number of workers, 0 to 1024; 0 is one for each online CPU (default 0)",
        },
        backlog: u32 {
            default: 2048,
            description: "Connections that may wait to be accepted, 1 to 65535 (default 2048)",
        },
        takeover: u32 {
            default: 0,
            description: "Whether another server may listen on the port, too, 0 or 1 (default 0)",
        },
        start: u32 {
            default: 1,
            description: "Whether to start the server, 0 or 1 (default 1)",
        },
    },
}

charp_param! {
    /// The directory that is served.
    docroot, "rust_tux", "Directory to serve, an absolute path (default /var/www/html)"
}

charp_param! {
    /// The address to listen on.
    address, "rust_tux", "IPv4 or IPv6 address to listen on (default: all of both)"
}

charp_param! {
    /// The table of media types.
    mime_types, "rust_tux", "File of media types, in the syntax of mime.types (default: those built in)"
}

#[cfg(planted)]
charp_param! {
    /// The fault to plant.
    planted, "rust_tux", "Fault to plant, by its name in planted.rs (default: none)"
}

/// The module. It stops the server first, while its sysctls and counters are there. Then the fields
/// are dropped in this order: nobody can start the server any more when the last reference to it
/// goes, by which it would stop at once.
struct RustTux {
    _sysctls: sysctl::Registration<Sysctls<Server>>,
    _stat: proc::File<Statistics>,
    server: Arc<Server>,
}

impl Drop for RustTux {
    fn drop(&mut self) {
        // It can't fail: to stop what is stopped is success.
        let _ = self.server.stop(&MaySleep::begin());
    }
}

impl kernel::Module for RustTux {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let may_sleep = MaySleep::begin();
        let config = Config::new(
            &Parameters {
                document_root: docroot.value(),
                address: address.value(),
                media_types: mime_types.value(),
                port: module_parameters::port.value(),
                threads: module_parameters::threads.value(),
                backlog: module_parameters::backlog.value(),
                takeover: module_parameters::takeover.value(),
                start: module_parameters::start.value(),
            },
            &may_sleep,
        )?;
        let server = Server::new(config)?;
        let directory = proc::Directory::new(c"http", &may_sleep)?;
        let directory = Arc::new(directory, GFP_KERNEL)?;
        let statistics = server.statistics().clone();
        let stat = proc::File::new(directory, c"stat", statistics, &may_sleep)?;
        let table = Arc::new(Sysctls::new(server.clone()), GFP_KERNEL)?;
        let sysctls = sysctl::Registration::new(Sysctls::<Server>::PATH, table, &may_sleep)?;
        if module_parameters::start.value() != 0 {
            server.start(&may_sleep)?;
        }
        #[cfg(planted)]
        linux::planted::load(&planted)?;
        Ok(Self {
            _sysctls: sysctls,
            _stat: stat,
            server,
        })
    }
}
