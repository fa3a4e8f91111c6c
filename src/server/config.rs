// SPDX-License-Identifier: GPL-2.0
//! stub
use crate::linux::{address::Address, path::Root};
use kernel::{prelude::*, sync::Arc};
pub(crate) struct Config {
    pub(crate) document_root: Arc<Root>,
    pub(crate) server_port: u16,
    pub(crate) address: Address,
    pub(crate) threads: u32,
    pub(crate) max_connect: u32,
    pub(crate) max_backlog: u32,
    pub(crate) keepalive_timeout: u32,
    pub(crate) header_timeout: u32,
    pub(crate) send_timeout: u32,
    pub(crate) max_header_len: u32,
}
