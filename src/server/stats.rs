// SPDX-License-Identifier: GPL-2.0
//! stub
use crate::http::{bad_request::BadRequest, response::Status};
use kernel::prelude::*;
#[derive(Clone, Copy)]
pub(crate) enum Counter { TimeoutHeader, TimeoutKeepAlive, TimeoutSend, TimeoutBody, TimeoutLinger, ConnectionsAccepted, ConnectionsClosed, ConnectionsReset, RequestsIncomplete, DeferredLookups, DeferredReads, OctetsSent, OctetsDrained, FilesTruncated, FilesFailed, BodiesTooLong, OutOfMemory, ListenerRepairs, ListenerRepairsFailed }
pub(crate) struct Stats;
impl Stats {
    pub(crate) fn new() -> Result<Self> { Ok(Stats) }
    pub(crate) fn add(&self, _w: usize, _c: Counter, _n: u64) {}
    pub(crate) fn refused(&self, _w: usize, _b: BadRequest) {}
    pub(crate) fn responded(&self, _w: usize, _s: Status) {}
}
